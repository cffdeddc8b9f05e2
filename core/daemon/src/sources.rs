//! From which own addresses others are reached, as routes and addresses are now.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ike::Destination;
use plugin_api::KernelNet;

/// Answers that hold for a moment: of a change of addresses all IKE_SAs ask at once, and many of them the same.
pub(crate) struct Sources {
    net: Option<Arc<dyn KernelNet>>,
    /// Own addresses that can be used.
    present: Option<Vec<IpAddr>>,
    known: HashMap<Destination, Option<IpAddr>>,
}

impl Sources {
    /// Nothing has been asked yet. Without `net` there is no way to anywhere.
    pub(crate) fn new(net: Option<Arc<dyn KernelNet>>) -> Self {
        Self {
            net,
            present: None,
            known: HashMap::new(),
        }
    }

    /// The own addresses that routes have packets leave from; none where they know no way, or not by the own address that
    /// was asked for.
    pub(crate) fn find(&mut self, destinations: &[Destination]) -> Vec<Option<IpAddr>> {
        destinations.iter().map(|to| self.source(to)).collect()
    }

    fn source(&mut self, to: &Destination) -> Option<IpAddr> {
        let net = self.net.as_ref()?;
        let present = self.present.get_or_insert_with(|| {
            let addresses = net.addresses().unwrap_or_default();
            let up = addresses.into_iter().filter(|own| own.up);
            up.map(|own| own.address).collect()
        });
        if to.local.is_some_and(|local| !present.contains(&local)) {
            return None;
        }
        *self.known.entry(*to).or_insert_with(|| {
            let source = net.next_hop(to.remote, to.local).ok()?.source;
            source.filter(|source| to.local.is_none_or(|local| local == *source))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use plugin_api::PluginError;
    use plugin_api::kernel::{LocalAddress, NextHop, Route};

    use super::*;

    const OWN: &str = "192.0.2.1";
    const GONE: &str = "192.0.2.2";

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn to(remote: &str, local: Option<&str>) -> Destination {
        Destination {
            remote: address(remote),
            local: local.map(address),
        }
    }

    /// A host that has but `OWN`, and knows no way to IPv6.
    #[derive(Default)]
    struct Net {
        lists: AtomicUsize,
        lookups: AtomicUsize,
    }

    impl KernelNet for Net {
        fn addresses(&self) -> Result<Vec<LocalAddress>, PluginError> {
            self.lists.fetch_add(1, Relaxed);
            let own = |text, up| LocalAddress {
                address: address(text),
                prefix: 24,
                interface: "eth0".into(),
                loopback: false,
                up,
                is_virtual: false,
            };
            Ok(vec![own(OWN, true), own(GONE, false)])
        }
        fn next_hop(&self, remote: IpAddr, _: Option<IpAddr>) -> Result<NextHop, PluginError> {
            self.lookups.fetch_add(1, Relaxed);
            if remote.is_ipv6() {
                return Err(PluginError::new(plugin_api::ErrorKind::NotFound, "no route"));
            }
            Ok(NextHop {
                gateway: None,
                interface: "eth0".into(),
                source: Some(address(OWN)),
            })
        }
        fn add_address(&self, _: IpAddr, _: u8, _: &str) -> Result<(), PluginError> {
            unreachable!("nothing is changed")
        }
        fn delete_address(&self, _: IpAddr, _: u8, _: &str) -> Result<(), PluginError> {
            unreachable!("nothing is changed")
        }
        fn add_route(&self, _: &Route) -> Result<(), PluginError> {
            unreachable!("nothing is changed")
        }
        fn delete_route(&self, _: &Route) -> Result<(), PluginError> {
            unreachable!("nothing is changed")
        }
    }

    #[test]
    fn what_many_ask_is_looked_up_once() {
        let net = Arc::new(Net::default());
        let mut sources = Sources::new(Some(net.clone()));
        let peer = [to("198.51.100.7", Some(OWN)), to("198.51.100.7", None)];
        for _ in 0..100 {
            assert_eq!(sources.find(&peer), [Some(address(OWN)); 2]);
        }
        assert_eq!((net.lists.load(Relaxed), net.lookups.load(Relaxed)), (1, 2));
        sources.find(&[to("203.0.113.9", None)]);
        assert_eq!(net.lookups.load(Relaxed), 3);
    }

    #[test]
    fn there_is_no_way_by_an_address_that_is_gone_or_not_the_one_of_the_route() {
        let mut sources = Sources::new(Some(Arc::new(Net::default())));
        for local in [GONE, "192.0.2.3"] {
            assert_eq!(sources.find(&[to("198.51.100.7", Some(local))]), [None]);
        }
        assert_eq!(sources.find(&[to("2001:db8::7", None)]), [None]);
        assert_eq!(Sources::new(None).find(&[to("198.51.100.7", None)]), [None]);
    }
}
