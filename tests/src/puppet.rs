//! A peer that says what a test wants it to say, under the right keys: an initiator without an Endpoint.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use config::connection::{PeerConfig, ProposalList};
use config::identity::Identity;
use crypto::auth;
use crypto::keymat::{self, SkKeys};
use crypto::proposal::{DefaultStyle, Proposal, Purpose};
use crypto::registry::Registry;
use crypto::suite::{ProtectionKey, Suite};
use iana::{AuthMethod, ExchangeType, KeyExchangeMethod, NotifyType, PayloadType, Protocol, TrafficSelector};
use plugin_api::AeadKey;
use wire::payload::{Auth, Id, IdKind, Ke, Nonce, Notify, Payload, Sa, Selector, Ts, TsKind, VendorId};
use wire::{Flags, Header, IkeSpi, Packet, ProtectError, Protection};

use crate::netem::Conditions;
use crate::world::{self, World};

/// The proposal of its IKE_SA.
const IKE: &str = "aes256gcm16-sha512-x25519";
const STRONGSWAN: [u8; 16] = [
    0x88, 0x2f, 0xe5, 0x6d, 0x6f, 0xd2, 0x0d, 0xbc, 0x22, 0x51, 0x61, 0x3b, 0x2e, 0xbe, 0x5b, 0xeb,
];

/// See the module.
pub struct Puppet {
    /// moon is its only host.
    pub world: World,
    /// Further notifies of its IKE_SA_INIT.
    pub extensions: Vec<Payload>,
    registry: Arc<Registry>,
    /// What moon has sent.
    received: Rc<RefCell<Vec<Vec<u8>>>>,
    keys: Option<Keys>,
    spis: (u64, u64),
    next_id: u32,
}

/// AES-GCM both ways.
struct Keys {
    outbound: Box<dyn AeadKey>,
    inbound: Box<dyn AeadKey>,
    sealed: Cell<u64>,
}

impl Protection for Keys {
    fn iv_len(&self) -> usize {
        8
    }

    fn icv_len(&self) -> usize {
        16
    }

    fn block(&self) -> usize {
        1
    }

    fn seal(&self, message: &mut [u8], body: usize, _: u32, _: u16) -> Result<(), ProtectError> {
        self.sealed.set(self.sealed.get() + 1);
        let (sealed, icv) = message.split_at_mut(message.len() - 16);
        let (before, body) = sealed.split_at_mut(body);
        let (iv, data) = body.split_at_mut(8);
        iv.copy_from_slice(&self.sealed.get().to_be_bytes());
        self.outbound
            .seal(iv, before, data, icv)
            .map_err(|_| ProtectError)
    }

    fn open(&self, message: &mut [u8], body: usize) -> Result<Range<usize>, ProtectError> {
        let end = message.len() - 16;
        let (sealed, icv) = message.split_at_mut(end);
        let (before, rest) = sealed.split_at_mut(body);
        let (iv, data) = rest.split_at_mut(8);
        self.inbound
            .open(iv, before, data, icv)
            .map_err(|_| ProtectError)?;
        Ok(body + 8..end)
    }
}

impl Puppet {
    /// A world with moon alone, whose CHILD_SAs have this proposal; further ones for her IKE_SAs may be
    /// given, which she prefers.
    pub fn new(esp: &str, ike: &[&str]) -> Self {
        let registry = crate::crypto::registry();
        let settings = ike::Settings {
            send_vendor_id: true,
            max_packet: 30_000,
            ..ike::Settings::default()
        };
        let mut world = World::new(&[world::MOON], &settings, &registry, Conditions::default(), 1);
        let moon = world::moon(esp);
        let entries = [ike, &[IKE]].concat();
        world.hosts[0].endpoint.add_connection(PeerConfig {
            proposals: ProposalList {
                entries: entries.into_iter().map(str::to_owned).collect(),
                append_defaults: false,
            },
            ..moon
        });
        world::share(&mut world.hosts[0].endpoint, world::PSK);
        let received = Rc::new(RefCell::new(Vec::new()));
        let sink = Rc::clone(&received);
        world.tamper = Some(Box::new(move |datagram| {
            sink.borrow_mut().push(datagram.octets.clone());
            false
        }));
        Self {
            world,
            extensions: Vec::new(),
            registry,
            received,
            keys: None,
            spis: (0xca01, 0),
            next_id: 0,
        }
    }

    /// One that has an IKE_SA and a CHILD_SA with moon.
    pub fn established(esp: &str) -> Self {
        let mut puppet = Self::new(esp, &[]);
        let (suite, sk, init) = puppet.init(IKE, true);
        puppet.authenticate(&suite, &sk, &init, esp);
        puppet.world.hosts[0].log.clear();
        puppet
    }

