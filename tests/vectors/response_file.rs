//! NIST's response files, made anew with a KEM that takes its randomness from the system call `getrandom`.
//!
//! The includer has `drbg` and `check` beside this module.

use std::cell::RefCell;
use std::io::Read;

use plugin_api::Kem;

use crate::check::Record;
use crate::drbg::Drbg;

thread_local! {
    /// What comes as randomness on this thread; the operating system's if none.
    static DRBG: RefCell<Option<Drbg>> = const { RefCell::new(None) };
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
    let out = unsafe { std::slice::from_raw_parts_mut(out, len) };
    DRBG.with_borrow_mut(|drbg| match drbg {
        Some(drbg) => drbg.fill(out),
        None => std::fs::File::open("/dev/urandom")
            .and_then(|mut file| file.read_exact(out))
            .expect("randomness"),
    });
    len.cast_signed()
}

/// The first `count` records, each of a key pair and a ciphertext, as the generator of the files writes them.
pub(crate) fn response_file(kem: &impl Kem, count: usize) -> String {
    let mut seeds = Drbg::new(&std::array::from_fn(|i| i as u8));
    let records = (0..count).map(|count| {
        let mut seed = [0; 48];
        seeds.fill(&mut seed);
        DRBG.set(Some(Drbg::new(&seed)));
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
    DRBG.set(None);
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

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}
