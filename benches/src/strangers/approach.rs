//! An initiator that follows no rules: IKE_SA_INIT without an Endpoint, and fragments of any size under the keys of that exchange.

use std::sync::Arc;

use crypto::keymat;
use crypto::proposal::Proposal;
use crypto::registry::Registry;
use crypto::suite::{ProtectionKey, Suite};
use iana::{ExchangeType, KeyExchangeMethod, NotifyType, PayloadType, Protocol};
use plugin_api::{AeadKey, PendingKeyExchange};
use rand_chacha::ChaCha8Rng;
use rand_core::Rng;
use wire::payload::{Ke, Nonce, Notify, Payload, Sa, VendorId};
use wire::{Flags, HEADER_LEN, Header, IkeSpi, Packet};

/// strongSwan's vendor ID, without which algorithms of the private-use range are not selected.
const STRONGSWAN: [u8; 16] = [
    0x88, 0x2f, 0xe5, 0x6d, 0x6f, 0xd2, 0x0d, 0xbc, 0x22, 0x51, 0x61, 0x3b, 0x2e, 0xbe, 0x5b, 0xeb,
];

/// Length of the headers before the IV of a fragment, of the IV, and of what follows the content.
const BODY: usize = HEADER_LEN + 8;
const IV: usize = 8;
const ICV: usize = 16;

/// Number of the last notify that reports an error (RFC 7296, 3.10.1).
const LAST_ERROR: u16 = 16_383;

/// A proposal for an IKE_SA.
pub(crate) struct Offer {
    registry: Arc<Registry>,
    proposal: Proposal,
    method: KeyExchangeMethod,
}

/// What a responder says to an IKE_SA_INIT.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answer {
    /// It demands a cookie, which the request now has.
    Cookie,
    /// It refuses.
    Refused(NotifyType),
    /// It accepts.
    Accepted,
}

/// One IKE_SA that a stranger begins.
pub(crate) struct Approach {
    offer: Arc<Offer>,
    spis: (u64, u64),
    nonce: [u8; 32],
    payloads: Vec<Payload>,
    request: Vec<u8>,
    pending: Option<Box<dyn PendingKeyExchange>>,
    key: Option<Box<dyn AeadKey>>,
    sealed: u64,
}

impl Offer {
    /// Reads a proposal as a configuration has it.
    ///
    /// # Errors
    ///
    /// If it cannot be used for an IKE_SA.
    pub(crate) fn new(registry: &Arc<Registry>, text: &str) -> Result<Arc<Self>, String> {
        let proposal =
            Proposal::parse(text, Protocol::IKE, registry).map_err(|error| format!("{text}: {error}"))?;
        let method = proposal
            .key_exchange()
            .ok_or_else(|| format!("{text} has no key exchange"))?;
        Ok(Arc::new(Self {
            registry: Arc::clone(registry),
            proposal: Proposal {
                number: 1,
                ..proposal
            },
            method,
        }))
    }

    /// Makes a public value for the first additional key exchange.
    ///
    /// # Errors
    ///
    /// If there is no such key exchange, or it fails.
    pub(crate) fn additional(&self) -> Result<Payload, String> {
        let methods = self.proposal.additional_key_exchanges();
        let (_, method) = methods.first().ok_or("no additional key exchange is offered")?;
        let exchange = self.registry.key_exchange(*method);
        let exchange = exchange.ok_or_else(|| format!("no plugin has {method}"))?;
        let (data, _) = exchange
            .initiate()
            .map_err(|error| format!("{method}: {error}"))?;
        Ok(Payload::Ke(Ke {
            method: *method,
            data,
        }))
    }
}

