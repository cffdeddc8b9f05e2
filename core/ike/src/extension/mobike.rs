//! MOBIKE (RFC 4555): what both ends say of their addresses, and how a responder follows an initiator that moves. What
//! makes an initiator move is in `roaming`.

use std::net::{IpAddr, SocketAddr};

use config::connection::PeerConfig;
use crypto::int_auth::Role;
use iana::{ExchangeType, NotifyType};
use wire::payload::{Notify, Payload};

use crate::extension::roaming::Path;
use crate::rare::{Empty, Rare};
use crate::sa::{IkeSa, IkeSaState, Inbound};
use crate::shared::{Shared, endpoint, log};
use crate::task::Task;

/// Additional addresses that are announced or remembered at most.
const MAX_ADDITIONAL: usize = 8;

/// Octets of a COOKIE2, which may have 8 to 64 (RFC 4555, 4.2.5).
const COOKIE_LEN: usize = 16;

/// What an IKE_SA knows of addresses besides those it uses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mobike {
    /// Addresses of the peer, as it announced them.
    pub(crate) peer_addresses: Vec<IpAddr>,
    /// Further addresses of this host that the peer was told of.
    announced: Rare<Vec<IpAddr>>,
    /// This end uses another path, which the peer has not confirmed.
    pub(crate) moved: bool,
    /// The routes know no way to the peer.
    pub(crate) stale: bool,
}

/// What an IKE_SA knows while it looks for another path, or the peer may have one.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    /// The own address to establish the IKE_SA anew from, if that of the IKE_SA is gone.
    pub(crate) way_out: Option<IpAddr>,
    /// Where requests go, all at once, until one of them is answered.
    pub(crate) candidates: Vec<Path>,
    /// Paths that the peer did not want.
    pub(crate) refused: Vec<Path>,
    /// By which path the peer was told of a move; nothing for a mere list of addresses.
    pub(crate) told_by: Option<Path>,
    /// What the next response has to bring back.
    cookie: Option<[u8; COOKIE_LEN]>,
    /// How the peer sees our address and port: the digest in its last NAT_DETECTION_DESTINATION_IP.
    pub(crate) mapping: Option<Vec<u8>>,
}

impl Paths {
    const NONE: Self = Self {
        way_out: None,
        candidates: Vec::new(),
        refused: Vec::new(),
        told_by: None,
        cookie: None,
        mapping: None,
    };

    /// What the successor of a rekeyed IKE_SA takes over; digests are made with SPIs, and have no meaning there.
    pub(crate) fn inherited(&self) -> Self {
        Self {
            way_out: self.way_out,
            ..Self::NONE
        }
    }
}

impl Empty for Paths {
    fn empty() -> &'static Self {
        static NONE: Paths = Paths::NONE;
        &NONE
    }

    fn is_empty(&self) -> bool {
        self.way_out.is_none()
            && self.candidates.is_empty()
            && self.refused.is_empty()
            && self.told_by.is_none()
            && self.cookie.is_none()
            && self.mapping.is_none()
    }
}

impl IkeSa {
    /// Announces MOBIKE and the further addresses of this host.
    pub(crate) fn push_mobike(&mut self, shared: &Shared, config: &PeerConfig, payloads: &mut Vec<Payload>) {
        if config.mobike && self.natt.supported {
            payloads.push(Payload::status(NotifyType::MOBIKE_SUPPORTED, Vec::new()));
            self.push_addresses(shared, payloads);
        }
    }

    fn push_addresses(&mut self, shared: &Shared, payloads: &mut Vec<Payload>) {
        self.mobike.announced = Rare::from(self.additional_addresses(shared));
        payloads.extend(self.mobike.announced.iter().map(|address| match address {
            IpAddr::V4(v4) => Payload::status(NotifyType::ADDITIONAL_IP4_ADDRESS, v4.octets().to_vec()),
            IpAddr::V6(v6) => Payload::status(NotifyType::ADDITIONAL_IP6_ADDRESS, v6.octets().to_vec()),
        }));
        if self.mobike.announced.is_empty() {
            payloads.push(Payload::status(NotifyType::NO_ADDITIONAL_ADDRESSES, Vec::new()));
        }
    }

