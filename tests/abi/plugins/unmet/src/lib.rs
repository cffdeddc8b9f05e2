//! Offers two hashers, one of which depends on a key exchange method that nobody provides.

use std::sync::Arc;

use iana::{HashAlgorithm, KeyExchangeMethod};
use plugin_api::{Feature, FeatureName, Hasher, Host, PluginError};

plugin_api::export_plugin! { name: "unmet", features: features }

fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    vec![
        Feature::hasher(HashAlgorithm(60_001), Zeros),
        Feature::hasher(HashAlgorithm(60_002), Zeros)
            .depends(FeatureName::KeyExchange(KeyExchangeMethod(60_000))),
    ]
}

struct Zeros;

impl Hasher for Zeros {
    fn output_len(&self) -> usize {
        4
    }

    fn hash(&self, _parts: &[&[u8]], out: &mut [u8]) -> Result<(), PluginError> {
        out.fill(0);
        Ok(())
    }
}
