use proptest::prelude::*;

use aws_lc_rs::aead::{self, UnboundKey};
use iana::{EncryptionAlgorithm, IntegrityAlgorithm};
use plugin_api::ErrorKind;

use super::*;

fn aead_key(octets: usize) -> Vec<u8> {
    (0..octets as u8).collect()
}

fn every_protection(esn: bool) -> Vec<Protection> {
    let mut all: Vec<Result<Keys, _>> = [20, 28, 36]
        .into_iter()
        .map(|len| Keys::new(EncryptionAlgorithm::AES_GCM_16, &aead_key(len), None, &[], esn))
        .chain([Keys::new(
            EncryptionAlgorithm::CHACHA20_POLY1305,
            &aead_key(36),
            None,
            &[],
            esn,
        )])
        .collect();
    for (algorithm, salt_len) in [
        (EncryptionAlgorithm::AES_GCM_8, 4),
        (EncryptionAlgorithm::AES_GCM_12, 4),
        (EncryptionAlgorithm::AES_CCM_8, 3),
        (EncryptionAlgorithm::AES_CCM_12, 3),
        (EncryptionAlgorithm::AES_CCM_16, 3),
        (EncryptionAlgorithm::CAMELLIA_CCM_16, 3),
        (EncryptionAlgorithm::NULL_AES_GMAC, 4),
    ] {
        for len in [16, 24, 32] {
            all.push(Keys::new(algorithm, &aead_key(len + salt_len), None, &[], esn));
        }
    }
    for (integrity, len) in [
        (IntegrityAlgorithm::AES_XCBC_96, 16),
        (IntegrityAlgorithm::AES_CMAC_96, 16),
        (IntegrityAlgorithm::CAMELLIA_XCBC_96, 16),
        (IntegrityAlgorithm::HMAC_MD5_96, 16),
        (IntegrityAlgorithm::HMAC_SHA2_256_96, 32),
    ] {
        for (encryption, key_len) in [
            (EncryptionAlgorithm::AES_CTR, 16 + 4),
            (EncryptionAlgorithm::AES_CTR, 32 + 4),
            (EncryptionAlgorithm::CAMELLIA_CBC, 24),
            (EncryptionAlgorithm::CAMELLIA_CTR, 16 + 4),
            (EncryptionAlgorithm::TRIPLE_DES_CBC, 24),
            (EncryptionAlgorithm::BLOWFISH_CBC, 32),
            (EncryptionAlgorithm::NULL, 0),
        ] {
            let (key, integrity_key) = (aead_key(key_len), vec![7; len]);
            all.push(Keys::new(encryption, &key, Some(integrity), &integrity_key, esn));
        }
    }
    for key_len in [16, 24, 32] {
        for (integrity, len) in [
            (IntegrityAlgorithm::HMAC_SHA1_96, 20),
            (IntegrityAlgorithm::HMAC_SHA2_256_128, 32),
            (IntegrityAlgorithm::HMAC_SHA2_384_192, 48),
            (IntegrityAlgorithm::HMAC_SHA2_512_256, 64),
        ] {
            let (key, integrity_key) = (aead_key(key_len), vec![7; len]);
            let integrity = Some(integrity);
            all.push(Keys::new(
                EncryptionAlgorithm::AES_CBC,
                &key,
                integrity,
                &integrity_key,
                esn,
            ));
        }
    }
    all.into_iter()
        .map(|one| one.expect("a known algorithm"))
        .map(|keys| keys.expand().expect("a key that the library takes"))
        .collect()
}

fn seal(protection: &Protection, sequence: u64, payload: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; HEADROOM + payload.len() + TAILROOM];
    let range = HEADROOM..HEADROOM + payload.len();
    buffer[range.clone()].copy_from_slice(payload);
    let packet = protection
        .seal(0xc0ff_ee00, sequence, sequence, 4, &mut buffer, range)
        .expect("room");
    buffer[packet].to_vec()
}

#[test]
fn algorithms_that_are_not_there_say_what_to_take_instead() {
    for algorithm in [EncryptionAlgorithm::DES_CBC, EncryptionAlgorithm::SERPENT_CBC] {
        let error = Keys::new(algorithm, &[0; 36], None, &[], false)
            .err()
            .expect("refused");
        assert_eq!(error.kind, ErrorKind::NotSupported);
        assert!(error.message.contains("aes256gcm16"), "{}", error.message);
    }
    for (algorithm, len) in [
        (EncryptionAlgorithm::AES_CBC, 32),
        (EncryptionAlgorithm::AES_CTR, 36),
        (EncryptionAlgorithm::NULL, 0),
    ] {
        let error = Keys::new(algorithm, &vec![0; len], None, &[], false);
        assert_eq!(error.err().expect("refused").kind, ErrorKind::NotSupported);
    }
}