    /// Proposals as moon's configuration would write them.
    pub fn proposals(&self, text: &str, protocol: Protocol, spi: &[u8]) -> Payload {
        let style = DefaultStyle::Draft;
        let (proposals, problems) = Proposal::expand_for(
            Purpose::Accept,
            &[text.to_owned()],
            false,
            protocol,
            &self.registry,
            style,
        );
        assert!(problems.is_empty(), "{problems:?}");
        let wire = |proposal: Proposal| wire::payload::Proposal {
            number: proposal.number,
            protocol: proposal.protocol,
            spi: spi.to_vec(),
            transforms: proposal.transforms,
            unusable: false,
        };
        Payload::Sa(Sa {
            proposals: proposals.into_iter().map(wire).collect(),
        })
    }

    /// A public value of a method.
    pub fn public(&self, method: KeyExchangeMethod) -> Payload {
        let exchange = self.registry.key_exchange(method).expect("a method");
        let (data, _) = exchange.initiate().expect("a public value");
        Payload::Ke(Ke { method, data })
    }

    /// Selectors of a CHILD_SA between both subnets.
    pub fn selectors() -> [Payload; 2] {
        let ts = |subnet: &str| {
            let ts = TrafficSelector::subnet(subnet.parse().expect("an address"), 16);
            Ts {
                selectors: vec![Selector {
                    protocol: 0,
                    start_port: 0,
                    end_port: u16::MAX,
                    start: ts.start,
                    end: ts.end,
                }],
            }
        };
        [
            Payload::Ts(TsKind::Initiator, ts("10.3.0.0")),
            Payload::Ts(TsKind::Responder, ts("10.1.0.0")),
        ]
    }

    pub fn nonce() -> Payload {
        Payload::Nonce(Nonce { data: vec![7; 32] })
    }

    pub fn notify(kind: NotifyType, data: &[u8]) -> Payload {
        Payload::Notify(Notify::status(kind, data.to_vec()))
    }

    fn header(&self, exchange: ExchangeType) -> Header {
        Header {
            spi_i: IkeSpi(self.spis.0),
            spi_r: IkeSpi(self.spis.1),
            next_payload: PayloadType::NONE,
            version: 0x20,
            exchange,
            flags: Flags::INITIATOR,
            message_id: self.next_id,
            length: 0,
        }
    }

    /// Hands datagrams to moon, and returns what she sends until she is quiet.
    pub fn send(&mut self, datagrams: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let address = |ip: &str| -> SocketAddr { format!("{ip}:500").parse().expect("an address") };
        for datagram in datagrams {
            let now = self.world.now;
            let (local, remote) = (address(world::MOON), address(world::CAROL));
            let moon = &mut self.world.hosts[0].endpoint;
            moon.handle_datagram(now, local, remote, datagram);
            self.world.drain(0);
            self.world.run_for(std::time::Duration::from_millis(1));
        }
        self.received.take()
    }

    /// IKE_SA_INIT; what AUTH is computed over comes with the keys.
    pub fn init(&mut self, proposal: &str, intermediate: bool) -> (Arc<Suite>, SkKeys, Init) {
        let method = KeyExchangeMethod::CURVE_25519;
        let exchange = self.registry.key_exchange(method).expect("a method");
        let (data, pending) = exchange.initiate().expect("a public value");
        let mut payloads = vec![
            self.proposals(proposal, Protocol::IKE, &[]),
            Payload::Ke(Ke { method, data }),
            Self::nonce(),
            Self::notify(NotifyType::FRAGMENTATION_SUPPORTED, &[]),
        ];
        if intermediate {
            payloads.push(Self::notify(NotifyType::INTERMEDIATE_EXCHANGE_SUPPORTED, &[]));
        }
        payloads.append(&mut self.extensions);
        payloads.push(Payload::VendorId(VendorId {
            data: STRONGSWAN.to_vec(),
        }));
        let request = wire::write_plain(&self.header(ExchangeType::IKE_SA_INIT), &payloads);
        let answers = self.send(std::slice::from_ref(&request));
        let Ok(Packet::Plain(response)) = wire::parse_datagram(&answers[0]) else {
            unreachable!("an IKE_SA_INIT response")
        };
        self.spis.1 = response.header.spi_r.0;
        self.next_id = 1;
        let mut init = Init {
            request,
            nonce: Vec::new(),
            answer: response.payloads,
        };
        let (mut secret, mut chosen) = (None, None);
        let mut pending = Some(pending);
        for payload in &init.answer {
            match payload {
                Payload::Ke(ke) => {
                    secret = pending
                        .take()
                        .map(|pending| pending.finish(&ke.data).expect("a secret"));
                }
                Payload::Nonce(nonce) => init.nonce.clone_from(&nonce.data),
                Payload::Sa(sa) => chosen = sa.proposals.first().cloned(),
                _ => {}
            }
        }
        let (Some(secret), Some(chosen)) = (secret, chosen) else {
            unreachable!("moon refused: {:?}", init.answer)
        };
        let chosen = Proposal {
            number: chosen.number,
            protocol: chosen.protocol,
            spi: Vec::new(),
            transforms: chosen.transforms,
        };
        let suite = Suite::new(&chosen, &self.registry).expect("a suite");
        let (spi_i, spi_r) = self.spis;
        let sk = keymat::derive_initial(&suite, &secret, &[7; 32], &init.nonce, spi_i, spi_r).expect("keys");
        let aead = |key: &[u8]| match suite.protect(key, &[]).expect("a key") {
            ProtectionKey::Aead(key) => key,
            ProtectionKey::Classic { .. } => unreachable!("AES-GCM"),
        };
        self.keys = Some(Keys {
            outbound: aead(sk.sk_ei.expose()),
            inbound: aead(sk.sk_er.expose()),
            sealed: Cell::new(0),
        });
        (suite, sk, init)
    }

