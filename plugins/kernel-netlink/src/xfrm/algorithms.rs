//! What the kernel calls the algorithms of IKE.

use iana::{EncryptionAlgorithm as Encryption, IntegrityAlgorithm as Integrity, Protocol};
use netlink_packet_xfrm::{Alg, AlgAead, AlgAuth, XfrmAttrs};
use plugin_api::kernel::{IPCOMP, SaParameters};
use plugin_api::{ErrorKind, PluginError, Secret};

/// The attributes of an SA with its algorithms and keys.
///
/// # Errors
///
/// [`ErrorKind::NotSupported`] if Linux has no name for an algorithm.
pub(super) fn attributes(sa: &SaParameters) -> Result<Vec<XfrmAttrs>, PluginError> {
    let mut attributes = Vec::new();
    if sa.id.protocol == IPCOMP {
        attributes.push(XfrmAttrs::CompressionAlg(Alg {
            alg_name: padded("deflate"),
            alg_key_len: 0,
            alg_key: Vec::new(),
        }));
        return Ok(attributes);
    }
    if let Some((name, icv_octets)) = aead(sa.encryption) {
        attributes.push(XfrmAttrs::EncryptionAlgAead(AlgAead {
            alg_name: padded(name),
            alg_key_len: bits(sa.encryption_key.len()),
            alg_icv_len: bits(icv_octets),
            alg_key: octets(&sa.encryption_key),
        }));
        return Ok(attributes);
    }
    // AH has no encryption (RFC 4302).
    if sa.id.protocol != Protocol::AH {
        let name = cipher(sa.encryption).ok_or_else(|| unknown(sa.encryption))?;
        attributes.push(XfrmAttrs::EncryptionAlg(Alg {
            alg_name: padded(name),
            alg_key_len: bits(sa.encryption_key.len()),
            alg_key: octets(&sa.encryption_key),
        }));
    }
    let Some(algorithm) = sa.integrity else {
        return Ok(attributes);
    };
    let (name, icv_octets) = integrity(algorithm).ok_or_else(|| unknown(algorithm))?;
    attributes.push(XfrmAttrs::AuthenticationAlgTrunc(AlgAuth {
        alg_name: padded(name),
        alg_key_len: bits(sa.integrity_key.len()),
        alg_trunc_len: bits(icv_octets),
        alg_key: octets(&sa.integrity_key),
    }));
    Ok(attributes)
}

/// Whether Linux has a name for an encryption algorithm.
pub(super) fn has_encryption(algorithm: Encryption) -> bool {
    aead(algorithm).is_some() || cipher(algorithm).is_some()
}

/// Whether Linux has a name for an integrity algorithm.
pub(super) fn has_integrity(algorithm: Integrity) -> bool {
    integrity(algorithm).is_some()
}

/// Name and length of the ICV in octets.
fn aead(algorithm: Encryption) -> Option<(&'static str, usize)> {
    const GCM: &str = "rfc4106(gcm(aes))";
    const CCM: &str = "rfc4309(ccm(aes))";
    Some(match algorithm {
        Encryption::AES_GCM_8 => (GCM, 8),
        Encryption::AES_GCM_12 => (GCM, 12),
        Encryption::AES_GCM_16 => (GCM, 16),
        Encryption::AES_CCM_8 => (CCM, 8),
        Encryption::AES_CCM_12 => (CCM, 12),
        Encryption::AES_CCM_16 => (CCM, 16),
        Encryption::CHACHA20_POLY1305 => ("rfc7539esp(chacha20,poly1305)", 16),
        Encryption::NULL_AES_GMAC => ("rfc4543(gcm(aes))", 16),
        _ => return None,
    })
}

fn cipher(algorithm: Encryption) -> Option<&'static str> {
    Some(match algorithm {
        Encryption::NULL => "ecb(cipher_null)",
        Encryption::AES_CBC => "cbc(aes)",
        Encryption::AES_CTR => "rfc3686(ctr(aes))",
        Encryption::TRIPLE_DES_CBC => "cbc(des3_ede)",
        Encryption::DES_CBC => "cbc(des)",
        Encryption::CAST_CBC => "cbc(cast5)",
        Encryption::BLOWFISH_CBC => "cbc(blowfish)",
        Encryption::CAMELLIA_CBC => "cbc(camellia)",
        Encryption::SERPENT_CBC => "cbc(serpent)",
        Encryption::TWOFISH_CBC => "cbc(twofish)",
        _ => return None,
    })
}

/// Name and length of the truncated ICV in octets.
fn integrity(algorithm: Integrity) -> Option<(&'static str, usize)> {
    let name = match algorithm {
        Integrity::HMAC_MD5_96 | Integrity::HMAC_MD5_128 => "hmac(md5)",
        Integrity::HMAC_SHA1_96 | Integrity::HMAC_SHA1_128 | Integrity::HMAC_SHA1_160 => "hmac(sha1)",
        Integrity::HMAC_SHA2_256_96 | Integrity::HMAC_SHA2_256_128 => "hmac(sha256)",
        Integrity::HMAC_SHA2_384_192 => "hmac(sha384)",
        Integrity::HMAC_SHA2_512_256 => "hmac(sha512)",
        Integrity::AES_XCBC_96 => "xcbc(aes)",
        Integrity::AES_CMAC_96 => "cmac(aes)",
        _ => return None,
    };
    algorithm.key_and_tag_len().map(|(_, tag)| (name, tag))
}

fn unknown(algorithm: impl std::fmt::Display) -> PluginError {
    PluginError::new(
        ErrorKind::NotSupported,
        format!("algorithm {algorithm} not supported by the kernel, remove it from esp_proposals"),
    )
}

fn bits(octets: usize) -> u32 {
    octets as u32 * 8
}

/// The copy is overwritten once the message is sent.
fn octets(key: &Secret) -> Vec<u8> {
    key.expose().to_vec()
}

fn padded(name: &str) -> [u8; 64] {
    let mut padded = [0; 64];
    padded[..name.len()].copy_from_slice(name.as_bytes());
    padded
}
