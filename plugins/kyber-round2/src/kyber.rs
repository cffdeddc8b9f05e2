//! The parameter sets of Kyber's submission to NIST's second round; all shared secrets have 32 octets.

use crate::pqclean::parameter_set;

parameter_set! {
    /// Kyber512: a public key of 800 octets, a ciphertext of 736.
    KYBER_512 = pqcrypto_kyber_round2::ffi;
    PQCLEAN_KYBER512_CLEAN_CRYPTO_PUBLICKEYBYTES, PQCLEAN_KYBER512_CLEAN_CRYPTO_SECRETKEYBYTES,
    PQCLEAN_KYBER512_CLEAN_CRYPTO_CIPHERTEXTBYTES, PQCLEAN_KYBER512_CLEAN_CRYPTO_BYTES;
    PQCLEAN_KYBER512_CLEAN_crypto_kem_keypair, PQCLEAN_KYBER512_CLEAN_crypto_kem_enc,
    PQCLEAN_KYBER512_CLEAN_crypto_kem_dec;
    PQCLEAN_KYBER512_AVX2_crypto_kem_keypair, PQCLEAN_KYBER512_AVX2_crypto_kem_enc,
    PQCLEAN_KYBER512_AVX2_crypto_kem_dec;
}

parameter_set! {
    /// Kyber768: a public key of 1184 octets, a ciphertext of 1088.
    KYBER_768 = pqcrypto_kyber_round2::ffi;
    PQCLEAN_KYBER768_CLEAN_CRYPTO_PUBLICKEYBYTES, PQCLEAN_KYBER768_CLEAN_CRYPTO_SECRETKEYBYTES,
    PQCLEAN_KYBER768_CLEAN_CRYPTO_CIPHERTEXTBYTES, PQCLEAN_KYBER768_CLEAN_CRYPTO_BYTES;
    PQCLEAN_KYBER768_CLEAN_crypto_kem_keypair, PQCLEAN_KYBER768_CLEAN_crypto_kem_enc,
    PQCLEAN_KYBER768_CLEAN_crypto_kem_dec;
    PQCLEAN_KYBER768_AVX2_crypto_kem_keypair, PQCLEAN_KYBER768_AVX2_crypto_kem_enc,
    PQCLEAN_KYBER768_AVX2_crypto_kem_dec;
}

parameter_set! {
    /// Kyber1024: a public key of 1568 octets, a ciphertext of 1568.
    KYBER_1024 = pqcrypto_kyber_round2::ffi;
    PQCLEAN_KYBER1024_CLEAN_CRYPTO_PUBLICKEYBYTES, PQCLEAN_KYBER1024_CLEAN_CRYPTO_SECRETKEYBYTES,
    PQCLEAN_KYBER1024_CLEAN_CRYPTO_CIPHERTEXTBYTES, PQCLEAN_KYBER1024_CLEAN_CRYPTO_BYTES;
    PQCLEAN_KYBER1024_CLEAN_crypto_kem_keypair, PQCLEAN_KYBER1024_CLEAN_crypto_kem_enc,
    PQCLEAN_KYBER1024_CLEAN_crypto_kem_dec;
    PQCLEAN_KYBER1024_AVX2_crypto_kem_keypair, PQCLEAN_KYBER1024_AVX2_crypto_kem_enc,
    PQCLEAN_KYBER1024_AVX2_crypto_kem_dec;
}