    fn authenticate(&mut self, suite: &Suite, sk: &SkKeys, init: &Init, esp: &str) {
        let payloads = self.auth_request(suite, sk, init, esp);
        self.ask(ExchangeType::IKE_AUTH, payloads);
        assert_eq!(
            self.world.sas(0)[0].children.len(),
            1,
            "{:#?}",
            self.world.hosts[0].log
        );
    }

    /// What carol says in IKE_AUTH.
    pub fn auth_request(&self, suite: &Suite, sk: &SkKeys, init: &Init, esp: &str) -> Vec<Payload> {
        let identity = Identity::parse("carol.strongswan.org");
        let id = Id {
            kind: identity.kind,
            reserved: [0; 3],
            data: identity.data,
        };
        let octets = auth::signed_octets(
            &init.request,
            &init.nonce,
            suite.prf(),
            &sk.sk_pi,
            &id.body(),
            None,
        );
        let octets = octets.expect("octets");
        let data = auth::psk_auth(suite.prf(), world::PSK.as_bytes(), &[&octets]).expect("AUTH");
        let esp = esp
            .split("-ke1")
            .next()
            .and_then(|esp| esp.split('-').next())
            .unwrap_or(esp);
        let mut payloads = vec![
            Payload::Id(IdKind::Initiator, id),
            Payload::Auth(Auth {
                method: AuthMethod::SHARED_KEY,
                data: data.expose().to_vec(),
            }),
            self.proposals(esp, Protocol::ESP, &0xc0ff_ee00_u32.to_be_bytes()),
        ];
        payloads.extend(Self::selectors());
        payloads
    }

    /// A request in an SK payload.
    pub fn seal(&self, exchange: ExchangeType, payloads: &[Payload]) -> Vec<u8> {
        let (first, plaintext) = wire::write_payloads(payloads);
        let keys = self.keys.as_ref().expect("keys");
        wire::seal(keys, &self.header(exchange), first, &plaintext).expect("a message")
    }

    /// A request in fragments of at most so many octets.
    pub fn fragments(&self, exchange: ExchangeType, payloads: &[Payload], max: usize) -> Vec<Vec<u8>> {
        let (first, plaintext) = wire::write_payloads(payloads);
        let keys = self.keys.as_ref().expect("keys");
        wire::seal_fragments(keys, &self.header(exchange), first, &plaintext, max).expect("fragments")
    }

    /// One fragment with a number and a total of one's choice.
    pub fn fragment(&self, exchange: ExchangeType, (number, total): (u16, u16), content: &[u8]) -> Vec<u8> {
        let keys = self.keys.as_ref().expect("keys");
        let filler = vec![0; content.len() * (usize::from(number) - 1)];
        let whole = [&filler[..], content].concat();
        // The header of a fragment has 36 octets, IV, padding length and check value another 25.
        let sealed = wire::seal_fragments(
            keys,
            &self.header(exchange),
            PayloadType::KE,
            &whole,
            36 + 25 + content.len(),
        );
        let mut fragment = sealed.expect("fragments").pop().expect("one");
        // The total is authenticated, so the message has to be sealed again with the one wanted.
        fragment[34..36].copy_from_slice(&total.to_be_bytes());
        let end = fragment.len() - 16;
        fragment[end..].fill(0);
        fragment[44..end].fill(0);
        fragment[44..44 + content.len()].copy_from_slice(content);
        keys.seal(&mut fragment, 36, self.next_id, number)
            .expect("a fragment");
        fragment
    }

    /// Sends a request and opens moon's answer.
    pub fn ask(&mut self, exchange: ExchangeType, payloads: Vec<Payload>) -> Vec<Payload> {
        let request = self.seal(exchange, &payloads);
        let answers = self.send(&[request]);
        self.next_id += 1;
        self.open(&answers[0])
    }

    /// The payloads of a message of moon.
    pub fn open(&self, datagram: &[u8]) -> Vec<Payload> {
        let Ok(Packet::Encrypted {
            inner_first,
            body_offset,
            ..
        }) = wire::parse_datagram(datagram)
        else {
            unreachable!("an SK payload")
        };
        let mut octets = datagram.to_vec();
        let keys = self.keys.as_ref().expect("keys");
        let plaintext = wire::open(keys, &mut octets, body_offset).expect("authentic");
        wire::parse_payloads(inner_first, &plaintext).expect("payloads")
    }
}

/// IKE_SA_INIT as AUTH covers it, and moon's answer.
pub struct Init {
    request: Vec<u8>,
    nonce: Vec<u8>,
    pub answer: Vec<Payload>,
}
