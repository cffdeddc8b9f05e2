//! KEMs as a peer meets them: what is on the wire, and what a wrong value does.

use std::collections::BTreeMap;

use plugin_api::{ErrorKind, Implementation, KeyExchange};

use crate::{algorithms, check, kem};

/// Octets of public key, ciphertext and shared secret, by name.
fn lengths() -> BTreeMap<&'static str, (usize, usize, usize)> {
    let files = [
        include_str!("../../vectors/bike.txt"),
        include_str!("../../vectors/frodo.txt"),
        include_str!("../../vectors/hqc.txt"),
        include_str!("../../vectors/sntrup.txt"),
    ];
    let hashed = files.into_iter().flat_map(check::records);
    let hashed = hashed.map(|record| (record.text("Method").expect("a method"), kem::lengths(&record)));
    let others = [
        ("ML_KEM_512", (800, 768, 32)),
        ("ML_KEM_768", (1184, 1088, 32)),
        ("ML_KEM_1024", (1568, 1568, 32)),
        ("KYBER_L1", (800, 768, 32)),
        ("KYBER_L3", (1184, 1088, 32)),
        ("KYBER_L5", (1568, 1568, 32)),
        ("KYBER_L1_ROUND2", (800, 736, 32)),
        ("KYBER_L3_ROUND2", (1184, 1088, 32)),
        ("KYBER_L5_ROUND2", (1568, 1568, 32)),
        ("NTRU_HPS_L1", (699, 699, 32)),
        ("NTRU_HPS_L3", (930, 930, 32)),
        ("NTRU_HPS_L5", (1230, 1230, 32)),
        ("NTRU_HRSS_L3", (1138, 1138, 32)),
        ("SABER_L1", (672, 736, 32)),
        ("SABER_L3", (992, 1088, 32)),
        ("SABER_L5", (1312, 1472, 32)),
    ];
    hashed.chain(others).collect()
}

/// Calls `check` with each KEM of each plugin, and the lengths that it should have.
fn each(check: impl Fn(&str, &dyn KeyExchange, (usize, usize, usize))) {
    let lengths = lengths();
    let mut seen = 0;
    for (plugin, features) in algorithms() {
        for feature in features {
            let Implementation::KeyExchange { method, name, .. } = feature.implementation else {
                continue;
            };
            if let Some(lengths) = lengths.get(name.as_str()) {
                check(&format!("{name} of {plugin}"), &*method, *lengths);
                seen += 1;
            }
        }
    }
    assert_eq!(
        seen,
        lengths.len() + 9,
        "all of them, FrodoKEM and ML-KEM from two plugins"
    );
}

#[test]
fn lengths_are_those_on_the_wire() {
    each(|name, kem, lengths| {
        let (public, pending) = kem.initiate().expect("a key pair");
        let (ciphertext, shared) = kem.respond(&public).expect("a ciphertext");
        assert_eq!((public.len(), ciphertext.len(), shared.len()), lengths, "{name}");
        assert_eq!(pending.finish(&ciphertext), Ok(shared), "{name}");
    });
}

#[test]
fn a_changed_ciphertext_gives_another_secret_and_no_error() {
    each(|name, kem, _| {
        let (public, pending) = kem.initiate().expect("a key pair");
        let (mut ciphertext, shared) = kem.respond(&public).expect("a ciphertext");
        ciphertext[0] ^= 1;
        let rejected = pending.finish(&ciphertext).expect("implicit rejection");
        assert_eq!(rejected.len(), shared.len(), "{name}");
        assert_ne!(rejected, shared, "{name}");
    });
}

#[test]
fn other_lengths_are_refused_as_the_peers_fault() {
    let others = |len: usize| [0, 1, len - 1, len + 1, 2 * len].map(|len| vec![0x55; len]);
    each(|name, kem, (public, ciphertext, _)| {
        for public in others(public) {
            let what = format!("{name}: a public key of {} octets", public.len());
            check::fails_with(ErrorKind::InvalidPublicValue, kem.respond(&public), &what);
        }
        for ciphertext in others(ciphertext) {
            let what = format!("{name}: a ciphertext of {} octets", ciphertext.len());
            let (_, pending) = kem.initiate().expect("a key pair");
            check::fails_with(ErrorKind::InvalidPublicValue, pending.finish(&ciphertext), &what);
        }
    });
}
