//! Configuration payloads (RFC 7296, 2.19 and 3.15): addresses that a responder gives an initiator, and what else it
//! tells it. Both are part of IKE_AUTH, so that the traffic selectors of the first CHILD_SA can be made of the addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use config::attribute::Attribute;
use config::connection::{PeerConfig, UniquePolicy};
use config::identity::Identity;
use iana::NotifyType;
use iana::attribute::{ConfigurationAttribute, ConfigurationType};
use wire::payload::{Cp, Payload};

use crate::alert::Alert;
use crate::event::Event;
use crate::exchange::find;
use crate::output::KernelOp;
use crate::pool::{Claim, HeldLease};
use crate::rare::{Empty, Rare};
use crate::sa::{IkeSa, Inbound, KernelWork};
use crate::shared::{Shared, log};

/// Addresses that a peer may have in one IKE_SA; who asks for more is not given them.
const MAX_ADDRESSES: usize = 8;
/// DNS servers of a peer that are used.
const MAX_SERVERS: usize = 8;

/// What configuration payloads have given to the ends of an IKE_SA.
#[derive(Debug, Default)]
pub(crate) struct Given {
    /// Virtual addresses of this end.
    pub(crate) own: Vec<IpAddr>,
    /// Those of the peer.
    pub(crate) peer: Vec<HeldLease>,
    /// DNS servers that the peer has named.
    pub(crate) dns: Vec<IpAddr>,
    /// What this end had in an IKE_SA that this one takes the place of, to be asked for again.
    pub(crate) before: Vec<IpAddr>,
}

impl Empty for Given {
    fn empty() -> &'static Self {
        static NOTHING: Given = Given {
            own: Vec::new(),
            peer: Vec::new(),
            dns: Vec::new(),
            before: Vec::new(),
        };
        &NOTHING
    }

    fn is_empty(&self) -> bool {
        self.own.is_empty() && self.peer.is_empty() && self.dns.is_empty() && self.before.is_empty()
    }
}

impl Given {
    pub(crate) fn peer_addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.peer.iter().map(|held| held.address)
    }

    /// Gives everything back.
    pub(crate) fn release(&mut self, shared: &mut Shared, identity: Option<&Identity>) {
        for address in self.own.drain(..) {
            shared.out.kernel(vec![KernelOp::DeleteAddress(address)]);
        }
        for held in self.peer.drain(..) {
            if shared.pools.release(&held)
                && let Some(identity) = identity
            {
                let address = held.address;
                crate::shared::log_plain!(shared, Cfg, 1, "lease {address} by '{identity}' went offline");
            }
        }
    }
}

impl IkeSa {
    /// The addresses that stand for `dynamic` at this end: virtual ones, or all of the families of those that it is about
    /// to ask for, or that of the IKE_SA.
    pub(crate) fn own_hosts(&self) -> Vec<IpAddr> {
        if !self.given.own.is_empty() {
            return self.given.own.clone();
        }
        let wanted: &[IpAddr] = match &self.config {
            Some(config) if !self.is_established() => &config.vips,
            _ => &[],
        };
        let mut families: Vec<IpAddr> = wanted.iter().copied().map(any_of_family).collect();
        families.sort_unstable();
        families.dedup();
        if families.is_empty() {
            families.push(self.local.ip());
        }
        families
    }

    /// The addresses that stand for `dynamic` at the peer's end.
    pub(crate) fn peer_hosts(&self) -> Vec<IpAddr> {
        let given: Vec<IpAddr> = self.given.peer_addresses().collect();
        if given.is_empty() {
            vec![self.remote.ip()]
        } else {
            given
        }
    }

