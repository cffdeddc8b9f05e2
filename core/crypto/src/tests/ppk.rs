//! Mixing in of post-quantum preshared keys, against values of Python's hmac and against HMAC written out.

use plugin_api::Secret;
use sha2::{Digest, Sha256, Sha512};

use super::algorithms::HmacPrf;
use crate::keymat::{self, SkKeys};

/// Keys of which each octet says which it is.
fn keys(len: usize) -> SkKeys {
    let key = |octet, len| Secret::new(vec![octet; len]);
    SkKeys {
        sk_d: key(0xd, len),
        sk_ai: key(0xa, 32),
        sk_ar: key(0xb, 32),
        sk_ei: key(0xe, 16),
        sk_er: key(0xf, 16),
        sk_pi: key(0x1, len),
        sk_pr: key(0x2, len),
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

fn mixed(prf: HmacPrf, ppk: &[u8], len: usize) -> [String; 3] {
    let mut sk = keys(len);
    let before = keymat::mix_ppk(&prf, ppk, &mut sk).expect("mixed");
    let old = keys(len);
    assert_eq!(
        before,
        [old.sk_d, old.sk_pi, old.sk_pr],
        "what they were comes back"
    );
    assert_eq!(
        (&sk.sk_ai, &sk.sk_ar, &sk.sk_ei, &sk.sk_er),
        (&old.sk_ai, &old.sk_ar, &old.sk_ei, &old.sk_er),
        "what protects messages stays"
    );
    [&sk.sk_d, &sk.sk_pi, &sk.sk_pr].map(|key| hex(key.expose()))
}

#[test]
fn known_answers_of_both_lengths() {
    let ppk: Vec<u8> = (0..32).collect();
    assert_eq!(
        mixed(HmacPrf::Sha512, &ppk, 64),
        [
            "6e9f402e7d399a4ac278be6bc3f8a6f9facff8fc0b11d9a907cae7038693481d\
             a3615638725e4261884982f2ed5fbacfe78484c101f3c0964e2b5a630033e865",
            "e2bb478ce2c8c1a0c6db0931279246e61a3eaea1faeb39b65db4db5030c2a45f\
             9fbb0d846ca63899b53bf5ad7410b541431f5a12117dbf6cfca224c926d54591",
            "397d2b4473f1f42e20985f9891a94990be8bedfeb7feabb6d6fc149ce4fad6f9\
             4258927f835d44d0cfa183b9179c541d9b8483b5ceee74fbc683f39d07420ab3",
        ]
    );
    assert_eq!(
        mixed(HmacPrf::Sha256, b"a ppk of text", 32),
        [
            "9dec9b0d1626b9403661c7f0528b45cf40ee1ec790f65da77a749eaa747d1379",
            "cf172dab35f8fcd013c1184af4f3f58358ff184fca1fd883e45c1600ff2eed49",
            "89db0e0df76fa3fb45299a850f4cd520fa0f028aa8025d1ffd642f1431e76ea6",
        ]
    );
}

/// HMAC (RFC 2104), written out.
fn hmac<H: Digest>(block: usize, key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut key = if key.len() > block {
        H::digest(key).to_vec()
    } else {
        key.to_vec()
    };
    key.resize(block, 0);
    let pad = |octet: u8| key.iter().map(|own| own ^ octet).collect::<Vec<u8>>();
    let inner = H::digest([&pad(0x36)[..], message].concat());
    H::digest([&pad(0x5c)[..], &inner].concat()).to_vec()
}

#[test]
fn a_key_is_prf_plus_of_the_ppk_over_the_old_key() {
    for len in [1, 31, 32, 64, 65, 200] {
        let ppk: Vec<u8> = (0..len).map(|n| (n * 7) as u8).collect();
        let [d, _, pr] = mixed(HmacPrf::Sha256, &ppk, 32);
        assert_eq!(
            d,
            hex(&hmac::<Sha256>(64, &ppk, &[&[0xd; 32][..], &[1]].concat()))
        );
        assert_eq!(pr, hex(&hmac::<Sha256>(64, &ppk, &[&[2; 32][..], &[1]].concat())));
        let [_, pi, _] = mixed(HmacPrf::Sha512, &ppk, 64);
        assert_eq!(
            pi,
            hex(&hmac::<Sha512>(128, &ppk, &[&[1; 64][..], &[1]].concat()))
        );
    }
}
