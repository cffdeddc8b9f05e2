//! A kernel back end that refuses everything, and quotes what it was asked for.

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::RawFd;
use std::sync::Arc;

use iana::Protocol;
use plugin_api::kernel::{KernelFeatures, PolicyParameters, ReceivedEsp, SaId, SaParameters, SaUsage};
use plugin_api::{ErrorKind, Feature, FeatureName, Host, Implementation, KernelIpsec, PluginError};

plugin_api::export_plugin! { name: "quotes", features: features }

fn features(_host: &Arc<dyn Host>) -> Vec<Feature> {
    vec![Feature::new(
        FeatureName::Custom("kernel-ipsec".into()),
        Implementation::KernelIpsec(Box::new(|_| Ok(Arc::new(Quotes) as Arc<dyn KernelIpsec>))),
    )]
}

struct Quotes;

fn quoted<T>(asked: impl Debug) -> Result<T, PluginError> {
    Err(PluginError::new(ErrorKind::NotSupported, format!("{asked:?}")))
}

impl KernelIpsec for Quotes {
    fn features(&self) -> KernelFeatures {
        KernelFeatures {
            require_udp_encap: false,
            tfc: true,
            marks: true,
            interfaces: true,
            hw_offload: true,
        }
    }

    fn allocate_spi(&self, src: IpAddr, dst: IpAddr, protocol: Protocol) -> Result<u32, PluginError> {
        quoted((src, dst, protocol))
    }

    fn add_sa(&self, sa: &SaParameters) -> Result<(), PluginError> {
        quoted(sa)
    }

    fn update_sa(&self, id: &SaId, src: SocketAddr, dst: SocketAddr, encap: bool) -> Result<(), PluginError> {
        quoted((id, src, dst, encap))
    }

    fn query_sa(&self, id: &SaId) -> Result<SaUsage, PluginError> {
        quoted(id)
    }

    fn delete_sa(&self, id: &SaId) -> Result<(), PluginError> {
        quoted(id)
    }

    fn flush_sas(&self) -> Result<(), PluginError> {
        quoted("all SAs")
    }

    fn add_policy(&self, policy: &PolicyParameters) -> Result<(), PluginError> {
        quoted(policy)
    }

    fn delete_policy(&self, policy: &PolicyParameters) -> Result<(), PluginError> {
        quoted(policy)
    }

    fn flush_policies(&self) -> Result<(), PluginError> {
        quoted("all policies")
    }

    fn bypass_socket(&self, socket: RawFd, ipv6: bool) -> Result<(), PluginError> {
        quoted((socket, ipv6))
    }

    fn enable_udp_decap(&self, socket: RawFd, ipv6: bool, port: u16) -> Result<(), PluginError> {
        quoted((socket, ipv6, port))
    }

    fn receive_esp(&self, received: &ReceivedEsp, packets: &mut [u8]) {
        packets.fill(received.tos);
    }
}
