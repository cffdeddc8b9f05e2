//! HMAC as pseudo-random function and integrity algorithm.

use std::sync::Arc;

use ::hmac::{EagerHash, Hmac};
use ::sha1::Sha1;
use ::sha2::{Sha256, Sha384, Sha512};
use iana::{IntegrityAlgorithm, PseudoRandomFunction};
use modes::{HmacIntegrity, HmacPrf, MacState};
use plugin_api::{Feature, Host};

plugin_api::export_plugin! { name: "hmac", features: features }

/// What the plugin offers: HMAC with SHA-1 and SHA-2.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let prf = PseudoRandomFunction::HMAC_SHA1;
    let mut features = vec![
        Feature::prf(prf, HmacPrf::<Sha1>::new()),
        Feature::prf(PseudoRandomFunction::HMAC_SHA2_256, HmacPrf::<Sha256>::new()),
        Feature::prf(PseudoRandomFunction::HMAC_SHA2_384, HmacPrf::<Sha384>::new()),
        Feature::prf(PseudoRandomFunction::HMAC_SHA2_512, HmacPrf::<Sha512>::new()),
    ];
    features.extend(integrity::<Sha1>(&[
        IntegrityAlgorithm::HMAC_SHA1_96,
        IntegrityAlgorithm::HMAC_SHA1_128,
        IntegrityAlgorithm::HMAC_SHA1_160,
    ]));
    features.extend(integrity::<Sha256>(&[
        IntegrityAlgorithm::HMAC_SHA2_256_96,
        IntegrityAlgorithm::HMAC_SHA2_256_128,
    ]));
    features.extend(integrity::<Sha384>(&[IntegrityAlgorithm::HMAC_SHA2_384_192]));
    features.extend(integrity::<Sha512>(&[IntegrityAlgorithm::HMAC_SHA2_512_256]));
    features
}

/// Features of one hash function, for the algorithms the registry knows the lengths of.
fn integrity<D>(algorithms: &[IntegrityAlgorithm]) -> Vec<Feature>
where
    D: EagerHash + 'static,
    Hmac<D>: MacState,
{
    algorithms
        .iter()
        .filter_map(|&algorithm| {
            let (key_len, tag_len) = algorithm.key_and_tag_len()?;
            Some(Feature::integrity(
                algorithm,
                HmacIntegrity::<D>::new(key_len, tag_len),
            ))
        })
        .collect()
}
