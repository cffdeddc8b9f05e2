//! 3DES in CBC mode (RFC 2451), for peers that have nothing better.
//!
//! Its blocks of 64 bits repeat after some gigabytes (Sweet32), so no default proposal has it. DES itself, which strongSwan's
//! plugin of this name has too, falls to an afternoon of computing and is left out.

use std::sync::Arc;

use ::des::TdesEde3;
use iana::EncryptionAlgorithm;
use modes::Cbc;
use plugin_api::{Feature, Host};

plugin_api::export_plugin! { name: "des", features: features }

/// What the plugin offers: 3DES-CBC.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let algorithm = EncryptionAlgorithm::TRIPLE_DES_CBC;
    vec![Feature::cipher(algorithm, 24, Cbc::<TdesEde3>::new())]
}
