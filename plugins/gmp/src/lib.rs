//! MODP groups by crypto-bigint, constant time; strongSwan has them in its plugin of this name.
//!
//! Prefer X25519 or the ECP groups where a choice is left: they cost a tenth to a hundredth. To add a group of the same
//! construction, write its line into [`GROUPS`].

mod modp;

use std::sync::Arc;

use iana::KeyExchangeMethod;
use plugin_api::{DhExchange, Feature, Host};

pub use modp::{Group, Modp};

plugin_api::export_plugin! { name: "gmp", features: features }

/// The groups of RFC 3526. Exponents are as long as the larger estimate of its section 8 demands, more than the twice
/// 112, 128 and 152 bits of strength that SP 800-56A gives these groups.
pub const GROUPS: &[Group] = &[
    Group {
        method: KeyExchangeMethod::MODP_2048,
        name: "MODP_2048",
        keyword: "modp2048",
        bits: 2048,
        offset: 124_476,
        exponent_len: 40,
    },
    Group {
        method: KeyExchangeMethod::MODP_3072,
        name: "MODP_3072",
        keyword: "modp3072",
        bits: 3072,
        offset: 1_690_314,
        exponent_len: 53,
    },
    Group {
        method: KeyExchangeMethod::MODP_4096,
        name: "MODP_4096",
        keyword: "modp4096",
        bits: 4096,
        offset: 240_904,
        exponent_len: 60,
    },
];

/// What the plugin offers: the groups.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    GROUPS
        .iter()
        .map(|group| {
            let exchange = DhExchange::new(Modp::new(group));
            Feature::key_exchange(group.method.0, group.name, group.keyword, exchange)
        })
        .collect()
}
