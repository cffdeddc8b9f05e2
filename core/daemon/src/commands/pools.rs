//! `load-pool`, `unload-pool` and `get-pools`: ranges of virtual addresses.

use std::net::IpAddr;

use config::selector;
use control::vici::{Element, Message, parse_bool};
use plugin_api::log::Group;

use super::{Answer, success};
use crate::run::Daemon;

/// A range of addresses, none of which is given out yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AddressPool {
    name: String,
    base: IpAddr,
    size: u64,
}

/// More are never counted.
const MOST: u64 = 1 << 31;

impl AddressPool {
    /// A subnet, without its network and broadcast addresses; a range; or one address.
    fn new(name: &str, addrs: &str) -> Option<Self> {
        let range = selector::addresses_of(addrs)?;
        let (start, end) = (number(range.start), number(range.end));
        let mut size = u64::try_from((end - start).saturating_add(1)).unwrap_or(u64::MAX);
        let mut base = range.start;
        if addrs.contains('/') && size > 2 {
            base = next(base);
            size -= if base.is_ipv4() { 2 } else { 1 };
        }
        let size = size.min(MOST);
        Some(Self {
            name: name.to_owned(),
            base,
            size,
        })
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn next(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::from(v4.to_bits().saturating_add(1).to_be_bytes()),
        IpAddr::V6(v6) => IpAddr::from(v6.to_bits().saturating_add(1).to_be_bytes()),
    }
}

impl Daemon {
    /// `load-pool`: a section with the name of the pool, `addrs`, and lists of attributes.
    pub(super) fn load_pool(&mut self, request: &Message) -> Answer {
        for (name, section) in request.sections() {
            let mut pool = None;
            let mut attributes = Vec::new();
            for element in &section.elements {
                let key = element.name();
                match element {
                    Element::Value(_, octets) if key == "addrs" => {
                        let text = String::from_utf8_lossy(octets);
                        let parsed = AddressPool::new(name, &text);
                        let parsed = parsed.ok_or_else(|| format!("invalid addrs value: {text}"))?;
                        if pool.replace(parsed).is_some() {
                            return Err("multiple addrs defined".into());
                        }
                    }
                    Element::List(_, items) => {
                        check_attribute(key, items)?;
                        attributes.push(key);
                    }
                    _ => return Err(format!("invalid attribute: {key}")),
                }
            }
            let pool = pool.ok_or_else(|| format!("missing addrs for pool '{name}'"))?;
            for key in attributes {
                let text = format!("pool '{name}': {key} has no effect yet");
                self.logger.log(Group::Cfg, 1, text);
            }
            self.put_pool(pool);
        }
        Ok(success())
    }

    fn put_pool(&mut self, pool: AddressPool) {
        let (name, base, size) = (pool.name.clone(), pool.base, pool.size);
        let verb = match self.pools.iter_mut().find(|known| known.name == name) {
            Some(known) if *known == pool => "updated",
            Some(known) => {
                *known = pool;
                "replaced"
            }
            None => {
                self.pools.push(pool);
                "added"
            }
        };
        let text = format!("{verb} vici pool {name}: {base}, {size} entries");
        self.logger.log(Group::Cfg, 1, text);
    }

    /// `unload-pool`: `name`.
    pub(super) fn unload_pool(&mut self, request: &Message) -> Answer {
        let name = request.get_str("name").ok_or("missing pool name to unload")?;
        let index = self.pools.iter().position(|pool| pool.name == name);
        self.pools
            .remove(index.ok_or_else(|| format!("{name} not found"))?);
        self.logger
            .log(Group::Cfg, 1, format!("unloaded vici pool {name}"));
        Ok(success())
    }

    /// `get-pools`: `name` selects one, `leases` asks for who has which address.
    pub(super) fn get_pools(&self, request: &Message) -> Message {
        let leases = request.get_str("leases").and_then(parse_bool) == Some(true);
        let wanted = request.get_str("name");
        let mut answer = Message::new();
        for pool in &self.pools {
            if wanted.is_some_and(|wanted| wanted != pool.name) {
                continue;
            }
            let mut section = Message::new()
                .value("base", pool.base)
                .value("size", pool.size)
                .value("online", 0)
                .value("offline", 0);
            if leases {
                section.push_section("leases", Message::new());
            }
            answer.push_section(&pool.name, section);
        }
        answer
    }
}

/// The values of an attribute are addresses, subnets, or for one with a number whatever it says.
fn check_attribute(key: &str, items: &[Vec<u8>]) -> Result<(), String> {
    let addresses = ["address", "dns", "nbns", "dhcp", "netmask", "server", "p_cscf"];
    let subnets = ["subnet", "split_include", "split_exclude"];
    let text = |item: &Vec<u8>| String::from_utf8_lossy(item).into_owned();
    let good = if addresses.contains(&key) {
        items.iter().all(|item| text(item).parse::<IpAddr>().is_ok())
    } else if subnets.contains(&key) {
        items
            .iter()
            .all(|item| selector::addresses_of(&text(item)).is_some())
    } else if key.parse::<u16>().is_ok() {
        true
    } else {
        return Err(format!("invalid attribute: {key}"));
    };
    good.then_some(())
        .ok_or_else(|| format!("invalid attribute value for {key}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_begins_with_the_first_host_of_a_subnet() {
        for (addrs, base, size) in [
            ("10.4.0.0/24", "10.4.0.1", 254),
            ("10.4.0.9/32", "10.4.0.9", 1),
            ("10.4.0.8/31", "10.4.0.8", 2),
            ("10.4.0.5-10.4.0.9", "10.4.0.5", 5),
            ("10.4.0.7", "10.4.0.7", 1),
            ("fec3::/120", "fec3::1", 255),
            ("fec3::/64", "fec3::1", MOST),
            ("::/0", "::1", MOST),
        ] {
            let pool = AddressPool::new("rw", addrs).unwrap();
            assert_eq!((pool.base, pool.size), (base.parse().unwrap(), size), "{addrs}");
        }
        assert_eq!(AddressPool::new("rw", "moon"), None);
    }
}
