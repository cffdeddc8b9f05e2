//! MD5, and HMAC with it (RFC 2403), for peers that have nothing better; no default proposal has it.

mod md5;

use std::sync::Arc;

use ::md5::Md5;
use iana::{HashAlgorithm, IntegrityAlgorithm, PseudoRandomFunction};
use modes::{HmacIntegrity, HmacPrf};
use plugin_api::{Feature, Host};

pub use crate::md5::Md5Hasher;

plugin_api::export_plugin! { name: "md5", features: features }

/// What the plugin offers: the hash function, the pseudo-random function and the integrity algorithms.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let integrity =
        |algorithm, tag_len| Feature::integrity(algorithm, HmacIntegrity::<Md5>::new(16, tag_len));
    vec![
        Feature::hasher(HashAlgorithm::MD5, Md5Hasher),
        Feature::prf(PseudoRandomFunction::HMAC_MD5, HmacPrf::<Md5>::new()),
        integrity(IntegrityAlgorithm::HMAC_MD5_96, 12),
        integrity(IntegrityAlgorithm::HMAC_MD5_128, 16),
    ]
}
