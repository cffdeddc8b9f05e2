//! MODP groups by crypto-bigint, constant time; strongSwan has them in its plugin of this name.
//!
//! Prefer X25519 or the ECP groups where a choice is left: they cost a tenth to a thousandth. MODP_768, MODP_1024 and
//! MODP_1024_160 are within reach of those who record now (RFC 8247, 2.4); they are for peers that know nothing else, and
//! no default proposal has them, nor the groups of RFC 5114, of which nobody says where their primes are from. To add a
//! group of the construction of RFC 3526, write its line into [`GROUPS`].

mod group;
mod modp;
mod rfc5114;

use std::sync::Arc;

use iana::KeyExchangeMethod as Ke;
use plugin_api::{DhExchange, Feature, Host};

pub use group::{Construction, Group, Subgroup};
pub use modp::Modp;

plugin_api::export_plugin! { name: "gmp", features: features }

/// The groups: number, name in log lines, keyword in proposals, bits of the prime, its construction, octets of private
/// exponents.
///
/// Exponents are as long as the larger estimate of RFC 3526, section 8, demands, more than twice the bits of strength
/// that SP 800-56A gives these groups; the two groups smaller than that table's first have the length of its first.
/// In a subgroup they are 64 bits longer than its order, so that all its elements are as good as equally likely (SP
/// 800-56A, 5.6.1.1.3).
#[rustfmt::skip] // one line a group
pub const GROUPS: &[Group] = &[
    Group::new(Ke::MODP_768, "MODP_768", "modp768", 768, Construction::Pi { offset: 149_686 }, 30),
    Group::new(Ke::MODP_1024, "MODP_1024", "modp1024", 1024, Construction::Pi { offset: 129_093 }, 30),
    Group::new(Ke::MODP_1536, "MODP_1536", "modp1536", 1536, Construction::Pi { offset: 741_804 }, 30),
    Group::new(Ke::MODP_2048, "MODP_2048", "modp2048", 2048, Construction::Pi { offset: 124_476 }, 40),
    Group::new(Ke::MODP_3072, "MODP_3072", "modp3072", 3072, Construction::Pi { offset: 1_690_314 }, 53),
    Group::new(Ke::MODP_4096, "MODP_4096", "modp4096", 4096, Construction::Pi { offset: 240_904 }, 60),
    Group::new(Ke::MODP_6144, "MODP_6144", "modp6144", 6144, Construction::Pi { offset: 929_484 }, 68),
    Group::new(Ke::MODP_8192, "MODP_8192", "modp8192", 8192, Construction::Pi { offset: 4_743_158 }, 78),
    Group::new(Ke::MODP_1024_160, "MODP_1024_160", "modp1024s160", 1024, Construction::Subgroup(rfc5114::MODP_1024_160), 28),
    Group::new(Ke::MODP_2048_224, "MODP_2048_224", "modp2048s224", 2048, Construction::Subgroup(rfc5114::MODP_2048_224), 36),
    Group::new(Ke::MODP_2048_256, "MODP_2048_256", "modp2048s256", 2048, Construction::Subgroup(rfc5114::MODP_2048_256), 40),
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
