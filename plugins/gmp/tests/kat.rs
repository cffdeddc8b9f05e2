//! The plugin's algorithms against the published vectors.

#[path = "../../../tests/vectors/check/mod.rs"]
mod check;
mod numbers;

use charon_gmp::{Construction, GROUPS, Group, Modp};
use num_bigint::BigUint;
use plugin_api::{DiffieHellman, ErrorKind, Secret};

#[test]
fn every_feature_gives_the_known_answers() {
    check::features(&charon_gmp::features(&check::host()));
}

fn records() -> Vec<check::Record> {
    check::records(include_str!("../../../tests/vectors/modp.txt"))
}

fn group(name: Option<&str>) -> &'static Group {
    GROUPS
        .iter()
        .find(|group| Some(group.name) == name)
        .expect("a group of the table")
}

#[test]
fn the_table_has_the_numbers_that_openssl_has() {
    let records = records();
    for group in GROUPS {
        let record = records
            .iter()
            .find(|record| record.text("Group") == Some(group.name))
            .expect("a record for every group");
        let octets = |number: crypto_bigint::BoxedUint| number.to_be_bytes_trimmed_vartime().into_vec();
        assert_eq!(octets(group.prime()), record.required("Prime"), "{}", group.name);
        let generator = record.octets("Generator");
        assert_eq!(
            group.generator().to_be_bytes().into_vec()[..],
            numbers::padded(&generator.unwrap_or(vec![2]), group.bits)[..],
            "{}",
            group.name
        );
        assert_eq!(
            group.order().map(octets),
            record.octets("Order"),
            "{}",
            group.name
        );
    }
}

#[test]
fn given_private_exponents_make_the_same_secrets_as_elsewhere_with_leading_zeros_kept() {
    let mut with_leading_zero = 0;
    for record in records() {
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
        let prime = numbers::big(&group.prime());
        let power = |base: &BigUint, exponent: &Secret| {
            base.modpow(&BigUint::from_bytes_be(exponent.expose()), &prime)
        };
        let modp = Modp::new(group);
        let (_, private) = modp.generate().expect("a key pair");
        let (peer, peer_private) = modp.generate().expect("a key pair");
        let public = BigUint::from_bytes_be(&peer);
        assert_eq!(
            public,
            power(&numbers::big(&group.generator()), &peer_private),
            "{}",
            group.name
        );
        let shared = modp.agree(&private, &peer).expect("a secret");
        assert_eq!(
            BigUint::from_bytes_be(shared.expose()),
            power(&public, &private),
            "{}",
            group.name
        );
    }
}

/// RFC 3526, 1: the digits of pi are there so that nobody could choose the primes.
#[test]
fn the_primes_of_rfc_2409_and_rfc_3526_are_safe_and_made_of_pi() {
    for group in GROUPS {
        let Construction::Pi { offset } = group.construction else {
            continue;
        };
        let candidate = |offset: u32| numbers::from_pi(group.bits, offset);
        let prime = candidate(offset);
        assert_eq!(prime, numbers::big(&group.prime()), "{}", group.name);
        // With p also (p - 1) / 2 is prime, so 2 and every good public value have a large order.
        assert!(numbers::is_prime(&prime), "{}", group.name);
        assert!(numbers::is_prime(&(&prime >> 1)), "{}", group.name);
    }
}

#[test]
fn the_groups_of_rfc_5114_have_a_subgroup_of_prime_order() {
    let mut seen = 0;
    for group in GROUPS {
        let Some(order) = group.order() else { continue };
        let (prime, order) = (numbers::big(&group.prime()), numbers::big(&order));
        let (generator, one) = (numbers::big(&group.generator()), BigUint::from(1_u8));
        assert!(
            numbers::is_prime(&prime) && numbers::is_prime(&order),
            "{}",
            group.name
        );
        assert_eq!((&prime - &one) % &order, BigUint::ZERO, "{}", group.name);
        assert_eq!(generator.modpow(&order, &prime), one, "{}", group.name);
        assert!(
            generator > one && prime.bits() == u64::from(group.bits),
            "{}",
            group.name
        );
        assert_eq!(group.exponent_len as u64 * 8, order.bits() + 64, "{}", group.name);
        seen += 1;
    }
    assert_eq!(seen, 3);
}

/// 2 generates much more than the subgroup, and what is left of it when the subgroup's part is taken out is what an
/// attacker of small subgroups sends.
#[test]
fn public_values_outside_of_the_subgroup_are_refused() {
    for group in GROUPS {
        let Some(order) = group.order() else { continue };
        let (prime, order) = (numbers::big(&group.prime()), numbers::big(&order));
        let modp = Modp::new(group);
        let (_, private) = modp.generate().expect("a key pair");
        let outside = BigUint::from(2_u8);
        for value in [outside.modpow(&order, &prime), outside] {
            let value = numbers::padded(&value.to_bytes_be(), group.bits);
            check::fails_with(
                ErrorKind::InvalidPublicValue,
                modp.agree(&private, &value),
                group.name,
            );
        }
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
