//! Ciphers in CBC and counter mode: the vectors of NIST and the RFCs.

use iana::EncryptionAlgorithm;
use plugin_api::{Cipher, ErrorKind};

use super::{fails_with, records};

/// Runs all vectors with this key length in octets; how many there were.
pub fn cipher(algorithm: EncryptionAlgorithm, key_len: u16, cipher: &dyn Cipher) -> usize {
    let (file, iv_len, block_len) = match algorithm {
        EncryptionAlgorithm::AES_CBC => (include_str!("../aes_cbc.txt"), 16, 16),
        EncryptionAlgorithm::CAMELLIA_CBC => (include_str!("../camellia_cbc.txt"), 16, 16),
        EncryptionAlgorithm::BLOWFISH_CBC => (include_str!("../blowfish_cbc.txt"), 8, 8),
        EncryptionAlgorithm::TRIPLE_DES_CBC => (include_str!("../des_cbc.txt"), 8, 8),
        EncryptionAlgorithm::AES_CTR | EncryptionAlgorithm::CAMELLIA_CTR => {
            (include_str!("../ctr.txt"), 8, 1)
        }
        _ => panic!("no vectors for {algorithm}"),
    };
    let key_len = usize::from(key_len) + algorithm.salt_len();
    assert_eq!(cipher.key_len(), key_len);
    for wrong in [0, key_len - 1, key_len + 1] {
        fails_with(
            ErrorKind::InvalidArgument,
            cipher.create(&vec![1; wrong]),
            "a key of the wrong length",
        );
    }

    let mut count = 0;
    for record in records(file) {
        // A file of several algorithms names them.
        if record
            .text("Algorithm")
            .is_some_and(|name| algorithm.to_string() != name)
        {
            continue;
        }
        let (key, iv) = (record.required("Key"), record.required("IV"));
        if key.len() != key_len {
            continue;
        }
        let (plaintext, ciphertext) = (record.required("PT"), record.required("CT"));
        let key = cipher.create(&key).expect("a key of the right length");
        assert_eq!((key.iv_len(), key.block_len()), (iv_len, block_len));
        let mut data = plaintext.clone();
        key.encrypt(&iv, &mut data).expect("encryption");
        assert_eq!(data, ciphertext);
        key.decrypt(&iv, &mut data).expect("decryption");
        assert_eq!(data, plaintext);

        if block_len > 1 {
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
        }
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