    /// The initiator's request: its addresses, and DNS servers if somebody has a use for them or it is configured so.
    pub(crate) fn request_configuration(
        &self,
        shared: &Shared,
        config: &PeerConfig,
        payloads: &mut Vec<Payload>,
    ) {
        if !requests_configuration(config) {
            return;
        }
        let mut before = self.given.before.clone();
        let mut attributes: Vec<Attribute> = Vec::new();
        for wanted in &config.vips {
            let again = before
                .iter()
                .position(|had| wanted.is_unspecified() && had.is_ipv4() == wanted.is_ipv4());
            let address = again.map_or(*wanted, |index| before.remove(index));
            attributes.push(address_attribute(address));
        }
        if shared.uses_dns {
            for (v4, kind) in [
                (true, ConfigurationAttribute::INTERNAL_IP4_DNS),
                (false, ConfigurationAttribute::INTERNAL_IP6_DNS),
            ] {
                if config.vips.iter().any(|wanted| wanted.is_ipv4() == v4) {
                    attributes.push((kind, Vec::new()));
                }
            }
        }
        for server in config.dns_wanted.iter().copied().map(server_attribute) {
            if !attributes.contains(&server) {
                attributes.push(server);
            }
        }
        payloads.push(Payload::Cp(Cp {
            kind: ConfigurationType::REQUEST,
            attributes,
        }));
    }

    /// The responder's reply: the addresses are installed, before any CHILD_SA is.
    pub(crate) fn accept_configuration(&mut self, shared: &mut Shared, inbound: &Inbound) {
        let Some(config) = self
            .config
            .clone()
            .filter(|config| requests_configuration(config))
        else {
            return;
        };
        let Some(attributes) = of_kind(inbound, ConfigurationType::REPLY) else {
            return;
        };
        for (kind, value) in attributes {
            match *kind {
                ConfigurationAttribute::INTERNAL_IP4_ADDRESS
                | ConfigurationAttribute::INTERNAL_IP6_ADDRESS => {
                    if let Some(address) = address_of(*kind, value) {
                        self.accept_address(shared, &config, address);
                    }
                }
                ConfigurationAttribute::INTERNAL_IP4_DNS | ConfigurationAttribute::INTERNAL_IP6_DNS
                    if shared.uses_dns || !config.dns_wanted.is_empty() =>
                {
                    let server = address_of(*kind, value).filter(|server| is_unicast(*server));
                    let known = |server: &IpAddr| self.given.dns.contains(server);
                    if let Some(server) = server.filter(|server| !known(server))
                        && self.given.dns.len() < MAX_SERVERS
                    {
                        self.given.dns.push(server);
                    }
                }
                // Masks of virtual addresses mean nothing (RFC 7296, 3.15.2).
                ConfigurationAttribute::INTERNAL_IP4_NETMASK => {}
                kind => log!(shared, self, Ike, 2, "ignoring unsupported attribute {kind}"),
            }
        }
        self.given.before = Vec::new();
        if !self.given.dns.is_empty() {
            let info = Box::new(self.info());
            shared.out.event(Event::DnsServers(info, true));
        }
    }

    /// Installs an address, if a host may have it and it was asked for.
    fn accept_address(&mut self, shared: &mut Shared, config: &PeerConfig, address: IpAddr) {
        let family = |other: &&IpAddr| other.is_ipv4() == address.is_ipv4();
        let wanted = config.vips.iter().filter(family).count();
        let had = self.given.own.iter().filter(family).count();
        // With the peer's own address this host would talk to itself.
        let sane = is_unicast(address) && address != self.remote.ip();
        if !sane || had >= wanted.min(MAX_ADDRESSES) || self.given.own.contains(&address) {
            return log!(
                shared,
                self,
                Ike,
                1,
                "ignoring virtual IP {address}: it was not asked for, or is none that a host may have"
            );
        }
        log!(shared, self, Ike, 1, "installing new virtual IP {address}");
        self.given.own.push(address);
        let op = KernelOp::AddAddress {
            address,
            peer: self.remote.ip(),
        };
        let id = shared.start_kernel(self.unique_id, vec![op]);
        self.kernel_work.insert(id, KernelWork::InstallAddress(address));
    }

