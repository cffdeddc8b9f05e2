//! Routes that lead packets into the TUN device.
//!
//! The remote selector of every outbound policy becomes a route of the daemon's own table (220): `DST dev ipsec0 src X`.
//! If the peer itself lies in the selector, its address gets an exclude route along the ordinary path first: ESP and
//! IKE packets to it would go round in a circle otherwise. A policy to drop has a route into the device too, where its
//! packets end; one to pass has a route along the ordinary path, past the device. What still comes back, because somebody changed the routes
//! by hand, is recognized by [`Flow::is_between`](crate::packet::Flow::is_between) and dropped.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use iana::TrafficSelector;
use plugin_api::kernel::{PolicyAction, PolicyParameters, PolicyPriority, Route};
use plugin_api::log::{CONTROL, Group};
use plugin_api::{ErrorKind, Host, KernelNet, PluginError, routes};

/// Routes by the policies that need them.
pub struct Routes {
    host: Arc<dyn Host>,
    device: String,
    allow_peer_ts: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    policies: HashMap<Key, Needs>,
    routes: routes::Routes,
}

#[derive(PartialEq, Eq, Hash)]
struct Key {
    src_ts: TrafficSelector,
    dst_ts: TrafficSelector,
    priority: PolicyPriority,
    reqid: u32,
    spi: u32,
}

struct Needs {
    peer: IpAddr,
    local: IpAddr,
    exclude: Option<Route>,
    /// What leads the policy's packets where they belong.
    main: Option<Route>,
}

impl Routes {
    /// Routes into `device`; with `allow_peer_ts`, a policy may cover the peer itself, and the operator sees to it that
    /// IKE and ESP find their way (by a rule with a mark).
    pub fn new(host: Arc<dyn Host>, device: String, allow_peer_ts: bool) -> Self {
        Self {
            host,
            device,
            allow_peer_ts,
            state: Mutex::default(),
        }
    }

    /// Adds what a policy needs. A route the kernel refuses is logged, since the tunnel works for those who have one of
    /// their own.
    ///
    /// # Errors
    ///
    /// If a route for the policy would take the peer's packets away from itself.
    pub fn add(&self, policy: &PolicyParameters) -> Result<(), PluginError> {
        let Some(net) = routes::wanted(&*self.host, policy) else {
            return Ok(());
        };
        let conflicts = policy.action != PolicyAction::Pass && policy.dst_ts.is_host(policy.dst);
        if conflicts && !self.allow_peer_ts {
            return Err(PluginError::new(
                ErrorKind::InvalidArgument,
                format!(
                    "can't install route for {:?} === {:?} out, conflicts with IKE traffic; set \
                     charon.plugins.kernel-libipsec.allow_peer_ts = yes if IKE and ESP are routed by a mark",
                    policy.src_ts, policy.dst_ts
                ),
            ));
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (exclude, main) = match policy.action {
            PolicyAction::Pass => (None, routes::direct(&*self.host, &*net, &policy.dst_ts)),
            _ => (
                self.exclude_route(&*net, policy.dst, policy.src, &policy.dst_ts),
                Some(self.tunnel_route(&*net, policy)),
            ),
        };
        for route in [&exclude, &main].into_iter().flatten() {
            state.routes.install(&*self.host, &*net, route);
        }
        let needs = Needs {
            peer: policy.dst,
            local: policy.src,
            exclude,
            main,
        };
        if let Some(before) = state.policies.insert(key(policy), needs) {
            for route in [before.exclude, before.main].into_iter().flatten() {
                state.routes.uninstall(&*self.host, &*net, &route);
            }
        }
        Ok(())
    }

    /// Removes what no other policy needs.
    pub fn remove(&self, policy: &PolicyParameters) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(needs) = state.policies.remove(&key(policy)) else {
            return;
        };
        let Some(net) = self.host.kernel_net() else { return };
        // The exclude route goes last, for the same reason for which it came first.
        for route in [needs.main, needs.exclude].into_iter().flatten() {
            state.routes.uninstall(&*self.host, &*net, &route);
        }
    }

    /// Lets exclude routes follow a peer or ourselves to another address.
    pub fn move_peer(&self, reqid: u32, old_peer: IpAddr, peer: IpAddr, local: IpAddr) {
        let Some(net) = self.host.kernel_net() else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut policies = std::mem::take(&mut state.policies);
        policies.retain(|key, needs| {
            if key.reqid == reqid && needs.peer == old_peer && (needs.peer, needs.local) != (peer, local) {
                let exclude = self.exclude_route(&*net, peer, local, &key.dst_ts);
                if let Some(route) = &exclude {
                    state.routes.install(&*self.host, &*net, route);
                }
                if let Some(route) = needs.exclude.take() {
                    state.routes.uninstall(&*self.host, &*net, &route);
                }
                (needs.peer, needs.local, needs.exclude) = (peer, local, exclude);
            }
            true
        });
        state.policies = policies;
    }

    /// Removes all routes.
    pub fn clear(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.policies.clear();
        state.routes.clear(&*self.host);
    }

    fn tunnel_route(&self, net: &dyn KernelNet, policy: &PolicyParameters) -> Route {
        let (destination, prefix, _) = policy.dst_ts.covering_subnet();
        let source = routes::local_address(&*self.host, net, policy);
        Route {
            destination,
            prefix,
            gateway: None,
            source,
            interface: self.device.clone(),
        }
    }

    fn exclude_route(
        &self,
        net: &dyn KernelNet,
        peer: IpAddr,
        local: IpAddr,
        dst_ts: &TrafficSelector,
    ) -> Option<Route> {
        if self.allow_peer_ts || peer.is_unspecified() || !dst_ts.contains_address(peer) {
            return None;
        }
        let source = (!local.is_unspecified()).then_some(local);
        match net.next_hop(peer, source) {
            Ok(hop) => Some(Route {
                destination: peer,
                prefix: if peer.is_ipv4() { 32 } else { 128 },
                gateway: hop.gateway,
                source: source.or(hop.source),
                interface: hop.interface,
            }),
            Err(error) => {
                let text = format!("unable to install exclude route for {peer}: {error}");
                self.host.log(Group::Knl, CONTROL, &text);
                None
            }
        }
    }
}

fn key(policy: &PolicyParameters) -> Key {
    Key {
        src_ts: policy.src_ts.clone(),
        dst_ts: policy.dst_ts.clone(),
        priority: policy.priority,
        reqid: policy.reqid,
        spi: policy.spi,
    }
}

#[cfg(test)]
mod tests;
