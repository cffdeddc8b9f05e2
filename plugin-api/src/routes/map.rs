//! A map by routes that takes few octets for one, because a gateway has a route for each of its tunnels.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use crate::kernel::Route;

/// Values by route.
#[derive(Debug)]
pub struct RouteMap<T> {
    v4: HashMap<V4, T>,
    others: HashMap<Route, T>,
    /// Their places are in the keys of `v4`.
    interfaces: Vec<String>,
}

/// A route of IPv4 in 16 octets; an address that is not there is 0.0.0.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct V4 {
    destination: Ipv4Addr,
    gateway: Ipv4Addr,
    source: Ipv4Addr,
    prefix: u8,
    interface: u8,
}

/// How many interfaces are known by number; they are searched one by one.
const INTERFACES: usize = 32;

impl<T> Default for RouteMap<T> {
    fn default() -> Self {
        Self {
            v4: HashMap::new(),
            others: HashMap::new(),
            interfaces: Vec::new(),
        }
    }
}

impl<T> RouteMap<T> {
    /// The value of a route.
    pub fn get(&self, route: &Route) -> Option<&T> {
        match self
            .interface(route)
            .and_then(|interface| V4::of(route, interface))
        {
            Some(key) => self.v4.get(&key),
            None => self.others.get(route),
        }
    }

    /// See [`get`](Self::get).
    pub fn get_mut(&mut self, route: &Route) -> Option<&mut T> {
        match self
            .interface(route)
            .and_then(|interface| V4::of(route, interface))
        {
            Some(key) => self.v4.get_mut(&key),
            None => self.others.get_mut(route),
        }
    }

    /// Sets the value of a route, and returns what it was.
    pub fn insert(&mut self, route: &Route, value: T) -> Option<T> {
        let interface = self.interface(route).or_else(|| {
            let at = self.interfaces.len();
            (at < INTERFACES).then(|| {
                self.interfaces.push(route.interface.clone());
                at as u8
            })
        });
        match interface.and_then(|interface| V4::of(route, interface)) {
            Some(key) => self.v4.insert(key, value),
            None => self.others.insert(route.clone(), value),
        }
    }

    /// Removes a route, and returns its value.
    pub fn remove(&mut self, route: &Route) -> Option<T> {
        match self
            .interface(route)
            .and_then(|interface| V4::of(route, interface))
        {
            Some(key) => self.v4.remove(&key),
            None => self.others.remove(route),
        }
    }

    /// All routes and their values, in no order.
    #[allow(clippy::disallowed_methods)] // nobody takes the order for anything
    pub fn iter(&self) -> impl Iterator<Item = (Route, &T)> {
        let v4 = self.v4.iter().filter_map(|(key, value)| {
            let interface = self.interfaces.get(usize::from(key.interface))?;
            Some((key.route(interface), value))
        });
        let others = self.others.iter();
        v4.chain(others.map(|(route, value)| (route.clone(), value)))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.others.is_empty()
    }

    fn interface(&self, route: &Route) -> Option<u8> {
        let at = self.interfaces.iter().position(|name| *name == route.interface);
        at.map(|at| at as u8)
    }
}

impl V4 {
    /// The key of a route, if it has nothing but addresses of IPv4.
    fn of(route: &Route, interface: u8) -> Option<Self> {
        let optional = |address: Option<IpAddr>| match address {
            None => Some(Ipv4Addr::UNSPECIFIED),
            Some(IpAddr::V4(address)) if !address.is_unspecified() => Some(address),
            Some(_) => None,
        };
        let IpAddr::V4(destination) = route.destination else {
            return None;
        };
        Some(Self {
            destination,
            gateway: optional(route.gateway)?,
            source: optional(route.source)?,
            prefix: route.prefix,
            interface,
        })
    }

    fn route(self, interface: &str) -> Route {
        let optional = |address: Ipv4Addr| (!address.is_unspecified()).then_some(IpAddr::V4(address));
        Route {
            destination: self.destination.into(),
            prefix: self.prefix,
            gateway: optional(self.gateway),
            source: optional(self.source),
            interface: interface.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(destination: &str, gateway: Option<&str>, source: Option<&str>, interface: &str) -> Route {
        let address = |text: &str| text.parse().expect("an address");
        Route {
            destination: address(destination),
            prefix: 24,
            gateway: gateway.map(address),
            source: source.map(address),
            interface: interface.into(),
        }
    }

    /// Of both kinds, all different.
    fn routes() -> Vec<Route> {
        let mut all = vec![
            route("10.1.0.0", None, None, "ipsec0"),
            route("10.1.0.0", Some("0.0.0.0"), None, "ipsec0"),
            route("10.1.0.0", Some("fd00::1"), None, "ipsec0"),
            route("10.1.0.0", Some("192.0.2.1"), None, "ipsec0"),
            route("10.1.0.0", None, Some("192.0.2.1"), "ipsec0"),
            route("fd01::", None, Some("fd00::1"), "ipsec0"),
        ];
        // More than there are numbers for.
        all.extend((0..INTERFACES + 8).map(|number| route("10.1.0.0", None, None, &format!("eth{number}"))));
        all
    }

    #[test]
    fn every_route_has_a_value_of_its_own() {
        let (mut map, all) = (RouteMap::default(), routes());
        for (number, route) in all.iter().enumerate() {
            assert_eq!(map.get(route), None);
            assert_eq!(map.insert(route, number), None);
        }
        for (number, route) in all.iter().enumerate() {
            assert_eq!(map.get(route), Some(&number));
            *map.get_mut(route).expect("there") += 100;
            assert_eq!(map.insert(route, number), Some(number + 100));
        }
        let mut listed: Vec<_> = map.iter().map(|(route, number)| (*number, route)).collect();
        listed.sort_by_key(|(number, _)| *number);
        let expected: Vec<_> = all.iter().cloned().enumerate().collect();
        assert_eq!(listed, expected);
        for (number, route) in all.iter().enumerate() {
            assert_eq!(map.remove(route), Some(number));
            assert_eq!(map.remove(route), None);
        }
        assert!(map.is_empty());
    }
}