#[test]
fn keys_of_the_wrong_length_are_refused() {
    for len in [0, 3, 16, 32, 35, 37] {
        let error = Keys::new(EncryptionAlgorithm::AES_GCM_16, &vec![0; len], None, &[], false);
        assert_eq!(
            error.err().expect("refused").kind,
            ErrorKind::InvalidArgument,
            "{len}"
        );
    }
    let integrity = Some(IntegrityAlgorithm::HMAC_SHA2_256_128);
    for (key, integrity_key) in [(16, 31), (17, 32)] {
        let error = Keys::new(
            EncryptionAlgorithm::AES_CBC,
            &vec![0; key],
            integrity,
            &vec![0; integrity_key],
            false,
        );
        assert_eq!(error.err().expect("refused").kind, ErrorKind::InvalidArgument);
    }
}

#[test]
fn two_cbc_packets_of_equal_content_differ_in_iv_and_text() {
    let integrity = (IntegrityAlgorithm::HMAC_SHA1_96, [7; 20]);
    let keys = Keys::new(
        EncryptionAlgorithm::AES_CBC,
        &aead_key(16),
        Some(integrity.0),
        &integrity.1,
        false,
    );
    let protection = keys.expect("known").expand().expect("taken");
    let (one, two) = (seal(&protection, 1, &[5; 32]), seal(&protection, 2, &[5; 32]));
    assert_ne!(one[8..24], two[8..24]);
    assert_ne!(one[24..56], two[24..56]);
}

#[test]
fn the_high_half_of_an_extended_sequence_number_is_authenticated() {
    for protection in every_protection(true) {
        let packet = seal(&protection, 0x5_0000_0007, b"inner");
        assert_eq!(
            Header::parse(&packet),
            Some(Header {
                spi: 0xc0ff_ee00,
                sequence: 7
            })
        );
        assert_eq!(
            protection.open(0x6_0000_0007, &mut packet.clone()),
            Err(Error::Authentication)
        );
        let mut packet = packet;
        let opened = protection.open(0x5_0000_0007, &mut packet).expect("authentic");
        assert_eq!(&packet[opened.payload], b"inner");
    }
}

#[test]
fn authentic_packets_with_other_padding_are_refused() {
    let key = aead_key(36);
    let keys = Keys::new(EncryptionAlgorithm::AES_GCM_16, &key, None, &[], false).expect("known");
    let protection = keys.expand().expect("taken");
    let aead = LessSafeKey::new(UnboundKey::new(&aead::AES_256_GCM, &key[..32]).unwrap());
    for text in [vec![0xaa, 0xaa, 2, 4], vec![1, 2, 3, 4], vec![9, 4]] {
        let mut packet = [&[0; 4][..], &1u32.to_be_bytes(), &[0; 8]].concat();
        let aad: [u8; 8] = packet[..8].try_into().unwrap();
        let mut sealed = text.clone();
        let salt = key[32..].try_into().unwrap();
        let tag = aead
            .seal_in_place_separate_tag(nonce(salt, [0; 8]), Aad::from(aad), &mut sealed)
            .unwrap();
        packet.extend(sealed);
        packet.extend(tag.as_ref());
        assert_eq!(protection.open(1, &mut packet), Err(Error::Padding), "{text:?}");
    }
}

proptest! {
    #[test]
    fn what_was_sealed_opens_and_nothing_else_does(
        payload in proptest::collection::vec(any::<u8>(), 0..200),
        sequence in 1u64..1 << 40,
        which in any::<proptest::sample::Index>(),
        flip in any::<proptest::sample::Index>(),
        bit in 0u8..8,
        esn in any::<bool>(),
    ) {
        let all = every_protection(esn);
        let protection = which.get(&all);
        let packet = seal(protection, sequence, &payload);
        prop_assert!(packet.len() <= HEADROOM + payload.len() + TAILROOM);
        prop_assert_eq!((packet.len() - 8) % 4, 0);
        let mut good = packet.clone();
        let opened = protection.open(sequence, &mut good).expect("authentic");
        prop_assert_eq!(&good[opened.payload], &payload[..]);
        prop_assert_eq!(opened.next_header, 4);

        let mut bad = packet.clone();
        let at = flip.index(bad.len());
        bad[at] ^= 1 << bit;
        // The sequence number goes in as an argument; what stands in the packet is what an argument was made of.
        let low = Header::parse(&bad).unwrap().sequence;
        let claimed = sequence >> 32 << 32 | u64::from(low);
        prop_assert!(protection.open(claimed, &mut bad).is_err());
    }

    #[test]
    fn no_octets_panic(octets in proptest::collection::vec(any::<u8>(), 0..120), which in any::<proptest::sample::Index>()) {
        let mut packet = octets;
        prop_assert!(which.get(&every_protection(false)).open(1, &mut packet).is_err());
    }
}
