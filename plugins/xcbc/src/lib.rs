//! AES-XCBC-MAC as pseudo-random function (RFC 4434) and integrity algorithm (RFC 3566).

use std::sync::Arc;

use aes::Aes128;
use iana::{IntegrityAlgorithm, PseudoRandomFunction};
use modes::{Xcbc, XcbcPrf};
use plugin_api::{Feature, Host};

plugin_api::export_plugin! { name: "xcbc", features: features }

/// What the plugin offers: AES-XCBC-MAC with keys of 128 bits.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    vec![
        Feature::prf(PseudoRandomFunction::AES128_XCBC, XcbcPrf::<Aes128>::new()),
        Feature::integrity(IntegrityAlgorithm::AES_XCBC_96, Xcbc::<Aes128>::new()),
    ]
}
