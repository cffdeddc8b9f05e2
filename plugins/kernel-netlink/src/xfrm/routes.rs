//! Routes for packets of this host into tunnels.
//!
//! A policy transforms a packet that is sent anyway; the route sees to its source address, without which no policy may
//! fit, and that it is sent at all. It leads along the path to the peer.

use std::collections::HashMap;
use std::sync::Arc;

use plugin_api::kernel::{PolicyAction, PolicyParameters, Route};
use plugin_api::log::{CONTROL, Group};
use plugin_api::{Host, KernelNet, routes};

/// Routes by the policies that need them.
pub(super) struct PolicyRoutes {
    host: Arc<dyn Host>,
    needs: HashMap<PolicyParameters, Route>,
    routes: routes::Routes,
}

impl PolicyRoutes {
    pub(super) fn new(host: Arc<dyn Host>) -> Self {
        Self {
            host,
            needs: HashMap::new(),
            routes: routes::Routes::default(),
        }
    }

    /// Adds what a policy needs.
    pub(super) fn add(&mut self, policy: &PolicyParameters) {
        let Some(net) = routes::wanted(&*self.host, policy) else {
            return;
        };
        let Some(route) = self.route(&*net, policy) else {
            return;
        };
        self.routes.install(&*self.host, &*net, &route);
        if let Some(before) = self.needs.insert(policy.clone(), route) {
            self.routes.uninstall(&*self.host, &*net, &before);
        }
    }

    /// Removes what no other policy needs.
    pub(super) fn remove(&mut self, policy: &PolicyParameters) {
        if let Some(route) = self.needs.remove(policy)
            && let Some(net) = self.host.kernel_net()
        {
            self.routes.uninstall(&*self.host, &*net, &route);
        }
    }

    /// Removes all of ours.
    pub(super) fn clear(&mut self) {
        self.needs.clear();
        self.routes.clear(&*self.host);
    }

    fn route(&self, net: &dyn KernelNet, policy: &PolicyParameters) -> Option<Route> {
        match policy.action {
            PolicyAction::Pass => return routes::direct(&*self.host, net, &policy.dst_ts),
            PolicyAction::Drop => return None,
            PolicyAction::Protect => {}
        }
        // A route fits whole packets' destinations, and would take along those of other protocols.
        let unrestricted = |ts: &iana::TrafficSelector| ts.protocol == 0 && ts.all_ports();
        if !unrestricted(&policy.src_ts) || !unrestricted(&policy.dst_ts) || policy.dst.is_unspecified() {
            return None;
        }
        let source = routes::local_address(&*self.host, net, policy)?;
        let local = (!policy.src.is_unspecified()).then_some(policy.src);
        let (destination, prefix, _) = policy.dst_ts.covering_subnet();
        match net.next_hop(policy.dst, local) {
            Ok(hop) => Some(Route {
                destination,
                prefix,
                gateway: hop
                    .gateway
                    // On link with the peer, the peer is the next hop, unless it is where the packets go anyway.
                    .or_else(|| (!policy.dst_ts.contains_address(policy.dst)).then_some(policy.dst))
                    // Of packets within those of the other family the policy knows the way; the route leads to it.
                    .filter(|gateway| gateway.is_ipv4() == destination.is_ipv4()),
                source: Some(source),
                interface: hop.interface,
            }),
            Err(error) => {
                let text = format!("unable to install source route for {destination}: {error}");
                self.host.log(Group::Knl, CONTROL, &text);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
