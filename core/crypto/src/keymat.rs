//! Keys: SKEYSEED, prf+, SK_* and KEYMAT (RFC 7296, 2.13 to 2.18; RFC 9370, 2.2).

use iana::PseudoRandomFunction;
use plugin_api::{ErrorKind, PluginError, Prf, Secret};

use crate::suite::{ChildSuite, Suite};

/// The keys of an IKE_SA.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SkKeys {
    /// To derive further keys from.
    pub sk_d: Secret,
    /// Integrity of what the original initiator sends; empty with an AEAD.
    pub sk_ai: Secret,
    /// Integrity of what the original responder sends; empty with an AEAD.
    pub sk_ar: Secret,
    /// Encryption of what the original initiator sends.
    pub sk_ei: Secret,
    /// Encryption of what the original responder sends.
    pub sk_er: Secret,
    /// For the AUTH payload of the original initiator.
    pub sk_pi: Secret,
    /// For the AUTH payload of the original responder.
    pub sk_pr: Secret,
}

/// The keys of a CHILD_SA; the initiator is who asked for it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ChildKeys {
    /// Encryption from initiator to responder, salt included.
    pub encryption_i: Secret,
    /// Integrity from initiator to responder; empty with an AEAD.
    pub integrity_i: Secret,
    /// Encryption from responder to initiator, salt included.
    pub encryption_r: Secret,
    /// Integrity from responder to initiator; empty with an AEAD.
    pub integrity_r: Secret,
}

/// Which PRF makes the keys of a rekeyed IKE_SA from its SKEYSEED; it matters only if the rekeying changes the PRF.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RekeyPrf {
    /// That of the old IKE_SA: strongSwan, up to 6.0.6 at least.
    Old,
    /// That of the new one (RFC 7296, 2.18).
    #[default]
    New,
}

/// The PRF over the concatenation of `parts`.
///
/// # Errors
///
/// If the PRF fails.
pub fn prf(prf: &dyn Prf, key: &[u8], parts: &[&[u8]]) -> Result<Secret, PluginError> {
    let mut out = Secret::zeroed(prf.output_len());
    prf.create(key)?.compute(parts, out.expose_mut())?;
    Ok(out)
}

