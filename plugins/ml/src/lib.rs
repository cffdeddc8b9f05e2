//! ML-KEM (FIPS 203) by RustCrypto's `ml-kem`.
//!
//! Of the three crates in Rust that are kept up this one has no `unsafe`, zeroizes its keys and is released by a group of
//! people: libcrux's is proven correct and takes a third of the time, but leaves secret keys in freed memory; `fips203`
//! zeroizes too, is one author's, and brings an older generation of `rand_core`. `ml-kem` means to be constant time (no
//! branch, index or division depends on a secret; 0.3.3 and 0.3.4 mended what did), and says that nobody audited it.
//! Where the plugin `aws-lc` is loaded before this one, its implementation is used, which takes a fifth to a tenth of
//! the time.

mod ml_kem;

use std::sync::Arc;

use ::ml_kem::{MlKem512, MlKem768, MlKem1024};
use iana::KeyExchangeMethod;
use plugin_api::{Feature, Host, KemExchange};

pub use ml_kem::{MlKem, ParameterSet};

plugin_api::export_plugin! { name: "ml", features: features }

/// What the plugin offers: the three parameter sets.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    vec![
        feature::<MlKem512>("mlkem512"),
        feature::<MlKem768>("mlkem768"),
        feature::<MlKem1024>("mlkem1024"),
    ]
}

fn feature<P: ParameterSet>(keyword: &str) -> Feature {
    let KeyExchangeMethod(method) = P::METHOD;
    Feature::key_exchange(
        method,
        &P::METHOD.to_string(),
        keyword,
        KemExchange::new(MlKem::<P>::new()),
    )
}
