//! Routes that lead packets into the TUN device.
//!
//! The remote selector of every outbound policy becomes a route of the daemon's own table (220): `DST dev ipsec0 src X`.
//! If the peer itself lies in the selector, its address gets an exclude route along the ordinary path first: ESP and
//! IKE packets to it would go round in a circle otherwise. A policy to drop has a route into the device too, where its
//! packets end; one to pass has a route along the ordinary path, past the device. What still comes back, because somebody changed the routes
//! by hand, is recognized by [`Flow::is_between`](crate::packet::Flow::is_between) and dropped.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};

use iana::TrafficSelector;
use plugin_api::kernel::{PolicyAction, PolicyParameters, Route};
use plugin_api::log::{CONTROL, Group};
use plugin_api::{ErrorKind, Host, KernelNet, PluginError, routes};

use crate::spd::Treatment;

/// Routes by the policies that need them.
pub struct Routes {
    host: Arc<dyn Host>,
    device: String,
    allow_peer_ts: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By reqid.
    policies: HashMap<u32, OfReqid>,
    routes: routes::Routes,
}

/// Policies with one reqid that have routes: rarely more than one, but of an SA that moves or is rekeyed the new one comes
/// before the old one goes.
enum OfReqid {
    One(Box<Needs>),
    Many(Vec<Needs>),
}

struct Needs {
    policy: Arc<Treatment>,
    /// Where its SA has moved to: peer and own address.
    moved: Option<Box<(IpAddr, IpAddr)>>,
    exclude: Option<Box<Route>>,
    /// What leads the policy's packets where they belong.
    main: Main,
}

enum Main {
    /// Nothing.
    None,
    /// Into the device, with this source.
    Tunnel(Option<Ipv4Addr>),
    /// Any other.
    Other(Box<Route>),
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
    pub fn add(&self, policy: &PolicyParameters, treatment: Arc<Treatment>) -> Result<(), PluginError> {
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
                Some(self.tunnel_route(policy, routes::local_address(&*self.host, &*net, policy))),
            ),
        };
        for route in [&exclude, &main].into_iter().flatten() {
            state.routes.install(&*self.host, &*net, route);
        }
        let needs = Needs {
            main: self.pack(&treatment, main),
            policy: treatment,
            moved: None,
            exclude: exclude.map(Box::new),
        };
        match state.policies.entry(policy.reqid) {
            Entry::Vacant(free) => {
                free.insert(OfReqid::One(Box::new(needs)));
            }
            Entry::Occupied(mut group) => group.get_mut().push(needs),
        }
        Ok(())
    }

    /// Removes what no other policy needs.
    pub fn remove(&self, policy: &Arc<Treatment>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let Entry::Occupied(mut group) = state.policies.entry(policy.reqid) else {
            return;
        };
        let Some(needs) = group.get_mut().remove(policy) else {
            return;
        };
        if group.get().is_empty() {
            group.remove();
        }
        let Some(net) = self.host.kernel_net() else { return };
        // The exclude route goes last, for the same reason for which it came first.
        let main = self.unpack(&needs);
        for route in [main, needs.exclude.map(|route| *route)].into_iter().flatten() {
            state.routes.uninstall(&*self.host, &*net, &route);
        }
    }

    /// Lets exclude routes follow a peer or ourselves to another address.
    pub fn move_peer(&self, reqid: u32, old_peer: IpAddr, peer: IpAddr, local: IpAddr) {
        let Some(net) = self.host.kernel_net() else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { policies, routes } = &mut *state;
        let Some(group) = policies.get_mut(&reqid) else {
            return;
        };
        for needs in group.as_mut_slice() {
            let (own_peer, own_local) = needs.ends();
            if own_peer != old_peer || (own_peer, own_local) == (peer, local) {
                continue;
            }
            let dst_ts = needs.policy.parameters().dst_ts;
            let exclude = self.exclude_route(&*net, peer, local, &dst_ts);
            if let Some(route) = &exclude {
                routes.install(&*self.host, &*net, route);
            }
            if let Some(route) = needs.exclude.take() {
                routes.uninstall(&*self.host, &*net, &route);
            }
            needs.exclude = exclude.map(Box::new);
            needs.moved = Some(Box::new((peer, local)));
        }
    }

    /// Removes all routes.
    pub fn clear(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.policies.clear();
        state.routes.clear(&*self.host);
    }

    fn tunnel_route(&self, policy: &PolicyParameters, source: Option<IpAddr>) -> Route {
        let (destination, prefix, _) = policy.dst_ts.covering_subnet();
        Route {
            destination,
            prefix,
            gateway: None,
            source,
            interface: self.device.clone(),
        }
    }

    /// Keeps of a route what does not follow from the policy.
    fn pack(&self, policy: &Treatment, route: Option<Route>) -> Main {
        let Some(route) = route else { return Main::None };
        let source = match route.source {
            None => None,
            Some(IpAddr::V4(source)) => Some(source),
            Some(IpAddr::V6(_)) => return Main::Other(Box::new(route)),
        };
        if route == self.tunnel_route(&policy.parameters(), route.source) {
            Main::Tunnel(source)
        } else {
            Main::Other(Box::new(route))
        }
    }

    fn unpack(&self, needs: &Needs) -> Option<Route> {
        match &needs.main {
            Main::None => None,
            Main::Tunnel(source) => {
                Some(self.tunnel_route(&needs.policy.parameters(), source.map(IpAddr::V4)))
            }
            Main::Other(route) => Some((**route).clone()),
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

impl Needs {
    /// Peer and own address.
    fn ends(&self) -> (IpAddr, IpAddr) {
        self.moved.as_deref().copied().unwrap_or_else(|| {
            let policy = self.policy.parameters();
            (policy.dst, policy.src)
        })
    }
}

impl OfReqid {
    fn push(&mut self, needs: Needs) {
        let mut all = std::mem::replace(self, Self::Many(Vec::new())).into_vec();
        all.push(needs);
        *self = Self::Many(all);
    }

    fn into_vec(self) -> Vec<Needs> {
        match self {
            Self::One(one) => vec![*one],
            Self::Many(all) => all,
        }
    }

    /// Takes out what a policy needs.
    fn remove(&mut self, policy: &Arc<Treatment>) -> Option<Needs> {
        let mut all = std::mem::replace(self, Self::Many(Vec::new())).into_vec();
        let at = all.iter().position(|needs| Arc::ptr_eq(&needs.policy, policy));
        let removed = at.map(|at| all.swap_remove(at));
        *self = match <[Needs; 1]>::try_from(all) {
            Ok([one]) => Self::One(Box::new(one)),
            Err(all) => Self::Many(all),
        };
        removed
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::Many(all) if all.is_empty())
    }

    fn as_mut_slice(&mut self) -> &mut [Needs] {
        match self {
            Self::One(one) => std::slice::from_mut(one),
            Self::Many(all) => all,
        }
    }
}

#[cfg(test)]
mod tests;
