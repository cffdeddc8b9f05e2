//! What fuzzers feed with octets: code that meets foreign input first. A target panics where something is wrong.

use std::time::Duration;

use config::ipsec_conf::IpsecConf;
use config::settings::Settings;
use control::frame;
use control::stroke::Request;
use ike::Transmit;

use crate::netem::Conditions;
use crate::world::World;

const MINUTE: Duration = Duration::from_secs(60);
const PROPOSAL: &str = "aes256gcm16-sha512-x25519-ke1_kyber3";

/// After so many datagrams half-open SAs may expire.
const BETWEEN_PAUSES: u32 = 500;

/// A strongswan.conf: it is read, or refused with its line.
pub fn strongswan_conf(octets: &[u8]) {
    match Settings::parse(&String::from_utf8_lossy(octets), "fuzzed.conf") {
        Ok(settings) => {
            for section in settings.sections("") {
                for key in settings.keys(&section) {
                    let _ = settings.get(&format!("{section}.{key}"));
                }
            }
            let mut warnings = Vec::new();
            settings.get_int("charon.fragment_size", 1280, &mut warnings);
            assert!(
                warnings
                    .iter()
                    .all(|warning| warning.contains("charon.fragment_size")),
                "{warnings:?}"
            );
        }
        Err(error) => {
            let text = error.to_string();
            assert!(
                text.contains("fuzzed.conf:") || text.contains("failed to open"),
                "{text}"
            );
        }
    }
}

/// An ipsec.conf: it is read, or refused with its line.
pub fn ipsec_conf(octets: &[u8]) {
    match IpsecConf::parse(&String::from_utf8_lossy(octets), "fuzzed.conf") {
        Ok(conf) => {
            for conn in &conf.conns {
                assert!(conn.source.contains("fuzzed.conf:"), "{}", conn.source);
            }
        }
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("fuzzed.conf"), "{text}");
        }
    }
}

/// An ipsec.secrets: it is read as far as it goes, and no secret of the corpus is shown.
pub fn ipsec_secrets(octets: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), octets).expect("a file");
    let loaded = config::ipsec_secrets::load(file.path()).expect("a file that is there");
    let shown = format!("{:?} {:?}", loaded.log, loaded.secrets);
    assert!(!shown.contains("4ny7h1n6_c4n_h4pp3n"), "{shown}");
}

/// What a client writes to the stroke socket: requests that survive encoding, or an error. How many requests there were.
pub fn stroke(octets: &[u8]) -> usize {
    let (mut stream, mut requests) = (octets, 0);
    while let Ok(Some(packet)) = frame::read(&mut stream) {
        if let Ok(request) = Request::decode(&packet) {
            requests += 1;
            let encoded = request.encode().expect("it came so");
            assert_eq!(Request::decode(&encoded), Ok(request));
        }
    }
    requests
}

/// Datagrams for an Endpoint that has an established IKE_SA.
pub struct Datagrams {
    world: World,
    /// One of the handshake; others come as if the way that it came.
    carrier: Transmit,
    /// The SPIs of the IKE_SA.
    live: [u8; 16],
    since_pause: u32,
}

impl Datagrams {
    /// An established pair.
    pub fn new() -> Self {
        let settings = ike::Settings::default();
        let mut world = World::moon_and_carol(PROPOSAL, &settings, Conditions::default(), 1);
        let (send, receive) = std::sync::mpsc::channel();
        world.tamper = Some(Box::new(move |datagram| send.send(datagram.clone()).is_ok()));
        world.initiate(1);
        assert!(world.run_until(MINUTE, World::is_established));
        world.tamper = None;
        let recorded: Vec<Transmit> = receive.try_iter().collect();
        let last = recorded.last().expect("messages");
        Self {
            live: last.octets[..16].try_into().expect("a header"),
            carrier: recorded[0].clone(),
            world,
            since_pause: 0,
        }
    }

    /// One datagram for the responder, as it is and with the SPIs of the live SA, which gets as far as its window and
    /// its keys.
    pub fn run(&mut self, octets: &[u8]) {
        self.hand_over(octets.to_vec());
        if octets.len() >= 16 {
            self.hand_over([&self.live, &octets[16..]].concat());
        }
        self.since_pause += 1;
        if self.since_pause == BETWEEN_PAUSES {
            self.settle();
        }
    }

    fn hand_over(&mut self, octets: Vec<u8>) {
        self.world.deliver(Transmit {
            octets,
            ..self.carrier.clone()
        });
    }

    /// Lets half-open SAs expire; what remains is the pair.
    pub fn settle(&mut self) {
        self.since_pause = 0;
        self.world.run_for(5 * MINUTE);
        assert!(self.world.is_established());
        self.world.assert_consistent();
        for host in &mut self.world.hosts {
            host.log.clear();
            host.events.clear();
            host.sent.clear();
        }
    }
}

impl Default for Datagrams {
    fn default() -> Self {
        Self::new()
    }
}
