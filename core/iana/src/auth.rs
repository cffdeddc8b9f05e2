//! Authentication: methods, certificate encodings, signature hashes (RFC 7296, 3.6 and 3.8; RFC 7427).

use crate::registry::registry;

registry! {
    /// How the AUTH payload was made.
    pub struct AuthMethod(u8) {
        RSA_SIGNATURE = 1 "RSA signature",
        SHARED_KEY = 2 "pre-shared key",
        DSS_SIGNATURE = 3 "DSS signature",
        ECDSA_256 = 9 "ECDSA-256 signature",
        ECDSA_384 = 10 "ECDSA-384 signature",
        ECDSA_521 = 11 "ECDSA-521 signature",
        SECURE_PASSWORD = 12 "secure password method",
        NULL = 13 "NULL authentication",
        DIGITAL_SIGNATURE = 14 "digital signature",
    }
}

registry! {
    /// What a CERT or CERTREQ payload holds.
    pub struct CertificateEncoding(u8) {
        X509_SIGNATURE = 4 "X509_SIGNATURE",
        CRL = 7 "CRL",
        RAW_RSA = 11 "RAW_RSA",
        HASH_AND_URL = 12 "HASH_AND_URL",
        HASH_AND_URL_BUNDLE = 13 "HASH_AND_URL_BUNDLE",
        OCSP_CONTENT = 14 "OCSP_CONTENT",
        RAW_PUBLIC_KEY = 15 "RAW_PUBLIC_KEY",
    }
}

registry! {
    /// Hashes for digital signatures, announced in SIGNATURE_HASH_ALGORITHMS.
    pub struct HashAlgorithm(u16) {
        SHA1 = 1 "HASH_SHA1",
        SHA2_256 = 2 "HASH_SHA2_256",
        SHA2_384 = 3 "HASH_SHA2_384",
        SHA2_512 = 4 "HASH_SHA2_512",
        /// The signature scheme hashes by itself (RFC 8420).
        IDENTITY = 5 "HASH_IDENTITY",
        /// Under strongSwan's number: it is never announced.
        MD5 = 1027 "HASH_MD5",
    }
}
