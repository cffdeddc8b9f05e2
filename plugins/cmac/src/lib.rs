//! AES-CMAC as pseudo-random function (RFC 4615) and integrity algorithm (RFC 4494).

use std::sync::Arc;

use aes::Aes128;
use iana::{IntegrityAlgorithm, PseudoRandomFunction};
use modes::{CmacIntegrity, CmacPrf};
use plugin_api::{Feature, Host};

plugin_api::export_plugin! { name: "cmac", features: features }

/// What the plugin offers: AES-CMAC with keys of 128 bits.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    vec![
        Feature::prf(PseudoRandomFunction::AES128_CMAC, CmacPrf::<Aes128>::new()),
        Feature::integrity(
            IntegrityAlgorithm::AES_CMAC_96,
            CmacIntegrity::<Aes128>::new(16, 12),
        ),
    ]
}