    /// The responder's reply. Without the addresses that it has to have a peer gets no CHILD_SA; it is told, and that is
    /// what `false` says.
    pub(crate) fn answer_configuration(
        &mut self,
        shared: &mut Shared,
        inbound: &Inbound,
        initial_contact: bool,
        answer: &mut Vec<Payload>,
    ) -> bool {
        let (Some(config), Some(peer)) = (self.config.clone(), self.remote_id.clone()) else {
            return true;
        };
        let requested = requested(inbound);
        if requested.is_empty() && config.pools.is_empty() {
            if !config.dns.is_empty() && of_kind(inbound, ConfigurationType::REQUEST).is_some() {
                let attributes = config.dns.iter().copied().map(server_attribute).collect();
                answer.push(Payload::Cp(Cp {
                    kind: ConfigurationType::REPLY,
                    attributes,
                }));
            }
            return true;
        }
        if requested.is_empty() {
            let kind = NotifyType::FAILED_CP_REQUIRED;
            log!(
                shared,
                self,
                Ike,
                1,
                "expected a virtual IP request, sending {kind}"
            );
            return self.refuse_configuration(shared, kind, answer);
        }
        // Others of the same peer go when this one is established.
        let anew = initial_contact && config.unique != UniquePolicy::Never;
        for requested in requested {
            self.assign_address(shared, &config, &peer, (requested, anew));
        }
        if self.given.peer.is_empty() {
            let kind = NotifyType::INTERNAL_ADDRESS_FAILURE;
            log!(shared, self, Ike, 1, "no virtual IP found, sending {kind}");
            return self.refuse_configuration(shared, kind, answer);
        }
        let addresses = self.given.peer_addresses().map(address_attribute);
        let mut attributes: Vec<Attribute> = addresses.collect();
        for attribute in shared.pools.attributes(&self.given.peer) {
            attributes.push(attribute);
        }
        let of_connection = config.dns.iter().copied().map(server_attribute);
        for attribute in of_connection.chain(shared.attributes.iter().cloned()) {
            if !attributes.contains(&attribute) {
                attributes.push(attribute);
            }
        }
        answer.push(Payload::Cp(Cp {
            kind: ConfigurationType::REPLY,
            attributes,
        }));
        true
    }

    fn assign_address(
        &mut self,
        shared: &mut Shared,
        config: &PeerConfig,
        peer: &Identity,
        (requested, anew): (IpAddr, bool),
    ) {
        let shown = shown(requested);
        log!(shared, self, Ike, 1, "peer requested virtual IP {shown}");
        let held: Vec<IpAddr> = self.given.peer_addresses().collect();
        let claim = Claim {
            identity: peer,
            peer: self.remote.ip(),
            requested,
            anew,
            held: &held,
        };
        match shared.pools.acquire(&config.pools, &claim) {
            Ok((held, how)) => {
                log!(shared, self, Cfg, 1, "{how}");
                let address = held.address;
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "assigning virtual IP {address} to peer '{peer}'"
                );
                self.given.peer.push(held);
            }
            Err(reasons) => {
                for reason in reasons {
                    log!(shared, self, Cfg, 1, "{reason}");
                }
                log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "no virtual IP found for {shown} requested by '{peer}'"
                );
            }
        }
    }

    fn refuse_configuration(&self, shared: &mut Shared, kind: NotifyType, answer: &mut Vec<Payload>) -> bool {
        self.alert(shared, Alert::VipFailure);
        answer.push(Payload::status(kind, Vec::new()));
        log!(
            shared,
            self,
            Ike,
            1,
            "configuration payload negotiation failed, no CHILD_SA built"
        );
        log!(
            shared,
            self,
            Ike,
            1,
            "failed to establish CHILD_SA, keeping IKE_SA"
        );
        false
    }

    /// Takes what the ends were given, and the peer that has it, to be given back.
    pub(crate) fn give_back(&mut self, shared: &mut Shared) -> (Rare<Given>, Option<Identity>) {
        if !self.given.dns.is_empty() {
            let info = Box::new(self.info());
            shared.out.event(Event::DnsServers(info, false));
            self.given.dns.clear();
        }
        let given = std::mem::take(&mut self.given);
        (given, self.remote_id.as_deref().cloned())
    }
}