impl Approach {
    /// Begins an IKE_SA with a key pair.
    ///
    /// # Errors
    ///
    /// If no plugin has the key exchange, or it fails.
    pub(crate) fn new(offer: &Arc<Offer>, random: &mut ChaCha8Rng) -> Result<Self, String> {
        let method = offer.method;
        let exchange = offer.registry.key_exchange(method);
        let exchange = exchange.ok_or_else(|| format!("no plugin has {method}"))?;
        let (public, pending) = exchange
            .initiate()
            .map_err(|error| format!("{method}: {error}"))?;
        let mut approach = Self::blind(offer, random, public, &extensions());
        approach.pending = Some(pending);
        Ok(approach)
    }

    /// Begins an IKE_SA with a random public value of so many octets and without any extension. It never has keys.
    pub(crate) fn random(offer: &Arc<Offer>, random: &mut ChaCha8Rng, len: usize) -> Self {
        let mut public = vec![0; len];
        random.fill_bytes(&mut public);
        // Below the prime of every MODP group, whose first octets are all ones.
        if let Some(first) = public.first_mut() {
            *first &= 0x7f;
        }
        Self::blind(offer, random, public, &[])
    }

    fn blind(offer: &Arc<Offer>, random: &mut ChaCha8Rng, public: Vec<u8>, extensions: &[Payload]) -> Self {
        let mut nonce = [0; 32];
        random.fill_bytes(&mut nonce);
        let proposal = wire::payload::Proposal {
            number: 1,
            protocol: Protocol::IKE,
            spi: Vec::new(),
            transforms: offer.proposal.transforms.clone(),
            unusable: false,
        };
        let mut payloads = vec![
            Payload::Sa(Sa {
                proposals: vec![proposal],
            }),
            Payload::Ke(Ke {
                method: offer.method,
                data: public,
            }),
            Payload::Nonce(Nonce { data: nonce.to_vec() }),
        ];
        payloads.extend(extensions.iter().cloned());
        let mut approach = Self {
            offer: Arc::clone(offer),
            spis: (random.next_u64() | 1, 0),
            nonce,
            payloads,
            request: Vec::new(),
            pending: None,
            key: None,
            sealed: 0,
        };
        approach.request =
            wire::write_plain(&approach.header(ExchangeType::IKE_SA_INIT, 0), &approach.payloads);
        approach
    }

    /// Returns the SPI that tells it from others.
    pub(crate) fn spi(&self) -> u64 {
        self.spis.0
    }

    /// Returns the IKE_SA_INIT request, with the cookie that was demanded last.
    pub(crate) fn request(&self) -> &[u8] {
        &self.request
    }

    /// Reads a datagram. Returns nothing unless it answers the IKE_SA_INIT request.
    pub(crate) fn answered(&mut self, octets: &[u8]) -> Option<Answer> {
        let (header, payloads) = init_response(octets)?;
        if header.spi_i.0 != self.spis.0 {
            return None;
        }
        match answer(&payloads)? {
            (Answer::Cookie, cookie) => {
                let notify = Payload::Notify(Notify::status(NotifyType::COOKIE, cookie));
                let payloads = [&[notify], &self.payloads[..]].concat();
                self.request = wire::write_plain(&self.header(ExchangeType::IKE_SA_INIT, 0), &payloads);
                Some(Answer::Cookie)
            }
            (Answer::Accepted, _) => {
                self.spis.1 = header.spi_r.0;
                // Keys are missing only where none are needed.
                let _ = self.derive(&payloads);
                Some(Answer::Accepted)
            }
            (refused, _) => Some(refused),
        }
    }

    /// Makes the key of the own direction; nothing if the public value was a random one.
    fn derive(&mut self, payloads: &[Payload]) -> Option<()> {
        let pending = self.pending.take()?;
        let (mut public, mut nonce) = (None, None);
        for payload in payloads {
            match payload {
                Payload::Ke(ke) => public = Some(&ke.data),
                Payload::Nonce(it) => nonce = Some(&it.data),
                _ => {}
            }
        }
        let secret = pending.finish(public?).ok()?;
        let suite = Suite::new(&self.offer.proposal, &self.offer.registry).ok()?;
        let (spi_i, spi_r) = self.spis;
        let sk = keymat::derive_initial(&suite, &secret, &self.nonce, nonce?, spi_i, spi_r).ok()?;
        match suite.protect(sk.sk_ei.expose(), sk.sk_ai.expose()).ok()? {
            ProtectionKey::Aead(key) => self.key = Some(key),
            ProtectionKey::Classic { .. } => {}
        }
        Some(())
    }

