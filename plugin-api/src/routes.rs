//! Routes that policies need: what back ends for IPsec have in common.
//!
//! A back end decides which routes a policy has; here they are counted, so that policies share them, and installed by the
//! back end for addresses and routes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use iana::TrafficSelector;

use crate::kernel::{Direction, KernelNet, PolicyAction, PolicyParameters, Route, SaMode};
use crate::log::{CONTROL, DIAGNOSE, Group};
use crate::{ErrorKind, Host};

/// Routes and how many policies need each.
#[derive(Debug, Default)]
pub struct Routes {
    routes: HashMap<Route, Use>,
}

#[derive(Debug)]
struct Use {
    users: usize,
    /// Whether it was not there before.
    ours: bool,
}

impl Routes {
    /// Adds a route, or one more user of it. One that the kernel refuses is logged, since the tunnel works for those who
    /// have one of their own; one that is there already is left alone.
    pub fn install(&mut self, host: &dyn Host, net: &dyn KernelNet, route: &Route) {
        if let Some(usage) = self.routes.get_mut(route) {
            usage.users += 1;
            // It may have gone with an address or a link meanwhile.
            usage.ours |= net.add_route(route).is_ok();
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
        self.routes.insert(route.clone(), Use { users: 1, ours });
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
            return;
        }
        delete(host, net, route);
        // One to the same destination that had to stand back takes its place.
        self.routes.retain(|other, usage| {
            if !usage.ours && (other.destination, other.prefix) == (route.destination, route.prefix) {
                usage.ours = net.add_route(other).is_ok();
            }
            true
        });
    }

    /// Removes all routes that were not there before.
    pub fn clear(&mut self, host: &dyn Host) {
        let routes = std::mem::take(&mut self.routes);
        let Some(net) = host.kernel_net() else { return };
        for (route, _) in routes.into_iter().filter(|(_, usage)| usage.ours) {
            delete(host, &*net, &route);
        }
    }
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
            let text = format!("unable to install pass route for {dst_ts:?}: {error}");
            host.log(Group::Knl, CONTROL, &text);
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