fn of_kind(inbound: &Inbound, kind: ConfigurationType) -> Option<&[Attribute]> {
    find!(inbound.payloads, Payload::Cp(cp) if cp.kind == kind => cp.attributes.as_slice())
}

/// The addresses that a peer asks for; unspecified ones stand for any of their family.
fn requested(inbound: &Inbound) -> Vec<IpAddr> {
    let attributes = of_kind(inbound, ConfigurationType::REQUEST).unwrap_or_default();
    let address = |(kind, value): &Attribute| match *kind {
        ConfigurationAttribute::INTERNAL_IP4_ADDRESS if value.is_empty() => {
            Some(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
        }
        ConfigurationAttribute::INTERNAL_IP6_ADDRESS if value.is_empty() => {
            Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED))
        }
        ConfigurationAttribute::INTERNAL_IP4_ADDRESS | ConfigurationAttribute::INTERNAL_IP6_ADDRESS => {
            address_of(*kind, value)
        }
        _ => None,
    };
    attributes
        .iter()
        .filter_map(address)
        .take(MAX_ADDRESSES)
        .collect()
}

/// The address of an attribute. That of IPv6 may have the length of a prefix behind it, which says nothing of one host.
fn address_of(kind: ConfigurationAttribute, value: &[u8]) -> Option<IpAddr> {
    match kind {
        ConfigurationAttribute::INTERNAL_IP4_ADDRESS | ConfigurationAttribute::INTERNAL_IP4_DNS => {
            Some(IpAddr::from(<[u8; 4]>::try_from(value).ok()?))
        }
        _ => Some(IpAddr::from(*value.first_chunk::<16>()?)),
    }
}

/// Whether an initiator has anything to ask for.
fn requests_configuration(config: &PeerConfig) -> bool {
    !config.vips.is_empty() || !config.dns_wanted.is_empty()
}

/// A DNS server, or any of a family.
fn server_attribute(server: IpAddr) -> Attribute {
    match server {
        IpAddr::V4(v4) if v4.is_unspecified() => (ConfigurationAttribute::INTERNAL_IP4_DNS, Vec::new()),
        IpAddr::V6(v6) if v6.is_unspecified() => (ConfigurationAttribute::INTERNAL_IP6_DNS, Vec::new()),
        IpAddr::V4(v4) => (ConfigurationAttribute::INTERNAL_IP4_DNS, v4.octets().to_vec()),
        IpAddr::V6(v6) => (ConfigurationAttribute::INTERNAL_IP6_DNS, v6.octets().to_vec()),
    }
}

fn address_attribute(address: IpAddr) -> Attribute {
    match address {
        IpAddr::V4(v4) if v4.is_unspecified() => (ConfigurationAttribute::INTERNAL_IP4_ADDRESS, Vec::new()),
        IpAddr::V6(v6) if v6.is_unspecified() => (ConfigurationAttribute::INTERNAL_IP6_ADDRESS, Vec::new()),
        IpAddr::V4(v4) => (ConfigurationAttribute::INTERNAL_IP4_ADDRESS, v4.octets().to_vec()),
        IpAddr::V6(v6) => {
            let mut value = v6.octets().to_vec();
            value.push(128);
            (ConfigurationAttribute::INTERNAL_IP6_ADDRESS, value)
        }
    }
}

pub(crate) fn any_of_family(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

/// As log lines have it.
fn shown(requested: IpAddr) -> String {
    match requested {
        IpAddr::V4(v4) if v4.is_unspecified() => "%any".to_owned(),
        IpAddr::V6(v6) if v6.is_unspecified() => "%any6".to_owned(),
        address => address.to_string(),
    }
}

/// Whether a host may have it, and packets to it leave the host.
fn is_unicast(address: IpAddr) -> bool {
    let link = match address {
        IpAddr::V4(v4) => v4.is_broadcast() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.to_ipv4_mapped().is_some(),
    };
    !link && !address.is_unspecified() && !address.is_loopback() && !address.is_multicast()
}
