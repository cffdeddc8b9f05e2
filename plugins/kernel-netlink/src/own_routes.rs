//! Routes that the daemon has added, and which of them the kernel may have dropped: it does so silently with an interface
//! that goes down or loses its last address.

use std::collections::HashSet;

use plugin_api::kernel::Route;
use plugin_api::routes::RouteMap;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct OwnRoutes {
    /// With the number of losses that had been when the kernel last had each for sure.
    routes: RouteMap<u32>,
    /// Interfaces whose routes may be gone.
    lost: HashSet<String>,
}

impl OwnRoutes {
    /// The kernel has it, after so many losses.
    pub(crate) fn insert(&mut self, route: &Route, losses: u32) {
        self.routes.insert(route, losses);
    }

    /// It is ours no more.
    pub(crate) fn remove(&mut self, route: &Route) {
        self.routes.remove(route);
    }

    /// Whether it is ours.
    pub(crate) fn contains(&self, route: &Route) -> bool {
        self.routes.get(route).is_some()
    }

    /// Whether it is ours and has not gone since, if there have been so many losses.
    pub(crate) fn is_there(&self, route: &Route, losses: u32) -> bool {
        self.routes.get(route) == Some(&losses)
    }

    /// An interface went down, or its last address of a family went.
    pub(crate) fn lose(&mut self, interface: &str) {
        if !self.routes.is_empty() {
            self.lost.insert(interface.to_owned());
        }
    }

    /// Nobody knows what went.
    pub(crate) fn lose_all(&mut self) {
        let interfaces = self.routes.iter().map(|(route, _)| route.interface);
        self.lost.extend(interfaces);
    }

    /// Adds again what may have gone with an interface, now that it came up or has an address; `add` tells whether the
    /// kernel has the route then. If one is missing still, as its gateway is out of reach, there will be other occasions.
    pub(crate) fn restore(&mut self, interface: &str, mut add: impl FnMut(&Route) -> bool) {
        if !self.lost.contains(interface) {
            return;
        }
        let all = self.routes.iter().map(|(route, _)| route);
        let own = all.filter(|route| route.interface == interface);
        let missing = own.filter(|route| !add(route)).count();
        if missing == 0 {
            self.lost.remove(interface);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn route(last: u8, interface: &str) -> Route {
        Route {
            destination: [10, 1, 0, last].into(),
            prefix: 32,
            gateway: None,
            source: None,
            interface: interface.into(),
        }
    }

    fn restored(own: &mut OwnRoutes, interface: &str, works: bool) -> Vec<IpAddr> {
        let mut tried = Vec::new();
        own.restore(interface, |route| {
            tried.push(route.destination);
            works
        });
        tried
    }

    #[test]
    fn only_what_may_be_gone_is_added_again_until_it_is_there() {
        let mut own = OwnRoutes::default();
        own.lose("eth0");
        let (one, two) = (route(1, "eth0"), route(2, "ipsec0"));
        for route in [&one, &two] {
            own.insert(route, 0);
            assert!(own.is_there(route, 0) && !own.is_there(route, 1));
        }
        assert!(restored(&mut own, "eth0", true).is_empty());
        own.lose("eth0");
        assert!(restored(&mut own, "ipsec0", true).is_empty());
        assert_eq!(restored(&mut own, "eth0", false), [one.destination]);
        assert_eq!(restored(&mut own, "eth0", true), [one.destination]);
        assert!(restored(&mut own, "eth0", true).is_empty());
        own.lose_all();
        own.remove(&one);
        assert!(restored(&mut own, "eth0", true).is_empty());
        assert_eq!(restored(&mut own, "ipsec0", true), [two.destination]);
    }
}
