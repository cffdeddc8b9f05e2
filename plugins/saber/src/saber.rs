//! The parameter sets of Saber's submission to NIST's third round; all shared secrets have 32 octets.

use crate::pqclean::parameter_set;

parameter_set! {
    /// LightSaber: a public key of 672 octets, a ciphertext of 736.
    LIGHT_SABER = pqcrypto_saber::ffi;
    PQCLEAN_LIGHTSABER_CLEAN_CRYPTO_PUBLICKEYBYTES, PQCLEAN_LIGHTSABER_CLEAN_CRYPTO_SECRETKEYBYTES,
    PQCLEAN_LIGHTSABER_CLEAN_CRYPTO_CIPHERTEXTBYTES, PQCLEAN_LIGHTSABER_CLEAN_CRYPTO_BYTES;
    PQCLEAN_LIGHTSABER_CLEAN_crypto_kem_keypair, PQCLEAN_LIGHTSABER_CLEAN_crypto_kem_enc,
    PQCLEAN_LIGHTSABER_CLEAN_crypto_kem_dec;
    PQCLEAN_LIGHTSABER_AVX2_crypto_kem_keypair, PQCLEAN_LIGHTSABER_AVX2_crypto_kem_enc,
    PQCLEAN_LIGHTSABER_AVX2_crypto_kem_dec;
}

parameter_set! {
    /// Saber: a public key of 992 octets, a ciphertext of 1088.
    SABER = pqcrypto_saber::ffi;
    PQCLEAN_SABER_CLEAN_CRYPTO_PUBLICKEYBYTES, PQCLEAN_SABER_CLEAN_CRYPTO_SECRETKEYBYTES,
    PQCLEAN_SABER_CLEAN_CRYPTO_CIPHERTEXTBYTES, PQCLEAN_SABER_CLEAN_CRYPTO_BYTES;
    PQCLEAN_SABER_CLEAN_crypto_kem_keypair, PQCLEAN_SABER_CLEAN_crypto_kem_enc,
    PQCLEAN_SABER_CLEAN_crypto_kem_dec;
    PQCLEAN_SABER_AVX2_crypto_kem_keypair, PQCLEAN_SABER_AVX2_crypto_kem_enc,
    PQCLEAN_SABER_AVX2_crypto_kem_dec;
}

parameter_set! {
    /// FireSaber: a public key of 1312 octets, a ciphertext of 1472.
    FIRE_SABER = pqcrypto_saber::ffi;
    PQCLEAN_FIRESABER_CLEAN_CRYPTO_PUBLICKEYBYTES, PQCLEAN_FIRESABER_CLEAN_CRYPTO_SECRETKEYBYTES,
    PQCLEAN_FIRESABER_CLEAN_CRYPTO_CIPHERTEXTBYTES, PQCLEAN_FIRESABER_CLEAN_CRYPTO_BYTES;
    PQCLEAN_FIRESABER_CLEAN_crypto_kem_keypair, PQCLEAN_FIRESABER_CLEAN_crypto_kem_enc,
    PQCLEAN_FIRESABER_CLEAN_crypto_kem_dec;
    PQCLEAN_FIRESABER_AVX2_crypto_kem_keypair, PQCLEAN_FIRESABER_AVX2_crypto_kem_enc,
    PQCLEAN_FIRESABER_AVX2_crypto_kem_dec;
}