    /// Makes the second request, an IKE_INTERMEDIATE with this payload, in fragments: the first has `first` octets of content, and
    /// each of the others at most `rest`.
    ///
    /// # Errors
    ///
    /// Before IKE_SA_INIT was accepted, or if the message is too long.
    pub(crate) fn intermediate(
        &mut self,
        payload: Payload,
        first: usize,
        rest: usize,
    ) -> Result<Vec<Vec<u8>>, String> {
        let (kind, content) = wire::write_payloads(&[payload]);
        let (begin, end) = content.split_at(first.min(content.len()));
        let parts: Vec<&[u8]> = std::iter::once(begin).chain(end.chunks(rest)).collect();
        let total = u16::try_from(parts.len()).map_err(|error| error.to_string())?;
        let numbered = (1..=total).zip(parts);
        numbered
            .map(|(number, part)| self.fragment(kind, (number, total), part))
            .collect()
    }

    fn fragment(
        &mut self,
        kind: PayloadType,
        (number, total): (u16, u16),
        content: &[u8],
    ) -> Result<Vec<u8>, String> {
        let key = self.key.as_ref().ok_or("an IKE_SA without keys")?;
        self.sealed += 1;
        // The content is followed by the length of a padding that AES-GCM does without.
        let payload = 8 + IV + content.len() + 1 + ICV;
        let header = Header {
            next_payload: PayloadType::SKF,
            length: (HEADER_LEN + payload) as u32,
            ..self.header(ExchangeType::IKE_INTERMEDIATE, 1)
        };
        let mut out = Vec::new();
        header.write(&mut out);
        out.extend([if number == 1 { kind.0 } else { 0 }, 0]);
        out.extend((payload as u16).to_be_bytes());
        out.extend(number.to_be_bytes());
        out.extend(total.to_be_bytes());
        out.extend(self.sealed.to_be_bytes());
        out.extend(content);
        out.push(0);
        out.extend([0; ICV]);
        let (before, rest) = out.split_at_mut(BODY);
        let (iv, rest) = rest.split_at_mut(IV);
        let (data, icv) = rest.split_at_mut(content.len() + 1);
        key.seal(iv, before, data, icv)
            .map_err(|error| format!("a fragment: {error}"))?;
        Ok(out)
    }

    fn header(&self, exchange: ExchangeType, message_id: u32) -> Header {
        Header {
            spi_i: IkeSpi(self.spis.0),
            spi_r: IkeSpi(self.spis.1),
            next_payload: PayloadType::NONE,
            version: 0x20,
            exchange,
            flags: Flags::INITIATOR,
            message_id,
            length: 0,
        }
    }
}

/// The notifies and the vendor ID of a peer that knows fragments and IKE_INTERMEDIATE.
fn extensions() -> [Payload; 3] {
    let notify = |kind| Payload::Notify(Notify::status(kind, Vec::new()));
    [
        notify(NotifyType::FRAGMENTATION_SUPPORTED),
        notify(NotifyType::INTERMEDIATE_EXCHANGE_SUPPORTED),
        Payload::VendorId(VendorId {
            data: STRONGSWAN.to_vec(),
        }),
    ]
}

/// Reads the response to an IKE_SA_INIT; nothing if it is another message.
fn init_response(octets: &[u8]) -> Option<(Header, Vec<Payload>)> {
    let Ok(Packet::Plain(message)) = wire::parse_datagram(octets) else {
        return None;
    };
    let header = message.header;
    (header.exchange == ExchangeType::IKE_SA_INIT && header.is_response())
        .then_some((header, message.payloads))
}

