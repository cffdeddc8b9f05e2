//! The plugin's KEMs against the known answers of NIST's third round.

#![allow(unsafe_code)]

#[path = "../../../tests/vectors/check/mod.rs"]
mod check;
#[path = "../../../tests/vectors/drbg.rs"]
mod drbg;

use std::cell::RefCell;
use std::sync::{Arc, Mutex};

use charon_sike::{KEMS, SikeKem};
use drbg::Drbg;
use plugin_api::kernel::KernelEvent;
use plugin_api::log::Group;
use plugin_api::{ErrorKind, Host, Kem, KemExchange, KernelNet, Reply, Secret};
use sha2::{Digest, Sha256};

/// Octets of public key, secret key, ciphertext and shared secret, in the order of [`KEMS`].
const LENGTHS: [(usize, usize, usize, usize); 4] = [
    (330, 374, 346, 16),
    (378, 434, 402, 24),
    (462, 524, 486, 24),
    (564, 644, 596, 32),
];

fn kems() -> impl Iterator<Item = (&'static str, SikeKem)> {
    KEMS.iter().map(|&(_, name, _, set)| (name, SikeKem::new(set)))
}

#[test]
fn every_feature_does_what_a_key_exchange_must() {
    let features = charon_sike::features(&check::host());
    assert_eq!(features.len(), KEMS.len());
    check::features(&features);
    for (_, kem) in kems() {
        plugin_api::testing::kem(kem);
    }
}

#[test]
fn lengths_are_those_of_the_submission() {
    for ((name, kem), lengths) in kems().zip(LENGTHS) {
        let (public, secret) = kem.keygen().expect("a key pair");
        let (ciphertext, shared) = kem.encapsulate(&public).expect("a ciphertext");
        let found = (public.len(), secret.len(), ciphertext.len(), shared.len());
        assert_eq!(found, lengths, "{name}");
        assert_eq!(
            (kem.public_key_len(), kem.ciphertext_len()),
            (lengths.0, lengths.2)
        );
    }
}

thread_local! {
    /// What liboqs gets as randomness on this thread; the operating system's if none.
    static DRBG: RefCell<Option<Drbg>> = const { RefCell::new(None) };
}

extern "C" fn random(out: *mut u8, len: usize) {
    // SAFETY: liboqs hands over a buffer of `len` octets, and of nothing else.
    let out = unsafe { std::slice::from_raw_parts_mut(out, len) };
    DRBG.with_borrow_mut(|drbg| match drbg {
        Some(drbg) => drbg.fill(out),
        None => getrandom::fill(out).expect("randomness"),
    });
}

/// The first record of a KEM's response file, as NIST's generator writes it.
fn first_record(kem: &SikeKem) -> String {
    let hex = |octets: &[u8]| {
        octets
            .iter()
            .map(|octet| format!("{octet:02X}"))
            .collect::<String>()
    };
    let mut seed = [0; 48];
    Drbg::new(&std::array::from_fn(|i| i as u8)).fill(&mut seed);
    DRBG.set(Some(Drbg::new(&seed)));
    let (public, secret) = kem.keygen().expect("a key pair");
    let (ciphertext, shared) = kem.encapsulate(&public).expect("a ciphertext");
    DRBG.set(None);
    format!(
        "count = 0\nseed = {}\npk = {}\nsk = {}\nct = {}\nss = {}\n",
        hex(&seed),
        hex(&public),
        hex(secret.expose()),
        hex(&ciphertext),
        hex(shared.expose())
    )
}