    fn additional_addresses(&self, shared: &Shared) -> Vec<IpAddr> {
        let others = shared.local_addresses.iter().copied();
        others
            .filter(|address| *address != self.local.ip())
            .take(MAX_ADDITIONAL)
            .collect()
    }

    /// Whether the peer has to be told of further addresses, or of their end.
    pub(crate) fn has_unannounced(&self, shared: &Shared) -> bool {
        self.peer.mobike && self.additional_addresses(shared) != *self.mobike.announced
    }

    /// Learns the peer's addresses, all of them, if a message from one of them says so (RFC 4555, 3.6).
    pub(crate) fn learn_addresses(&mut self, payloads: &[Payload], from: IpAddr) {
        let mut addresses = None;
        for notify in notifies(payloads) {
            let address = match notify.kind {
                NotifyType::ADDITIONAL_IP4_ADDRESS => {
                    <[u8; 4]>::try_from(&notify.data[..]).ok().map(IpAddr::from)
                }
                NotifyType::ADDITIONAL_IP6_ADDRESS => {
                    <[u8; 16]>::try_from(&notify.data[..]).ok().map(IpAddr::from)
                }
                NotifyType::NO_ADDITIONAL_ADDRESSES => None,
                _ => continue,
            };
            let addresses: &mut Vec<IpAddr> = addresses.get_or_insert_with(|| vec![from]);
            if let Some(address) = address.filter(is_unicast)
                && addresses.len() <= MAX_ADDITIONAL
                && !addresses.contains(&address)
            {
                addresses.push(address);
            }
        }
        if let Some(addresses) = addresses {
            self.mobike.peer_addresses = addresses;
        }
    }

    /// Follows an authenticated initiator to other addresses, and answers what such a request carries.
    pub(crate) fn answer_address_update(&mut self, shared: &mut Shared, inbound: &Inbound) -> Vec<Payload> {
        let payloads = &inbound.payloads;
        let has = |kind| notifies(payloads).any(|notify| notify.kind == kind);
        let path = (inbound.local, inbound.remote);
        // Only the original initiator may move the IKE_SA (RFC 4555, 3.5).
        let moves =
            has(NotifyType::UPDATE_SA_ADDRESSES) && self.peer.mobike && self.origin == Role::Responder;
        if moves && let Some(refusal) = self.refuse_path(shared, payloads, path) {
            return vec![Payload::status(refusal, Vec::new())];
        }
        let detection =
            has(NotifyType::NAT_DETECTION_SOURCE_IP) && has(NotifyType::NAT_DETECTION_DESTINATION_IP);
        let spis = (self.spi_i, self.spi_r);
        if moves {
            if detection && self.natt.supported {
                self.natt.evaluate(shared, payloads, spis, path.0, path.1);
            }
            self.follow_peer(shared, path);
        }
        if self.peer.mobike {
            self.learn_addresses(payloads, path.1.ip());
            if self.origin == Role::Initiator && path != (self.local, self.remote) {
                // The responder has lost the address we know, or found a better one.
                self.on_peer_elsewhere(shared, path);
            }
        }
        let mut answer: Vec<Payload> = notifies(payloads)
            .filter(|notify| notify.kind == NotifyType::COOKIE2)
            .map(|notify| Payload::status(NotifyType::COOKIE2, notify.data.clone()))
            .collect();
        if detection && self.natt.supported {
            let fake = self.fakes_nat(shared);
            answer.extend(self.natt.notifies(shared, spis, path.0, path.1, fake));
        }
        answer
    }

    /// Why a path is not taken.
    fn refuse_path(
        &self,
        shared: &mut Shared,
        payloads: &[Payload],
        (local, remote): Path,
    ) -> Option<NotifyType> {
        let (from, to) = (endpoint(remote), endpoint(local));
        if !is_unicast(&remote.ip()) {
            log!(
                shared,
                self,
                Ike,
                1,
                "peer wants to move to {from}, which is no address of a host"
            );
            return Some(NotifyType::UNACCEPTABLE_ADDRESSES);
        }
        let untouched = address_pair(remote, local);
        let natted = notifies(payloads)
            .any(|notify| notify.kind == NotifyType::NO_NATS_ALLOWED && notify.data != untouched);
        if natted {
            log!(
                shared,
                self,
                Ike,
                1,
                "peer allows no NATs, but the packet from {from} to {to} has passed one"
            );
            return Some(NotifyType::UNEXPECTED_NAT_DETECTED);
        }
        None
    }

