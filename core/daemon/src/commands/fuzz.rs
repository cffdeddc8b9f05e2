//! A million messages to the commands, made of what they know and what they do not, and some octets of those changed.

use std::sync::Arc;

use control::vici::{Element, Message};
use plugin_api::Reply;
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

use super::message::Extra;
use crate::testing::{TestKernel, daemon};

/// All but `initiate`: what has been loaded would be looked up and written to.
const VERBS: [&str; 37] = [
    "version",
    "stats",
    "list-sas",
    "list-conns",
    "list-policies",
    "get-algorithms",
    "list-plugins",
    "unknown",
    "terminate",
    "rekey",
    "install",
    "uninstall",
    "redirect",
    "load-conn",
    "unload-conn",
    "get-conns",
    "load-shared",
    "unload-shared",
    "get-shared",
    "clear-creds",
    "load-pool",
    "unload-pool",
    "get-pools",
    "load-cert",
    "load-key",
    "load-token",
    "load-authority",
    "unload-authority",
    "get-authorities",
    "list-authorities",
    "list-certs",
    "flush-certs",
    "unload-key",
    "get-keys",
    "get-counters",
    "reset-counters",
    "nonsense",
];

const KEYS: [&str; 57] = [
    "a",
    "b",
    "child",
    "ike",
    "child-id",
    "ike-id",
    "timeout",
    "loglevel",
    "force",
    "reauth",
    "name",
    "id",
    "type",
    "data",
    "owners",
    "addrs",
    "dns",
    "page",
    "after",
    "version",
    "local_addrs",
    "remote_addrs",
    "local_port",
    "proposals",
    "vips",
    "pools",
    "dscp",
    "encap",
    "mobike",
    "dpd_delay",
    "fragmentation",
    "childless",
    "keyingtries",
    "unique",
    "reauth_time",
    "rekey_time",
    "over_time",
    "rand_time",
    "local",
    "remote-1",
    "children",
    "auth",
    "esp_proposals",
    "local_ts",
    "remote_ts",
    "mode",
    "start_action",
    "mark_in",
    "flag",
    "certs",
    "cacerts",
    "pubkeys",
    "cacert",
    "cert1",
    "file",
    "crl_uris",
    "subject",
];

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nMIIBKTCB3KADAgECAhQwk4Umc29BIof3B1y3+1GuASfLcDAFBgMrZXAwDDEKMAgG\nA1UEAwwBYTAeFw0yNjExMjgxODAyMjRaFw00NjExMjMxODAyMjRaMAwxCjAIBgNV\nBAMMAWEwKjAFBgMrZXADIQBGjrs051Y58eY6CrTrJuIrNY3Z/L+WT5z+4/GrjFPl\nCaNQME4wHQYDVR0OBBYEFM4YoP6OJGH9c9BWOpovj3dfxBGOMB8GA1UdIwQYMBaA\nFM4YoP6OJGH9c9BWOpovj3dfxBGOMAwGA1UdEwQFMAMBAf8wBQYDK2VwA0EAfmgP\nnn6/Oa7M3kpJmUyeAyAUzKsBwZ2WZ3cvgD3II/hlvIf+LDIw2cocxDRfUkSddOKp\nQb3evwMC2UXe+o1gBw==\n-----END CERTIFICATE-----\n";
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIL0IEzq0jXVqq9Iv3nNh3cnyD3VUGHx+Mqd+IxSLb0w5\n-----END PRIVATE KEY-----\n";

/// Nothing starts by itself, for the same reason.
const VALUES: [&str; 45] = [
    "",
    "a",
    "b",
    "yes",
    "no",
    "0",
    "1",
    "2",
    "-1",
    "99999999999999999999",
    "0x10",
    "010",
    "1h",
    "4w",
    "5k",
    "%any",
    "127.0.0.1",
    "10.1.0.0/16",
    "::1/129",
    "10.4.0.0-10.4.0.9",
    "dynamic[tcp/80]",
    "aes256gcm16-sha512-x25519",
    "aes128-sha256-modp3072-ke1_kyber3",
    "default",
    "psk",
    "pubkey",
    "eap-md5",
    "moon.strongswan.org",
    "C=CH, O=moon",
    "\u{fc}\0\u{1}",
    "tunnel",
    "transport",
    "pass",
    "trap",
    "clear",
    "replace",
    "IKE",
    "000001",
    "1/0xff",
    "%unique",
    "X509",
    "CA",
    "any",
    CERTIFICATE,
    KEY,
];

struct Random(TestRng);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0.next_u64() as usize % bound
    }

    fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    fn elements(&mut self, depth: usize) -> Vec<Element> {
        let count = self.below(5);
        (0..count)
            .map(|_| {
                let name = self.pick(&KEYS).to_owned();
                match self.below(if depth < 4 { 4 } else { 3 }) {
                    0 => {
                        let items = self.below(3);
                        Element::List(name, (0..items).map(|_| self.pick(&VALUES).into()).collect())
                    }
                    1 | 2 => Element::Value(name, self.pick(&VALUES).into()),
                    _ => Element::Section(name, self.elements(depth + 1)),
                }
            })
            .collect()
    }

    fn message(&mut self) -> Vec<u8> {
        let mut octets = Message::from(self.elements(0)).encode_or_empty();
        if self.below(3) == 0 {
            for _ in 0..=self.below(3) {
                let (at, octet) = (self.below(octets.len() + 1), self.below(256) as u8);
                match self.below(4) {
                    0 => octets.insert(at, octet),
                    1 => octets.truncate(at),
                    _ if at < octets.len() => octets[at] = octet,
                    _ => {}
                }
            }
        }
        octets
    }
}

/// Answers once.
#[derive(Default)]
struct Once(std::sync::atomic::AtomicUsize);

impl Reply for Once {
    fn event(&self, _name: &str, message: &[u8]) -> bool {
        assert!(Message::decode(message).is_ok());
        true
    }

    fn done(&self, message: &[u8]) {
        assert!(Message::decode(message).is_ok());
        let before = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        assert_eq!(before, 0);
    }
}

/// The resident memory of this process, in pages.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok());
    pages.expect("a number")
}

#[test]
fn no_message_panics_or_leaves_something_behind() {
    let mut random = Random(TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]));
    let (mut answered, mut began) = (0, 0);
    for round in 0..100 {
        let mut daemon = daemon(Arc::new(TestKernel::default()));
        daemon.endpoint.start_tally();
        for _ in 0..10_000 {
            let verb = random.pick(&VERBS);
            let reply = Arc::new(Once::default());
            let own: Arc<dyn Reply> = Arc::clone(&reply) as Arc<dyn Reply>;
            daemon.command(verb, &random.message(), &own);
            daemon.drain();
            answered += reply.0.load(std::sync::atomic::Ordering::Relaxed);
        }
        // What takes its time is ended with the daemon.
        daemon.operations.abandon();
        if round == 9 {
            began = resident();
        }
    }
    let grown = resident().saturating_sub(began) * 4;
    println!("1000000 messages, {answered} answered at once, {grown} KiB more than after the first 100000");
    assert!(answered > 900_000);
    assert!(grown < 32 << 10, "{grown} KiB");
}