/// prf+ (RFC 7296, 2.13): `len` octets from a key and a seed.
///
/// # Errors
///
/// If the PRF fails, or for more than 255 blocks of its output.
pub fn prf_plus(prf: &dyn Prf, key: &[u8], seed_parts: &[&[u8]], len: usize) -> Result<Secret, PluginError> {
    let block_len = prf.output_len();
    if block_len == 0 || len.div_ceil(block_len) > usize::from(u8::MAX) {
        let message = format!("prf+ cannot make {len} octets from blocks of {block_len}");
        return Err(PluginError::new(ErrorKind::InvalidArgument, message));
    }
    let key = prf.create(key)?;
    let seed_len: usize = seed_parts.iter().map(|part| part.len()).sum();
    // The block before, the seed, and the number.
    let mut input = Secret::zeroed(block_len + seed_len + 1);
    let mut at = block_len;
    for part in seed_parts {
        input.expose_mut()[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    let mut out = Secret::zeroed(len);
    let mut block = Secret::zeroed(block_len);
    for (number, chunk) in (1..=u8::MAX).zip(out.expose_mut().chunks_mut(block_len)) {
        input.expose_mut()[at] = number;
        // The first block has none before it.
        let from = if number == 1 { block_len } else { 0 };
        key.compute(&[&input.expose()[from..]], block.expose_mut())?;
        chunk.copy_from_slice(&block.expose()[..chunk.len()]);
        input.expose_mut()[..block_len].copy_from_slice(block.expose());
    }
    Ok(out)
}

/// The keys after IKE_SA_INIT (RFC 7296, 2.14).
///
/// # Errors
///
/// If the PRF fails.
pub fn derive_initial(
    suite: &Suite,
    shared: &Secret,
    ni: &[u8],
    nr: &[u8],
    spi_i: u64,
    spi_r: u64,
) -> Result<SkKeys, PluginError> {
    // PRFs with a key of fixed length get half of it from each nonce (RFC 7296, 2.14).
    let half = match suite.prf_id() {
        PseudoRandomFunction::AES128_XCBC
        | PseudoRandomFunction::AES128_CMAC
        | PseudoRandomFunction::CAMELLIA128_XCBC => suite.prf().key_len() / 2,
        _ => usize::MAX,
    };
    let cut = |nonce: &'_ [u8]| nonce.len().min(half);
    let key = [&ni[..cut(ni)], &nr[..cut(nr)]].concat();
    let skeyseed = prf(suite.prf(), &key, &[shared.expose()])?;
    expand(suite.prf(), suite, &skeyseed, ni, nr, spi_i, spi_r)
}

/// The keys after an IKE_INTERMEDIATE with a key exchange (RFC 9370, 2.2.2); nonces and SPIs are those of IKE_SA_INIT.
///
/// # Errors
///
/// If the PRF fails.
pub fn derive_next(
    suite: &Suite,
    sk_d: &Secret,
    shared: &Secret,
    ni: &[u8],
    nr: &[u8],
    spi_i: u64,
    spi_r: u64,
) -> Result<SkKeys, PluginError> {
    let skeyseed = prf(suite.prf(), sk_d.expose(), &[shared.expose(), ni, nr])?;
    expand(suite.prf(), suite, &skeyseed, ni, nr, spi_i, spi_r)
}

/// Mixes a post-quantum preshared key into SK_d, SK_pi and SK_pr (RFC 8784, 3), and returns what these were before.
///
/// # Errors
///
/// If the PRF fails; the keys are as they were then.
pub fn mix_ppk(prf: &dyn Prf, ppk: &[u8], sk: &mut SkKeys) -> Result<[Secret; 3], PluginError> {
    let mixed = |key: &Secret| prf_plus(prf, ppk, &[key.expose()], key.len());
    let (d, pi, pr) = (mixed(&sk.sk_d)?, mixed(&sk.sk_pi)?, mixed(&sk.sk_pr)?);
    Ok([
        std::mem::replace(&mut sk.sk_d, d),
        std::mem::replace(&mut sk.sk_pi, pi),
        std::mem::replace(&mut sk.sk_pr, pr),
    ])
}

/// What a rekeyed IKE_SA gets its keys from.
pub struct Rekeyed<'a> {
    /// The PRF of the old IKE_SA.
    pub old_prf: &'a dyn Prf,
    /// SK_d of the old IKE_SA.
    pub old_sk_d: &'a Secret,
    /// SK(0) and those of the additional key exchanges, in order.
    pub secrets: &'a [Secret],
    /// The initiator's nonce in CREATE_CHILD_SA.
    pub ni: &'a [u8],
    /// The responder's.
    pub nr: &'a [u8],
    /// The new IKE_SA's SPI of the initiator.
    pub spi_i: u64,
    /// The responder's.
    pub spi_r: u64,
    /// Which PRF expands.
    pub rule: RekeyPrf,
}

/// The keys of a rekeyed IKE_SA with the algorithms of `suite` (RFC 7296, 2.18; RFC 9370, 2.2.4).
///
/// # Errors
///
/// If the PRF fails, or without SK(0).
pub fn derive_rekeyed(suite: &Suite, from: &Rekeyed<'_>) -> Result<SkKeys, PluginError> {
    let Rekeyed { ni, nr, .. } = *from;
    if from.secrets.is_empty() {
        let message = "an IKE_SA cannot be rekeyed without key exchange";
        return Err(PluginError::new(ErrorKind::InvalidArgument, message));
    }
    let skeyseed = prf(
        from.old_prf,
        from.old_sk_d.expose(),
        &around_nonces(from.secrets, ni, nr),
    )?;
    let expanding = match from.rule {
        RekeyPrf::Old => from.old_prf,
        RekeyPrf::New => suite.prf(),
    };
    expand(expanding, suite, &skeyseed, ni, nr, from.spi_i, from.spi_r)
}

/// The keys of a CHILD_SA (RFC 7296, 2.17; RFC 9370, 2.2.4). For the one of IKE_AUTH there are no `secrets`, and the
/// nonces are those of IKE_SA_INIT.
///
/// # Errors
///
/// If the PRF fails.
pub fn derive_child(
    prf: &dyn Prf,
    child: &ChildSuite,
    sk_d: &Secret,
    secrets: &[Secret],
    ni: &[u8],
    nr: &[u8],
) -> Result<ChildKeys, PluginError> {
    let (encryption, integrity) = (child.encryption_key_len, child.integrity_key_len);
    let seed = around_nonces(secrets, ni, nr);
    let keymat = prf_plus(prf, sk_d.expose(), &seed, 2 * (encryption + integrity))?;
    let mut rest = keymat.expose();
    let mut take = |len| take(&mut rest, len);
    Ok(ChildKeys {
        encryption_i: take(encryption),
        integrity_i: take(integrity),
        encryption_r: take(encryption),
        integrity_r: take(integrity),
    })
}

/// SK(0) | Ni | Nr | SK(1) | ... | SK(n), or the nonces alone.
fn around_nonces<'a>(secrets: &'a [Secret], ni: &'a [u8], nr: &'a [u8]) -> Vec<&'a [u8]> {
    let (first, additional) = secrets.split_at(secrets.len().min(1));
    let expose = |secrets: &'a [Secret]| secrets.iter().map(Secret::expose);
    expose(first).chain([ni, nr]).chain(expose(additional)).collect()
}

/// The seven keys from SKEYSEED, with the lengths of `suite`.
fn expand(
    prf: &dyn Prf,
    suite: &Suite,
    skeyseed: &Secret,
    ni: &[u8],
    nr: &[u8],
    spi_i: u64,
    spi_r: u64,
) -> Result<SkKeys, PluginError> {
    let own = suite.prf().key_len();
    let (integrity, encryption) = (suite.integrity_key_len(), suite.encryption_key_len());
    let seed: &[&[u8]] = &[ni, nr, &spi_i.to_be_bytes(), &spi_r.to_be_bytes()];
    let keys = prf_plus(
        prf,
        skeyseed.expose(),
        seed,
        3 * own + 2 * (integrity + encryption),
    )?;
    let mut rest = keys.expose();
    let mut take = |len| take(&mut rest, len);
    Ok(SkKeys {
        sk_d: take(own),
        sk_ai: take(integrity),
        sk_ar: take(integrity),
        sk_ei: take(encryption),
        sk_er: take(encryption),
        sk_pi: take(own),
        sk_pr: take(own),
    })
}

fn take(rest: &mut &[u8], len: usize) -> Secret {
    let (key, behind) = rest.split_at(len);
    *rest = behind;
    Secret::copy_of(key)
}
