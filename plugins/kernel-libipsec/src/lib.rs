//! ESP in user space on a TUN device.
//!
//! Packets that the routes of [`routes`] lead into the device are matched with a policy ([`spd`]), encrypted with its SA
//! ([`sad`], [`esp`]) and sent in UDP by the daemon's own socket ([`udp`]), or without UDP by one of the plugin (`raw`); what
//! is received comes back by [`backend::Libipsec`] and leaves through the device. [`io`] is that path, [`replay`], [`lifetime`] and [`packet`] are
//! the checks along it, and [`headers`] tells what goes from an inner header to an outer one and back.

pub mod backend;
mod batch;
mod demands;
pub mod drops;
pub mod esp;
mod events;
pub mod headers;
pub mod io;
pub mod lifetime;
pub mod offload;
pub mod packet;
mod raw;
pub mod replay;
pub mod routes;
pub mod sad;
pub mod selectors;
pub mod settings;
pub mod spd;
pub mod timer;
pub mod tun;
pub mod udp;

use std::sync::Arc;

use iana::{EncryptionAlgorithm, IntegrityAlgorithm, Protocol};
use plugin_api::{Feature, FeatureName, Host, Implementation, KernelAlgorithms};

plugin_api::export_plugin! { name: "kernel-libipsec", features: features }

/// What this plugin offers.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let constructor = |host: Arc<dyn Host>| {
        let backend = backend::Libipsec::new(host)?;
        Ok(Arc::new(backend) as Arc<dyn plugin_api::KernelIpsec>)
    };
    let implementation = Implementation::KernelIpsec(Box::new(constructor));
    // Routes come from there; without it, an operator makes them.
    let routes = FeatureName::Custom("kernel-net".into());
    vec![
        Feature::new(FeatureName::Custom("kernel-ipsec".into()), implementation).soft_depends(routes),
        Feature::kernel_algorithms(Algorithms),
        Feature::kernel_demands(demands::Demands),
    ]
}

/// What [`esp`] can compute.
struct Algorithms;

impl KernelAlgorithms for Algorithms {
    fn encrypts(&self, algorithm: EncryptionAlgorithm, key_len: u16) -> bool {
        esp::Keys::encrypts_with(algorithm, key_len.into())
    }

    fn authenticates(&self, protocol: Protocol, algorithm: IntegrityAlgorithm) -> bool {
        protocol == Protocol::ESP && esp::Keys::authenticates_with(algorithm)
    }
}