/// The hashes are those that liboqs published of the first records (tests/KATs/kem/SIKE-p434.kat.sha256 and so on).
#[test]
fn the_first_records_are_those_of_nists_third_round() {
    // SAFETY: the function has the type liboqs wants and lives as long as the program; it gives other threads, which
    // may be in liboqs now, randomness as good as before.
    unsafe { oqs_sys::rand::OQS_randombytes_custom_algorithm(Some(random)) };
    let published = [
        "6f467a94ec7edebe2722963dbe63edf4c0d7585075c1a490b31efc9297cb5008",
        "1d3cf07bdc02d7bf25d39d24e9da82630180987aa736e7e1c01ce07c2793d51a",
        "531e0c552de4eb1b6ec2532d33d631157f96315725701c81bf21b819321126b6",
        "9cab6bd714fbc118861f78cf13c146b93b1e7f8bba4f0d3cf953f0349c41ca11",
    ];
    for ((name, kem), published) in kems().zip(published) {
        let record = first_record(&kem);
        let hash: String = Sha256::digest(&record)
            .iter()
            .map(|octet| format!("{octet:02x}"))
            .collect();
        assert_eq!(hash, published, "{name}");

        // The record is in the vectors, for tests that cannot choose the secret key.
        let vectors = check::records(include_str!("../../../tests/vectors/sike.txt"));
        let vector = vectors
            .iter()
            .find(|vector| vector.text("Method") == Some(name))
            .expect("a record");
        for (field, of_file) in [
            ("Public", "pk"),
            ("Secret", "sk"),
            ("Ciphertext", "ct"),
            ("Shared", "ss"),
        ] {
            let value = vector.text(field).expect("a field").to_uppercase();
            assert!(
                record.contains(&format!("\n{of_file} = {value}\n")),
                "{name}, {field}"
            );
        }
        let secret = Secret::new(vector.required("Secret"));
        let (ciphertext, shared) = (vector.required("Ciphertext"), vector.required("Shared"));
        plugin_api::testing::known_answer(&kem, &secret, &ciphertext, &shared);
    }
}

#[test]
fn a_changed_ciphertext_always_gives_the_same_other_secret() {
    for (name, kem) in kems() {
        let (public, secret) = kem.keygen().expect("a key pair");
        let (mut ciphertext, shared) = kem.encapsulate(&public).expect("a ciphertext");
        ciphertext[0] ^= 1;
        let rejected = kem.decapsulate(&secret, &ciphertext).expect("implicit rejection");
        assert_ne!(rejected, shared, "{name}");
        assert_eq!(
            kem.decapsulate(&secret, &ciphertext).as_ref(),
            Ok(&rejected),
            "{name}"
        );
    }
}

/// Field elements past the prime, and curves that are none.
#[test]
fn what_is_no_key_and_no_ciphertext_gives_a_secret_nobody_shares() {
    for (name, kem) in kems() {
        for octet in [0, 0xff] {
            let public = vec![octet; kem.public_key_len()];
            kem.encapsulate(&public)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let (_, secret) = kem.keygen().expect("a key pair");
            let ciphertext = vec![octet; kem.ciphertext_len()];
            kem.decapsulate(&secret, &ciphertext)
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

#[test]
fn wrong_lengths_are_refused_before_liboqs_reads_them() {
    for (_, kem) in kems() {
        let (public, secret) = kem.keygen().expect("a key pair");
        let (ciphertext, _) = kem.encapsulate(&public).expect("a ciphertext");
        check::fails_with(
            ErrorKind::InvalidPublicValue,
            kem.encapsulate(&public[1..]),
            "a short public key",
        );
        check::fails_with(
            ErrorKind::InvalidPublicValue,
            kem.decapsulate(&secret, &ciphertext[1..]),
            "a short ciphertext",
        );
        check::fails_with(
            ErrorKind::InvalidArgument,
            kem.decapsulate(&Secret::copy_of(&secret.expose()[1..]), &ciphertext),
            "a short secret key",
        );
    }
}

#[test]
fn threads_do_not_disturb_one_another() {
    std::thread::scope(|scope| {
        for (_, kem) in kems().chain(kems()) {
            let exchange = KemExchange::new(kem);
            scope.spawn(move || plugin_api::testing::agree(&exchange, &exchange));
        }
    });
}

/// A daemon that keeps what is logged.
#[derive(Default)]
struct Listening(Mutex<Vec<(Group, i8, String)>>);

impl Host for Listening {
    fn setting(&self, _key: &str) -> Option<String> {
        None
    }

    fn log_enabled(&self, _group: Group, level: i8) -> bool {
        level <= 1
    }

    fn log(&self, group: Group, level: i8, message: &str) {
        let mut lines = self.0.lock().expect("no panic");
        lines.push((group, level, message.into()));
    }

    fn submit(&self, _verb: &str, _message: &[u8], reply: Arc<dyn Reply>) {
        reply.done(&[]);
    }

    fn kernel_event(&self, _event: KernelEvent) {}

    fn kernel_net(&self) -> Option<Arc<dyn KernelNet>> {
        None
    }
}

#[test]
fn loading_says_once_that_sike_is_broken() {
    let daemon = Arc::new(Listening::default());
    let host: Arc<dyn Host> = Arc::clone(&daemon) as _;
    charon_sike::features(&host);
    let lines = daemon.0.lock().expect("no panic");
    let [(group, level, line)] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    assert_eq!((*group, *level), (Group::Lib, 0), "no log leaves it out");
    assert!(line.contains("SIKE is broken"), "{line}");
}
