//! NIST's response files, made anew with a KEM that takes its randomness from the system call `getrandom`, or from [`draw`].
//!
//! The includer has `drbg` and `check` beside this module.

#![allow(dead_code)] // no includer needs all of it

use std::cell::RefCell;
use std::io::Read;

use plugin_api::Kem;
use sha2::{Digest, Sha256};

use crate::check::Record;
use crate::drbg::Drbg;

/// A generator behind response files; equal seeds make equal octets.
pub(crate) trait Generator: 'static {
    fn seeded(seed: &[u8; 48]) -> Self
    where
        Self: Sized;

    fn fill(&mut self, out: &mut [u8]);
}

impl Generator for Drbg {
    fn seeded(seed: &[u8; 48]) -> Self {
        Self::new(seed)
    }

    fn fill(&mut self, out: &mut [u8]) {
        self.fill(out);
    }
}

thread_local! {
    /// What comes as randomness on this thread; the operating system's if none.
    static GENERATOR: RefCell<Option<Box<dyn Generator>>> = const { RefCell::new(None) };
}

/// Randomness as this thread gets it.
pub(crate) fn draw(out: &mut [u8]) {
    GENERATOR.with_borrow_mut(|generator| match generator {
        Some(generator) => generator.fill(out),
        None => std::fs::File::open("/dev/urandom")
            .and_then(|mut file| file.read_exact(out))
            .expect("randomness"),
    });
}

/// Stands in for libc's, which the crate `getrandom` looks up by name.
///
/// # Safety
///
/// As the original.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(out: *mut u8, len: usize, _flags: u32) -> isize {
    // The crate asks for nothing to see whether there is such a function; the generator must not notice.
    if len == 0 {
        return 0;
    }
    // SAFETY: the caller hands over a buffer of `len` octets, and of nothing else.
    draw(unsafe { std::slice::from_raw_parts_mut(out, len) });
    len.cast_signed()
}

/// The first `count` records, each of a key pair and a ciphertext, as the generator of the files writes them.
pub(crate) fn response_file(kem: &impl Kem, count: usize) -> String {
    response_file_by::<Drbg>(kem, count)
}

/// The same with another generator than NIST's.
pub(crate) fn response_file_by<G: Generator>(kem: &impl Kem, count: usize) -> String {
    let mut seeds = G::seeded(&std::array::from_fn(|i| i as u8));
    let records = (0..count).map(|count| {
        let mut seed = [0; 48];
        seeds.fill(&mut seed);
        GENERATOR.set(Some(Box::new(G::seeded(&seed))));
        let (public, secret) = kem.keygen().expect("a key pair");
        let (ciphertext, shared) = kem.encapsulate(&public).expect("a ciphertext");
        assert_eq!(kem.decapsulate(&secret, &ciphertext).as_ref(), Ok(&shared));
        format!(
            "count = {count}\nseed = {}\npk = {}\nsk = {}\nct = {}\nss = {}\n",
            hex(&seed),
            hex(&public),
            hex(secret.expose()),
            hex(&ciphertext),
            hex(shared.expose())
        )
    });
    let file = records.collect::<Vec<_>>().join("\n");
    GENERATOR.set(None);
    file
}

/// Asserts that a vector file's record, which is for tests that cannot choose the randomness, is that of a response file.
pub(crate) fn same_record(vector: &Record, response: &str) {
    for (field, of_file) in [
        ("Public", "pk"),
        ("Secret", "sk"),
        ("Ciphertext", "ct"),
        ("Shared", "ss"),
    ] {
        let line = format!("\n{of_file} = {}\n", hex(&vector.required(field)));
        assert!(response.contains(&line), "{field}");
    }
}

/// Asserts that the answers are those of a vector which has hashes instead: of the file, of its first record and of the
/// record's long fields, for tests that cannot see secret keys.
pub(crate) fn gives_published_answers<G: Generator>(kem: &impl Kem, vector: &Record) {
    let name = vector.text("Method").expect("a method");
    let record = response_file_by::<G>(kem, 1);
    let field = |field: &str| {
        let start = format!("{field} = ");
        let line = record.lines().find_map(|line| line.strip_prefix(&start));
        unhex(line.expect("a field"))
    };
    for (hash, of) in [
        ("Record-SHA256", sha256(&record)),
        ("Public-SHA256", sha256(field("pk"))),
        ("Ciphertext-SHA256", sha256(field("ct"))),
        ("File-SHA256", sha256(response_file_by::<G>(kem, 100))),
    ] {
        assert_eq!(vector.text(hash), Some(of.as_str()), "{name}, {hash}");
    }
    assert_eq!(vector.required("Shared"), field("ss"), "{name}");
}

/// A hash in the spelling of those that are published.
pub(crate) fn sha256(octets: impl AsRef<[u8]>) -> String {
    hex(&Sha256::digest(octets)).to_lowercase()
}

fn unhex(text: &str) -> Vec<u8> {
    let octet = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(octet).collect()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}
