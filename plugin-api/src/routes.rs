//! Routes that policies need: what back ends for IPsec have in common.
//!
//! A back end decides which routes a policy has; here they are counted, so that policies share them, and installed by the
//! back end for addresses and routes.

mod map;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use iana::TrafficSelector;

use crate::kernel::{Direction, KernelNet, PolicyAction, PolicyParameters, Route, SaMode};
use crate::log::{CONTROL, DIAGNOSE, Group};
use crate::{ErrorKind, Host};
pub use map::RouteMap;

/// Routes and how many policies need each.
#[derive(Debug, Default)]
pub struct Routes {
    routes: RouteMap<Use>,
    /// Those that were there before or that the kernel has refused, by destination and length of its prefix.
    standing_back: HashMap<(IpAddr, u8), Vec<Route>>,
}

#[derive(Clone, Copy, Debug)]
struct Use {
    users: u32,
    /// Whether it was not there before.
    ours: bool,
}

impl Routes {
    /// Adds a route, or one more user of it. One that the kernel refuses is logged, since the tunnel works for those who
    /// have one of their own; one that is there already is left alone.
    pub fn install(&mut self, host: &dyn Host, net: &dyn KernelNet, route: &Route) {
        if let Some(usage) = self.routes.get_mut(route) {
            usage.users += 1;
            // It may have gone with an address or a link meanwhile; the back end knows what it has added.
            if net.add_route(route).is_ok() && !std::mem::replace(&mut usage.ours, true) {
                self.forget_standing_back(route);
            }
            return;
        }
        let ours = match net.add_route(route) {
            Ok(()) => true,
            Err(error) if error.kind == ErrorKind::AlreadyExists => false,
            Err(error) => {
                let text = format!(
                    "unable to install source route for {}: {error}",
                    route.destination
                );
                host.log(Group::Knl, CONTROL, &text);
                false
            }
        };
        if !ours {
            let same = self.standing_back.entry(network(route)).or_default();
            same.push(route.clone());
        }
        self.routes.insert(route, Use { users: 1, ours });
    }

    /// Removes one user of a route, and the route with the last.
    pub fn uninstall(&mut self, host: &dyn Host, net: &dyn KernelNet, route: &Route) {
        let Some(usage) = self.routes.get_mut(route) else {
            return;
        };
        usage.users -= 1;
        if usage.users > 0 {
            return;
        }
        let ours = usage.ours;
        self.routes.remove(route);
        if !ours {
            self.forget_standing_back(route);
            return;
        }
        delete(host, net, route);
        // One to the same destination that had to stand back takes its place.
        let Some(mut same) = self.standing_back.remove(&network(route)) else {
            return;
        };
        same.retain(|other| {
            let added = net.add_route(other).is_ok();
            if added && let Some(usage) = self.routes.get_mut(other) {
                usage.ours = true;
            }
            !added
        });
        if !same.is_empty() {
            self.standing_back.insert(network(route), same);
        }
    }

    /// Removes all routes that were not there before.
    pub fn clear(&mut self, host: &dyn Host) {
        let routes = std::mem::take(self).routes;
        let Some(net) = host.kernel_net() else { return };
        for (route, _) in routes.iter().filter(|(_, usage)| usage.ours) {
            delete(host, &*net, &route);
        }
    }

    fn forget_standing_back(&mut self, route: &Route) {
        if let Some(same) = self.standing_back.get_mut(&network(route)) {
            same.retain(|other| other != route);
            if same.is_empty() {
                self.standing_back.remove(&network(route));
            }
        }
    }
}

/// Of such routes a table has one.
fn network(route: &Route) -> (IpAddr, u8) {
    (route.destination, route.prefix)
}

fn delete(host: &dyn Host, net: &dyn KernelNet, route: &Route) {
    if let Err(error) = net.delete_route(route) {
        // A device that went away took its routes along.
        host.log(
            Group::Knl,
            DIAGNOSE,
            &format!("unable to remove route for {}: {error}", route.destination),
        );
    }
}

/// Who installs routes, if a policy may have any and `charon.install_routes` allows it. What belongs to an interface by its
/// id is led there by whoever made the interface.
pub fn wanted(host: &dyn Host, policy: &PolicyParameters) -> Option<Arc<dyn KernelNet>> {
    let concerned = policy.direction == Direction::Out
        && policy.options.if_id == 0
        && (policy.action != PolicyAction::Protect || policy.mode == SaMode::Tunnel);
    let enabled = || {
        let setting = host.setting("charon.install_routes");
        setting.is_none_or(|value| !matches!(value.as_str(), "no" | "0" | "false" | "disabled"))
    };
    if concerned && enabled() {
        host.kernel_net()
    } else {
        None
    }
}

/// The ordinary path to a network that a wider tunnel would swallow.
pub fn direct(host: &dyn Host, net: &dyn KernelNet, dst_ts: &TrafficSelector) -> Option<Route> {
    let (destination, prefix, _) = dst_ts.covering_subnet();
    if prefix == 0 {
        // The main table has that already, and nothing is wider.
        return None;
    }
    match net.next_hop(destination, None) {
        Ok(hop) => Some(Route {
            destination,
            prefix,
            gateway: hop.gateway,
            source: hop.source,
            interface: hop.interface,
        }),
        Err(error) => {
            // Where no route leads, none of a tunnel can take packets away from it.
            let level = if error.kind == ErrorKind::NotFound {
                DIAGNOSE
            } else {
                CONTROL
            };
            let text = format!("unable to install pass route for {dst_ts:?}: {error}");
            host.log(Group::Knl, level, &text);
            None
        }
    }
}

/// The address that our own packets into the tunnel get: one that the policy admits, a virtual one if possible. A
/// gateway may have none, which is no fault: it forwards.
pub fn local_address(host: &dyn Host, net: &dyn KernelNet, policy: &PolicyParameters) -> Option<IpAddr> {
    let addresses = match net.addresses() {
        Ok(addresses) => addresses,
        Err(error) => {
            host.log(
                Group::Knl,
                CONTROL,
                &format!("unable to list local addresses: {error}"),
            );
            return None;
        }
    };
    let usable = addresses.into_iter().filter(|one| {
        let link_local = matches!(one.address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        one.up && !one.address.is_loopback() && !link_local && policy.src_ts.contains_address(one.address)
    });
    let found = usable.min_by_key(|one| (!one.is_virtual, one.address != policy.src, one.loopback));
    if found.is_none() {
        let text = format!("no local address found in traffic selector {:?}", policy.src_ts);
        host.log(Group::Knl, DIAGNOSE, &text);
    }
    found.map(|one| one.address)
}
