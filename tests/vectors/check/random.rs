//! Randomness: what can be told of it from outside.

use plugin_api::{ErrorKind, NonceGenerator, Random};

use super::fails_with;

/// Every octet of a request is drawn, and none twice the same way.
pub fn random(random: &dyn Random) -> usize {
    random.fill(&mut []).expect("nothing can be had at any time");
    let mut seen = vec![0_u8; 300];
    for _ in 0..64 {
        let mut drawn = vec![0; seen.len()];
        random.fill(&mut drawn).expect("randomness");
        seen.iter_mut().zip(drawn).for_each(|(all, octet)| *all |= octet);
    }
    assert!(
        seen.iter().all(|octet| *octet != 0),
        "an octet that was never drawn"
    );
    1
}

/// Nonces have the length that was asked for, between 16 and 256 octets (RFC 7296, 3.9), and never repeat.
pub fn nonce(generator: &dyn NonceGenerator) -> usize {
    let mut seen = std::collections::BTreeSet::new();
    for len in [16, 32, 256] {
        for _ in 0..100 {
            let mut nonce = vec![0; len];
            generator.nonce(&mut nonce).expect("a nonce");
            assert!(seen.insert(nonce), "a nonce came twice");
        }
    }
    for len in [0, 15, 257] {
        fails_with(
            ErrorKind::InvalidArgument,
            generator.nonce(&mut vec![0; len]),
            "a nonce of that length",
        );
    }
    seen.len()
}
