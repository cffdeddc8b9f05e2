//! Groups as a peer meets them: what is on the wire, and the secrets that keys are made from.

use plugin_api::Implementation;

use crate::algorithms;

/// Octets of a public value and of the secret, by name.
const LENGTHS: &[(&str, usize, usize)] = &[
    ("CURVE_25519", 32, 32),
    ("CURVE_448", 56, 56),
    ("ECP_256", 64, 32),
    ("ECP_384", 96, 48),
    ("ECP_521", 132, 66),
    ("ECP_256_BP", 64, 32),
    ("ECP_384_BP", 96, 48),
    ("MODP_768", 96, 96),
    ("MODP_1024", 128, 128),
    ("MODP_1024_160", 128, 128),
    ("MODP_1536", 192, 192),
    ("MODP_2048", 256, 256),
    ("MODP_2048_224", 256, 256),
    ("MODP_2048_256", 256, 256),
    ("MODP_3072", 384, 384),
    ("MODP_4096", 512, 512),
    ("MODP_6144", 768, 768),
    ("MODP_8192", 1024, 1024),
];

#[test]
fn public_values_and_secrets_have_the_lengths_of_their_standard_in_every_plugin() {
    let mut seen = 0;
    for features in algorithms().values() {
        for feature in features {
            let Implementation::KeyExchange { method, name, .. } = &feature.implementation else {
                continue;
            };
            let Some((_, value, secret)) = LENGTHS.iter().find(|(it, ..)| it == name) else {
                continue;
            };
            let (public, pending) = method.initiate().expect("initiating");
            let (answer, _) = method.respond(&public).expect("responding");
            let shared = pending.finish(&answer).expect("finishing");
            assert_eq!(
                (public.len(), answer.len(), shared.len()),
                (*value, *value, *secret),
                "{name}"
            );
            seen += 1;
        }
    }
    assert_eq!(seen, LENGTHS.len() + 1, "all of them, X25519 from two plugins");
}
