//! Which links and addresses there are, and what changes from one moment to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage as Message};

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Whether it is administratively up.
    pub up: bool,
    /// Whether it is the loopback.
    pub loopback: bool,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address {
    /// Index of the interface.
    pub index: u32,
    /// The address.
    pub address: IpAddr,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// Whether it can be used: duplicate address detection is not under way, nor has it failed.
    pub usable: bool,
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Interfaces by index.
    pub links: BTreeMap<u32, Link>,
    /// Index of the interface, address, and length of the prefix in bits: one address may be there with several.
    pub addresses: BTreeSet<(u32, IpAddr, u8)>,
}

/// What happened; prints as charon's log line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// An address is there.
    Appeared(IpAddr, String),
    /// An address is gone.
    Disappeared(IpAddr, String),
    /// An interface came up.
    Activated(String),
    /// An interface went down or away.
    Deactivated(String),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Appeared(address, interface) => write!(f, "{address} appeared on {interface}"),
            Self::Disappeared(address, interface) => write!(f, "{address} disappeared from {interface}"),
            Self::Activated(interface) => write!(f, "interface {interface} activated"),
            Self::Deactivated(interface) => write!(f, "interface {interface} deactivated"),
        }
    }
}

impl State {
    /// Takes over what a message of the kernel says; one about anything but interfaces and addresses says nothing.
    pub fn take(&mut self, message: &Message) -> Vec<Change> {
        match message {
            // A bridge's own news of its ports: one that leaves it is there as before.
            Message::NewLink(link) | Message::DelLink(link)
                if link.header.interface_family == AddressFamily::Bridge =>
            {
                Vec::new()
            }
            Message::NewLink(link) => {
                let link = link_of(link);
                link.and_then(|(index, link)| self.set_link(index, link))
                    .into_iter()
                    .collect()
            }
            Message::DelLink(link) => self.remove_link(link.header.index),
            Message::NewAddress(address) => {
                let address = address_of(address);
                address
                    .and_then(|address| self.set_address(address))
                    .into_iter()
                    .collect()
            }
            Message::DelAddress(address) => {
                let address = address_of(address);
                address
                    .and_then(|address| self.remove_address(address))
                    .into_iter()
                    .collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether an interface has an address of a family.
    pub fn has_address(&self, index: u32, ipv6: bool) -> bool {
        let mut own = self.of_interface(index);
        own.any(|(_, address, _)| address.is_ipv6() == ipv6)
    }

    /// The addresses of an interface.
    fn of_interface(&self, index: u32) -> impl Iterator<Item = &(u32, IpAddr, u8)> {
        // IPv4 comes before IPv6, so this is the lowest of all.
        let first = (index, IpAddr::from([0; 4]), 0);
        let own = self.addresses.range(first..);
        own.take_while(move |(owner, ..)| *owner == index)
    }

    /// An interface is there, or has changed.
    pub fn set_link(&mut self, index: u32, link: Link) -> Option<Change> {
        let was_up = self.links.get(&index).is_some_and(|before| before.up);
        let change = match (was_up, link.up) {
            (false, true) => Some(Change::Activated(link.name.clone())),
            (true, false) => Some(Change::Deactivated(link.name.clone())),
            _ => None,
        };
        self.links.insert(index, link);
        change
    }

    /// An interface is gone, with its addresses.
    pub fn remove_link(&mut self, index: u32) -> Vec<Change> {
        let Some(link) = self.links.remove(&index) else {
            return Vec::new();
        };
        let own: Vec<_> = self.of_interface(index).copied().collect();
        let mut changes = Vec::new();
        for address in own {
            self.addresses.remove(&address);
            if !self.has(index, address.1) {
                changes.push(Change::Disappeared(address.1, link.name.clone()));
            }
        }
        if link.up {
            changes.push(Change::Deactivated(link.name));
        }
        changes
    }

    /// An address is there, or has changed.
    pub fn set_address(&mut self, address: Address) -> Option<Change> {
        if !address.usable {
            return self.remove_address(address);
        }
        let is_new = !self.has(address.index, address.address);
        self.addresses
            .insert((address.index, address.address, address.prefix));
        is_new.then(|| Change::Appeared(address.address, self.name(address.index)))
    }

    /// An address is gone.
    pub fn remove_address(&mut self, address: Address) -> Option<Change> {
        let Address {
            index,
            address,
            prefix,
            ..
        } = address;
        let gone = self.addresses.remove(&(index, address, prefix)) && !self.has(index, address);
        gone.then(|| Change::Disappeared(address, self.name(index)))
    }

    /// Whether an interface has an address, with whatever prefix.
    fn has(&self, index: u32, address: IpAddr) -> bool {
        let prefixes = (index, address, 0)..=(index, address, u8::MAX);
        self.addresses.range(prefixes).next().is_some()
    }

    /// Takes over what a fresh look showed, after changes were missed; what they were.
    pub fn replace(&mut self, fresh: Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let gone: Vec<u32> = self
            .links
            .keys()
            .copied()
            .filter(|index| !fresh.links.contains_key(index))
            .collect();
        for index in gone {
            changes.extend(self.remove_link(index));
        }
        let gone: Vec<_> = self
            .addresses
            .iter()
            .copied()
            .filter(|key| !fresh.addresses.contains(key))
            .collect();
        for (index, address, prefix) in gone {
            let address = Address {
                index,
                address,
                prefix,
                usable: true,
            };
            changes.extend(self.remove_address(address));
        }
        for (index, link) in fresh.links {
            changes.extend(self.set_link(index, link));
        }
        for (index, address, prefix) in fresh.addresses {
            changes.extend(self.set_address(Address {
                index,
                address,
                prefix,
                usable: true,
            }));
        }
        changes
    }

    fn name(&self, index: u32) -> String {
        self.links
            .get(&index)
            .map_or_else(|| format!("interface {index}"), |link| link.name.clone())
    }
}

/// The interface a message is about.
pub(crate) fn link_of(message: &LinkMessage) -> Option<(u32, Link)> {
    let name = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::IfName(name) => Some(name.clone()),
        _ => None,
    })?;
    let flags = message.header.flags;
    let link = Link {
        name,
        up: flags.contains(LinkFlags::Up),
        loopback: flags.contains(LinkFlags::Loopback),
    };
    Some((message.header.index, link))
}

/// The address a message is about. On a point-to-point link `Address` is the other end's and `Local` is ours.
pub(crate) fn address_of(message: &AddressMessage) -> Option<Address> {
    let (mut local, mut remote, mut flags) = (None, None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => remote = Some(*address),
            AddressAttribute::Flags(all) => flags = Some(*all),
            _ => {}
        }
    }
    // The header has the low octet only, and an old kernel sends nothing else.
    let flags = flags.unwrap_or(AddressFlags::from_bits_retain(message.header.flags.bits().into()));
    let pending = flags.contains(AddressFlags::Tentative) && !flags.contains(AddressFlags::Optimistic);
    Some(Address {
        index: message.header.index,
        address: local.or(remote)?,
        prefix: message.header.prefix_len,
        usable: !pending && !flags.contains(AddressFlags::Dadfailed),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(name: &str, up: bool) -> Link {
        Link {
            name: name.into(),
            up,
            loopback: false,
        }
    }

    fn address(index: u32, last: u8) -> Address {
        Address {
            index,
            address: [192, 0, 2, last].into(),
            prefix: 24,
            usable: true,
        }
    }

    fn texts(changes: impl IntoIterator<Item = Change>) -> Vec<String> {
        changes.into_iter().map(|change| change.to_string()).collect()
    }

    #[test]
    fn changes_print_as_charon_prints_them() {
        let mut state = State::default();
        assert_eq!(texts(state.set_link(2, link("eth0", false))), [""; 0]);
        assert_eq!(
            texts(state.set_link(2, link("eth0", true))),
            ["interface eth0 activated"]
        );
        assert_eq!(
            texts(state.set_address(address(2, 1))),
            ["192.0.2.1 appeared on eth0"]
        );
        assert_eq!(
            texts(state.set_address(address(2, 1))),
            [""; 0],
            "an update of a lifetime is no news"
        );
        assert_eq!(
            texts(state.remove_address(address(2, 1))),
            ["192.0.2.1 disappeared from eth0"]
        );
        assert_eq!(texts(state.remove_address(address(2, 1))), [""; 0]);
        assert_eq!(
            texts(state.set_link(2, link("eth0", false))),
            ["interface eth0 deactivated"]
        );
    }

    #[test]
    fn a_link_takes_its_addresses_along() {
        let mut state = State::default();
        state.set_link(2, link("eth0", true));
        state.set_address(address(2, 1));
        let texts = texts(state.remove_link(2));
        assert_eq!(
            texts,
            ["192.0.2.1 disappeared from eth0", "interface eth0 deactivated"]
        );
        assert_eq!(state, State::default());
    }

    #[test]
    fn an_address_is_there_until_its_last_prefix_goes() {
        let mut state = State::default();
        state.set_link(2, link("eth0", true));
        let wide = Address {
            prefix: 16,
            ..address(2, 1)
        };
        assert!(state.set_address(address(2, 1)).is_some());
        assert_eq!(state.set_address(wide), None);
        assert_eq!(state.remove_address(address(2, 1)), None);
        assert!(state.has_address(2, false) && !state.has_address(2, true));
        assert!(state.remove_address(wide).is_some());
        assert!(!state.has_address(2, false));
    }

    #[test]
    fn a_port_that_leaves_its_bridge_is_no_interface_that_goes() {
        let mut state = State::default();
        state.set_link(2, link("eth0", true));
        let mut left = LinkMessage::default();
        (left.header.index, left.header.interface_family) = (2, AddressFamily::Bridge);
        assert_eq!(state.take(&Message::DelLink(left.clone())), []);
        assert!(state.links.contains_key(&2));
        left.header.interface_family = AddressFamily::Unspec;
        assert_eq!(
            texts(state.take(&Message::DelLink(left))),
            ["interface eth0 deactivated"]
        );
    }

    #[test]
    fn a_tentative_address_is_not_there_yet() {
        let mut state = State::default();
        let tentative = Address {
            usable: false,
            ..address(2, 1)
        };
        assert_eq!(state.set_address(tentative), None);
        assert!(state.set_address(address(2, 1)).is_some());
        assert!(
            state.set_address(tentative).is_some(),
            "nor is one that turned out to be a duplicate"
        );
    }

    #[test]
    fn what_was_missed_is_found_by_comparing() {
        let (mut before, mut after) = (State::default(), State::default());
        for (state, last) in [(&mut before, 1), (&mut after, 2)] {
            state.set_link(2, link("eth0", true));
            state.set_address(address(2, last));
        }
        before.set_link(3, link("wlan0", true));
        after.set_link(4, link("usb0", true));
        let changes = texts(before.replace(after.clone()));
        assert_eq!(
            changes,
            [
                "interface wlan0 deactivated",
                "192.0.2.1 disappeared from eth0",
                "interface usb0 activated",
                "192.0.2.2 appeared on eth0",
            ]
        );
        assert_eq!(before, after);
        assert_eq!(before.replace(after), []);
    }
}
