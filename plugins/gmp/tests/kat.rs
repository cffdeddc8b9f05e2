//! The plugin's algorithms against the published vectors.

#[path = "../../../tests/vectors/check/mod.rs"]
mod check;

use charon_gmp::{GROUPS, Group, Modp};
use num_bigint::BigUint;
use plugin_api::{DiffieHellman, ErrorKind, Secret};

#[test]
fn every_feature_gives_the_known_answers() {
    check::features(&charon_gmp::features(&check::host()));
}

fn group(name: Option<&str>) -> &'static Group {
    GROUPS
        .iter()
        .find(|group| Some(group.name) == name)
        .expect("a group of the table")
}

#[test]
fn the_formula_gives_the_primes_of_rfc_3526() {
    let records = check::records(include_str!("../../../tests/vectors/modp.txt"));
    for group in GROUPS {
        let record = records
            .iter()
            .find(|record| record.text("Group") == Some(group.name));
        let prime = record.expect("a record for every group").required("Prime");
        assert_eq!(group.prime(), prime, "{}", group.name);
    }
}

#[test]
fn given_private_exponents_make_the_same_secrets_as_elsewhere_with_leading_zeros_kept() {
    let mut with_leading_zero = 0;
    for record in check::records(include_str!("../../../tests/vectors/modp.txt")) {
        let modp = Modp::new(group(record.text("Group")));
        let shared = record.required("Shared");
        for (private, peer) in [("Private", "Peer"), ("PeerPrivate", "Public")] {
            let private = Secret::new(record.required(private));
            let ours = modp
                .agree(&private, &record.required(peer))
                .expect("a good public value");
            assert_eq!(ours.expose(), shared);
        }
        with_leading_zero += usize::from(shared[0] == 0);
    }
    assert_eq!(with_leading_zero, 1);
}

#[test]
fn num_bigint_comes_to_the_same_powers() {
    for group in GROUPS {
        let prime = BigUint::from_bytes_be(&group.prime());
        let power = |base: &[u8], exponent: &Secret| {
            let exponent = BigUint::from_bytes_be(exponent.expose());
            BigUint::from_bytes_be(base).modpow(&exponent, &prime)
        };
        let modp = Modp::new(group);
        let (_, private) = modp.generate().expect("a key pair");
        let (peer, peer_private) = modp.generate().expect("a key pair");
        assert_eq!(
            BigUint::from_bytes_be(&peer),
            power(&[2], &peer_private),
            "{}",
            group.name
        );
        let shared = modp.agree(&private, &peer).expect("a secret");
        assert_eq!(
            BigUint::from_bytes_be(shared.expose()),
            power(&peer, &private),
            "{}",
            group.name
        );
        // Every prime is safe: with p also (p - 1) / 2 is prime, so 2 and every good public value have a large order.
        let half = (&prime - 1_u8) / 2_u8;
        let (base, one) = (BigUint::from(3_u8), BigUint::from(1_u8));
        assert_eq!(base.modpow(&(&prime - 1_u8), &prime), one, "{}", group.name);
        assert_eq!(base.modpow(&(&half - 1_u8), &half), one, "{}", group.name);
    }
}

#[test]
fn private_exponents_are_as_long_as_the_table_says() {
    for group in GROUPS {
        let modp = Modp::new(group);
        let (public, private) = modp.generate().expect("a key pair");
        assert_eq!(private.len(), group.exponent_len);
        let short = Secret::copy_of(&private.expose()[1..]);
        check::fails_with(
            ErrorKind::InvalidArgument,
            modp.agree(&short, &public),
            "a short exponent",
        );
    }
}
