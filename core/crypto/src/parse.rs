//! From the keywords of `ike=` and `esp=` to proposals.

use iana::keyword::Transform;
use iana::{
    EncryptionAlgorithm, ExtendedSequenceNumbers, IntegrityAlgorithm, KeyExchangeMethod, Protocol,
    TransformType,
};

use crate::proposal::{Proposal, ProposalError, wire_rank};
use crate::registry::Registry;

/// Parses one proposal, checks that nothing is missing and adds what is implied.
pub(crate) fn proposal(
    text: &str,
    protocol: Protocol,
    registry: &Registry,
) -> Result<Proposal, ProposalError> {
    let mut transforms = Vec::new();
    for keyword in text.split('-').map(str::trim) {
        let transform = registry
            .parse_keyword(keyword)
            .ok_or_else(|| ProposalError::NotRecognized(keyword.to_owned()))?;
        push(&mut transforms, transform);
    }
    match protocol {
        Protocol::IKE => complete_ike(&mut transforms)?,
        Protocol::AH => complete_ah(&mut transforms)?,
        _ => complete_esp(&mut transforms)?,
    }
    transforms.sort_by_key(|transform| wire_rank(transform.kind));
    Ok(Proposal {
        number: 1,
        protocol,
        spi: Vec::new(),
        transforms,
    })
}

fn complete_ike(transforms: &mut Vec<Transform>) -> Result<(), ProposalError> {
    if !has(transforms, TransformType::PRF) {
        for transform in of_type(transforms, TransformType::INTEG) {
            if let Some(prf) = IntegrityAlgorithm(transform.id).default_prf() {
                push(transforms, Transform::new(TransformType::PRF, prf.0));
            }
        }
    }
    if !has(transforms, TransformType::PRF) {
        return Err(ProposalError::NoPrf);
    }
    // An IKE_SA needs a key exchange, so NONE is no alternative there; ESN means nothing to it.
    let none = Transform::new(TransformType::KE, KeyExchangeMethod::NONE.0);
    transforms.retain(|transform| *transform != none && transform.kind != TransformType::ESN);
    if !has(transforms, TransformType::KE) {
        return Err(ProposalError::NoKeyExchange);
    }
    let aead = check_encryption(transforms, Protocol::IKE)?;
    if aead {
        transforms.retain(|transform| transform.kind != TransformType::INTEG);
    } else if !has(transforms, TransformType::INTEG) {
        return Err(ProposalError::NoIntegrity(Protocol::IKE));
    }
    Ok(())
}

fn complete_esp(transforms: &mut Vec<Transform>) -> Result<(), ProposalError> {
    transforms.retain(|transform| transform.kind != TransformType::PRF);
    if check_encryption(transforms, Protocol::ESP)? {
        transforms.retain(|transform| transform.kind != TransformType::INTEG);
    }
    imply_no_esn(transforms);
    Ok(())
}

fn complete_ah(transforms: &mut Vec<Transform>) -> Result<(), ProposalError> {
    for transform in of_type(transforms, TransformType::ENCR) {
        let gmac = match (EncryptionAlgorithm(transform.id), transform.key_bits) {
            (EncryptionAlgorithm::NULL_AES_GMAC, Some(128)) => IntegrityAlgorithm::AES_128_GMAC,
            (EncryptionAlgorithm::NULL_AES_GMAC, Some(192)) => IntegrityAlgorithm::AES_192_GMAC,
            (EncryptionAlgorithm::NULL_AES_GMAC, Some(256)) => IntegrityAlgorithm::AES_256_GMAC,
            _ => continue,
        };
        push(transforms, Transform::new(TransformType::INTEG, gmac.0));
    }
    transforms.retain(|transform| !matches!(transform.kind, TransformType::ENCR | TransformType::PRF));
    if !has(transforms, TransformType::INTEG) {
        return Err(ProposalError::NoIntegrityForAh);
    }
    imply_no_esn(transforms);
    Ok(())
}

/// Whether the encryption algorithms are AEADs; they must be all or none.
fn check_encryption(transforms: &[Transform], protocol: Protocol) -> Result<bool, ProposalError> {
    let mut aeads = of_type(transforms, TransformType::ENCR)
        .into_iter()
        .map(|transform| EncryptionAlgorithm(transform.id).is_aead());
    let first = aeads.next().ok_or(ProposalError::NoEncryption(protocol))?;
    if aeads.all(|aead| aead == first) {
        Ok(first)
    } else {
        Err(ProposalError::MixedEncryption(protocol))
    }
}

fn imply_no_esn(transforms: &mut Vec<Transform>) {
    if !has(transforms, TransformType::ESN) {
        transforms.push(Transform::new(
            TransformType::ESN,
            ExtendedSequenceNumbers::NO_EXT_SEQ.0,
        ));
    }
}

fn push(transforms: &mut Vec<Transform>, transform: Transform) {
    if !transforms.contains(&transform) {
        transforms.push(transform);
    }
}

fn has(transforms: &[Transform], kind: TransformType) -> bool {
    transforms.iter().any(|transform| transform.kind == kind)
}

fn of_type(transforms: &[Transform], kind: TransformType) -> Vec<Transform> {
    transforms
        .iter()
        .copied()
        .filter(|transform| transform.kind == kind)
        .collect()
}