    /// The initiator is elsewhere now.
    fn follow_peer(&mut self, shared: &mut Shared, (local, remote): Path) {
        let elsewhere = remote.ip() != self.remote.ip();
        self.relocate(shared, local, remote);
        self.update_children(shared);
        // The path was vouched for by an authentic message, but whoever passed it on may have changed its source.
        if elsewhere && !self.tasks.contains(&Task::ReturnRoutability) {
            self.tasks.push_front(Task::ReturnRoutability);
        }
    }

    /// Tells the peer what has changed.
    pub(crate) fn update_addresses(&mut self, shared: &mut Shared) {
        let moved = self.mobike.moved && self.may_move();
        let unannounced = self.has_unannounced(shared);
        if !moved && !unannounced {
            self.active = None;
            return;
        }
        let mut payloads = Vec::new();
        if moved {
            log!(shared, self, Ike, 1, "requesting address change using MOBIKE");
            payloads.push(Payload::status(NotifyType::UPDATE_SA_ADDRESSES, Vec::new()));
            payloads.extend(self.nat_detection(shared));
            payloads.push(self.cookie(shared));
            self.paths.told_by = Some((self.local, self.remote));
        } else {
            log!(shared, self, Ike, 1, "sending address list update using MOBIKE");
            self.paths.told_by = None;
        }
        if unannounced {
            self.push_addresses(shared, &mut payloads);
        }
        self.request(shared, ExchangeType::INFORMATIONAL, payloads);
    }

    /// The peer has answered it.
    pub(crate) fn on_addresses_updated(&mut self, shared: &mut Shared, inbound: &Inbound) {
        let payloads = &inbound.payloads;
        let Some(path) = self.paths.told_by.take() else {
            return;
        };
        let refusal = notifies(payloads).find(|notify| {
            let kind = notify.kind;
            kind == NotifyType::UNACCEPTABLE_ADDRESSES || kind == NotifyType::UNEXPECTED_NAT_DETECTED
        });
        if let Some(refusal) = refusal {
            log!(shared, self, Ike, 1, "received {} notify error", refusal.kind);
            self.paths.cookie = None;
            return self.on_path_refused(shared, path);
        }
        if !self.returns_cookie(shared, payloads) {
            return;
        }
        if path != (self.local, self.remote) {
            // It has moved again meanwhile, and tells so next.
            return self.want_update();
        }
        self.mobike.moved = false;
        self.paths.refused.clear();
        if let Some(mapping) = seen_as(payloads)
            && self.natt.supported
        {
            self.paths.mapping = Some(mapping);
            let before = (self.natt.local, self.natt.remote);
            let spis = (self.spi_i, self.spi_r);
            self.natt
                .evaluate(shared, payloads, spis, inbound.local, inbound.remote);
            if before != (self.natt.local, self.natt.remote) {
                self.log_nat(shared);
            }
            self.update_children(shared);
        }
    }

    /// Asks the peer for a cookie back that only who receives at its address can know.
    pub(crate) fn check_return_routability(&mut self, shared: &mut Shared) {
        let cookie = self.cookie(shared);
        self.request(shared, ExchangeType::INFORMATIONAL, vec![cookie]);
    }

    pub(crate) fn on_return_routability(&mut self, shared: &mut Shared, payloads: &[Payload]) {
        self.returns_cookie(shared, payloads);
    }

    fn cookie(&mut self, shared: &mut Shared) -> Payload {
        let cookie = shared.random();
        self.paths.cookie = Some(cookie);
        Payload::status(NotifyType::COOKIE2, cookie.to_vec())
    }

