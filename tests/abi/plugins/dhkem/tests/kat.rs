//! What the author checks.

use charon_dhkem::Dhkem;
use plugin_api::{Secret, testing};

#[test]
fn it_is_a_kem() {
    testing::kem(Dhkem);
}

/// RFC 7748, 5.2, the first vector.
#[test]
fn the_answer_of_rfc_7748() {
    let octets = |hex: &str| -> Vec<u8> {
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal"))
            .collect()
    };
    testing::known_answer(
        &Dhkem,
        &Secret::new(octets(
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
        )),
        &octets("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
        &octets("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"),
    );
}
