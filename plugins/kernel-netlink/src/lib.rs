//! Addresses, routes and links of the Linux kernel, by netlink.
//!
//! [`net`] is what the daemon sees, [`connection`] asks the kernel, [`monitor`] listens to it, [`state`] tells what changed,
//! [`lookup`] chooses among routes. Requests are synchronous: the kernel answers before `sendto` returns, so that an
//! async runtime, which the `rtnetlink` crate would bring along, would have nothing to wait for. SAs and policies of the
//! kernel (XFRM) have their place in a module `xfrm` beside these, with a feature `CUSTOM:kernel-ipsec` of its own.

pub mod connection;
pub mod lookup;
pub mod monitor;
pub mod net;
pub mod settings;
pub mod state;

use std::sync::Arc;

use plugin_api::{Feature, FeatureName, Host, Implementation};

plugin_api::export_plugin! { name: "kernel-netlink", features: features }

/// What this plugin offers.
pub fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    let constructor = |host: Arc<dyn Host>| {
        let net = net::Netlink::new(host)?;
        Ok(Arc::new(net) as Arc<dyn plugin_api::KernelNet>)
    };
    let implementation = Implementation::KernelNet(Box::new(constructor));
    vec![Feature::new(
        FeatureName::Custom("kernel-net".into()),
        implementation,
    )]
}