    /// Whether the cookie came back; the IKE_SA has to go otherwise (RFC 4555, 4.2.5).
    fn returns_cookie(&mut self, shared: &mut Shared, payloads: &[Payload]) -> bool {
        let Some(cookie) = self.paths.cookie.take() else {
            return true;
        };
        let returned =
            notifies(payloads).any(|notify| notify.kind == NotifyType::COOKIE2 && notify.data == cookie);
        if !returned {
            log!(
                shared,
                self,
                Ike,
                1,
                "peer did not return our COOKIE2, so it may not be at {}; closing IKE_SA",
                endpoint(self.remote)
            );
            self.tasks.push_front(Task::DeleteIke(None));
        }
        returned
    }

    /// What a liveness check carries: behind a NAT, the initiator sees by it whether the NAT has changed its mapping
    /// (RFC 4555, 3.8).
    pub(crate) fn liveness_payloads(&mut self, shared: &mut Shared) -> Vec<Payload> {
        if self.may_move() && self.natt.local {
            self.nat_detection(shared).to_vec()
        } else {
            Vec::new()
        }
    }

    pub(crate) fn on_liveness_response(&mut self, shared: &mut Shared, payloads: &[Payload]) {
        let Some(mapping) = seen_as(payloads).filter(|_| self.may_move()) else {
            return;
        };
        // Without one to compare with it may have changed since the IKE_SA was established.
        if self.paths.mapping.as_ref() != Some(&mapping) {
            log!(
                shared,
                self,
                Ike,
                1,
                "detected changes in NAT mappings, initiating MOBIKE update"
            );
            self.paths.mapping = Some(mapping);
            self.mobike.moved = true;
            self.want_update();
        }
    }

    fn nat_detection(&mut self, shared: &mut Shared) -> [Payload; 2] {
        let fake = self.fakes_nat(shared);
        let spis = (self.spi_i, self.spi_r);
        self.natt.notifies(shared, spis, self.local, self.remote, fake)
    }

    /// Queues the update, before anything else that may wait.
    pub(crate) fn want_update(&mut self) {
        if !self.tasks.contains(&Task::UpdateAddresses) {
            self.tasks.push_front(Task::UpdateAddresses);
        }
    }

    /// Whether this end decides about the path (RFC 4555, 1.2).
    pub(crate) fn may_move(&self) -> bool {
        // A peer that has not got the answer to its rekeying yet knows none but the old one.
        let in_use = matches!(
            self.state,
            IkeSaState::Established | IkeSaState::Rekeying | IkeSaState::Rekeyed
        );
        self.origin == Role::Initiator && self.peer.mobike && in_use
    }
}

fn notifies(payloads: &[Payload]) -> impl Iterator<Item = &Notify> {
    payloads.iter().filter_map(|payload| match payload {
        Payload::Notify(notify) => Some(notify),
        _ => None,
    })
}

/// How the sender of a message sees our address.
fn seen_as(payloads: &[Payload]) -> Option<Vec<u8>> {
    let mut destinations =
        notifies(payloads).filter(|notify| notify.kind == NotifyType::NAT_DETECTION_DESTINATION_IP);
    destinations.next().map(|notify| notify.data.clone())
}

/// The data of NO_NATS_ALLOWED: both addresses, then both ports, 12 or 36 octets (RFC 4555, 4.2.6).
fn address_pair(source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
    let mut data = Vec::with_capacity(36);
    for end in [source, destination] {
        match end.ip() {
            IpAddr::V4(v4) => data.extend(v4.octets()),
            IpAddr::V6(v6) => data.extend(v6.octets()),
        }
    }
    data.extend(source.port().to_be_bytes());
    data.extend(destination.port().to_be_bytes());
    data
}

fn is_unicast(address: &IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    !address.is_unspecified() && !address.is_multicast() && !broadcast
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_of_no_nats_allowed_has_addresses_before_ports() {
        let data = address_pair(([192, 0, 2, 1], 4500).into(), ([198, 51, 100, 2], 500).into());
        assert_eq!(data, [192, 0, 2, 1, 198, 51, 100, 2, 0x11, 0x94, 0x01, 0xf4]);
        let v6 = SocketAddr::new("2001:db8::1".parse().unwrap(), 4500);
        assert_eq!(address_pair(v6, v6).len(), 36);
    }
}
