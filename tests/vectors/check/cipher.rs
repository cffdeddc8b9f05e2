//! Ciphers in CBC mode: the vectors of NIST.

use iana::EncryptionAlgorithm;
use plugin_api::{Cipher, ErrorKind};

use super::{fails_with, records};

/// Runs all vectors with this key length in octets; how many there were.
pub fn cipher(algorithm: EncryptionAlgorithm, key_len: u16, cipher: &dyn Cipher) -> usize {
    assert_eq!(algorithm, EncryptionAlgorithm::AES_CBC, "no vectors for others");
    let key_len = usize::from(key_len);
    assert_eq!(cipher.key_len(), key_len);
    for wrong in [0, key_len - 1, key_len + 1] {
        fails_with(
            ErrorKind::InvalidArgument,
            cipher.create(&vec![1; wrong]),
            "a key of the wrong length",
        );
    }

    let mut count = 0;
    for record in records(include_str!("../aes_cbc.txt")) {
        let (key, iv) = (record.required("Key"), record.required("IV"));
        if key.len() != key_len {
            continue;
        }
        let (plaintext, ciphertext) = (record.required("PT"), record.required("CT"));
        let key = cipher.create(&key).expect("a key of the right length");
        assert_eq!((key.iv_len(), key.block_len()), (16, 16));
        let mut data = plaintext.clone();
        key.encrypt(&iv, &mut data).expect("encryption");
        assert_eq!(data, ciphertext);
        key.decrypt(&iv, &mut data).expect("decryption");
        assert_eq!(data, plaintext);

        fails_with(
            ErrorKind::InvalidArgument,
            key.encrypt(&iv, &mut data[1..]),
            "part of a block",
        );
        fails_with(
            ErrorKind::InvalidArgument,
            key.decrypt(&iv, &mut data[1..]),
            "part of a block",
        );
        fails_with(
            ErrorKind::InvalidArgument,
            key.encrypt(&iv[1..], &mut data),
            "a short IV",
        );
        fails_with(
            ErrorKind::InvalidArgument,
            key.decrypt(&iv[1..], &mut data),
            "a short IV",
        );
        assert_eq!(data, plaintext, "a refused call changes nothing");
        count += 1;
    }
    count
}