/// What the payloads of a response say, and the cookie.
fn answer(payloads: &[Payload]) -> Option<(Answer, Vec<u8>)> {
    payloads.iter().find_map(|payload| match payload {
        Payload::Notify(notify) if notify.kind == NotifyType::COOKIE => {
            Some((Answer::Cookie, notify.data.clone()))
        }
        Payload::Notify(notify) if notify.kind.0 <= LAST_ERROR => {
            Some((Answer::Refused(notify.kind), Vec::new()))
        }
        Payload::Ke(_) => Some((Answer::Accepted, Vec::new())),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng;

    use super::*;

    fn offer(text: &str) -> Arc<Offer> {
        Offer::new(&pqswan_tests::crypto::registry(), text).unwrap()
    }

    fn respond(spi: u64, payloads: &[Payload]) -> Vec<u8> {
        let header = Header {
            spi_i: IkeSpi(spi),
            spi_r: IkeSpi(9),
            next_payload: PayloadType::NONE,
            version: 0x20,
            exchange: ExchangeType::IKE_SA_INIT,
            flags: Flags::RESPONSE,
            message_id: 0,
            length: 0,
        };
        wire::write_plain(&header, payloads)
    }

    #[test]
    fn a_cookie_is_returned_in_front_of_the_same_request() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut approach = Approach::random(&offer("3des-sha1-x25519"), &mut random, 32);
        let first = approach.request().to_vec();
        assert_eq!(first.len(), 148);
        let cookie = Payload::Notify(Notify::status(NotifyType::COOKIE, vec![5; 20]));
        assert_eq!(
            approach.answered(&respond(approach.spi(), &[cookie])),
            Some(Answer::Cookie)
        );
        assert_eq!(approach.request()[HEADER_LEN + 8..HEADER_LEN + 28], [5; 20]);
        assert_eq!(approach.request()[HEADER_LEN + 28..], first[HEADER_LEN..]);
    }

    #[test]
    fn an_answer_to_another_request_is_not_its_own() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut approach = Approach::random(&offer("3des-sha1-x25519"), &mut random, 32);
        let refusal = Payload::Notify(Notify::status(NotifyType::NO_PROPOSAL_CHOSEN, Vec::new()));
        let octets = respond(approach.spi() ^ 2, std::slice::from_ref(&refusal));
        assert_eq!(approach.answered(&octets), None);
        let octets = respond(approach.spi(), &[refusal]);
        let refused = Answer::Refused(NotifyType::NO_PROPOSAL_CHOSEN);
        assert_eq!(approach.answered(&octets), Some(refused));
    }

    #[test]
    fn fragments_have_the_sizes_asked_for() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut approach = Approach::new(&offer("aes256gcm16-sha512-x25519"), &mut random).unwrap();
        let registry = pqswan_tests::crypto::registry();
        let method = KeyExchangeMethod::CURVE_25519;
        let public = &approach.payloads[1];
        let Payload::Ke(ke) = public else {
            panic!("no key exchange")
        };
        let (data, _) = registry.key_exchange(method).unwrap().respond(&ke.data).unwrap();
        let payloads = [
            Payload::Ke(Ke { method, data }),
            Payload::Nonce(Nonce { data: vec![3; 32] }),
        ];
        let accepted = approach.answered(&respond(approach.spi(), &payloads));
        assert_eq!(accepted, Some(Answer::Accepted));
        let payload = Payload::Nonce(Nonce { data: vec![1; 96] });
        let fragments = approach.intermediate(payload, 1, 40).unwrap();
        let sizes: Vec<usize> = fragments.iter().map(Vec::len).collect();
        // 100 octets of content: 1, 40, 40, 19.
        assert_eq!(sizes, [62, 101, 101, 80]);
        assert!(matches!(
            wire::parse_datagram(&fragments[3]),
            Ok(Packet::Fragment {
                number: 4,
                total: 4,
                ..
            })
        ));
    }
}
