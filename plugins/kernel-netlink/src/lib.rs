//! Addresses, routes and links, and SAs and policies, of the Linux kernel, by netlink.
//!
//! [`net`] and [`xfrm`] are what the daemon sees: a feature each. [`connection`] asks the kernel. For the first, [`monitor`]
//! listens to it, [`state`] tells what changed, and [`lookup`] chooses among routes. Requests are synchronous: the kernel
//! answers before `sendto` returns, so that an async runtime, which the `rtnetlink` crate would bring along, would have
//! nothing to wait for.

mod cache;
pub mod connection;
mod filter;
mod listener;
pub mod lookup;
pub mod monitor;
pub mod net;
mod own_routes;
pub mod settings;
pub mod state;
pub mod xfrm;

use std::sync::Arc;

use plugin_api::{Feature, FeatureName, Host, Implementation, KernelIpsec, KernelNet};

plugin_api::export_plugin! { name: "kernel-netlink", features: features }

/// What this plugin offers.
pub fn features(host: &Arc<dyn Host>) -> Vec<Feature> {
    let net = |host: Arc<dyn Host>| {
        let net = net::Netlink::new(host)?;
        Ok(Arc::new(net) as Arc<dyn KernelNet>)
    };
    let ipsec = |host: Arc<dyn Host>| {
        let xfrm = xfrm::Xfrm::new(host)?;
        Ok(Arc::new(xfrm) as Arc<dyn KernelIpsec>)
    };
    vec![
        Feature::new(
            FeatureName::Custom("kernel-net".into()),
            Implementation::KernelNet(Box::new(net)),
        ),
        Feature::new(
            FeatureName::Custom("kernel-ipsec".into()),
            Implementation::KernelIpsec(Box::new(ipsec)),
        )
        .soft_depends(FeatureName::Custom("kernel-net".into())),
        Feature::kernel_algorithms(xfrm::Tried::new(Arc::clone(host))),
        Feature::kernel_demands(xfrm::Demands),
    ]
}
