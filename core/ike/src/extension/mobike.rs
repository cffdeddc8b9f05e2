//! MOBIKE (RFC 4555): what is announced in IKE_AUTH, and address updates of the peer.

use std::net::{IpAddr, SocketAddr};

use config::connection::PeerConfig;
use crypto::int_auth::Role;
use iana::NotifyType;
use wire::payload::Payload;

use crate::event::Event;
use crate::exchange::ike_sa_init::status;
use crate::output::KernelOp;
use crate::sa::{IkeSa, Inbound, KernelWork};
use crate::shared::{Shared, endpoint, log};

/// Additional addresses that are announced at most.
const MAX_ADDITIONAL: usize = 8;

impl IkeSa {
    /// Announces MOBIKE and the further addresses of this host.
    pub(crate) fn push_mobike(&self, shared: &Shared, config: &PeerConfig, payloads: &mut Vec<Payload>) {
        if !config.mobike || !self.natt.supported {
            return;
        }
        payloads.push(status(NotifyType::MOBIKE_SUPPORTED, Vec::new()));
        let mut additional = 0;
        for address in &shared.local_addresses {
            if *address == self.local.ip() || additional == MAX_ADDITIONAL {
                continue;
            }
            additional += 1;
            payloads.push(match address {
                IpAddr::V4(v4) => status(NotifyType::ADDITIONAL_IP4_ADDRESS, v4.octets().to_vec()),
                IpAddr::V6(v6) => status(NotifyType::ADDITIONAL_IP6_ADDRESS, v6.octets().to_vec()),
            });
        }
        if additional == 0 {
            payloads.push(status(NotifyType::NO_ADDITIONAL_ADDRESSES, Vec::new()));
        }
    }

    /// Follows an authenticated peer to other addresses, and answers what such a request carries.
    pub(crate) fn answer_address_update(&mut self, shared: &mut Shared, inbound: &Inbound) -> Vec<Payload> {
        let mut answer = Vec::new();
        let mut update = false;
        let mut detection = false;
        for payload in &inbound.payloads {
            let Payload::Notify(notify) = payload else {
                continue;
            };
            match notify.kind {
                NotifyType::UPDATE_SA_ADDRESSES => update = true,
                NotifyType::NAT_DETECTION_SOURCE_IP => detection = true,
                NotifyType::COOKIE2 => answer.push(status(NotifyType::COOKIE2, notify.data.clone())),
                _ => {}
            }
        }
        // Only the original initiator may move the IKE_SA (RFC 4555, 3.5).
        let moves = update && self.peer.mobike && self.origin == Role::Responder;
        if moves {
            self.relocate(shared, inbound.local, inbound.remote);
        }
        if detection && self.natt.supported {
            let spis = (self.spi_i, self.spi_r);
            self.natt
                .evaluate(shared, &inbound.payloads, spis, inbound.local, inbound.remote);
            let fake = self.fakes_nat(shared);
            answer.splice(
                0..0,
                self.natt
                    .notifies(shared, spis, inbound.local, inbound.remote, fake),
            );
        }
        answer
    }

    /// Authenticated ESP of the peer now comes from elsewhere: a NAT in front of it has changed its mapping. With
    /// MOBIKE the peer says so itself (RFC 7296, 2.23; RFC 4555, 3.8).
    pub(crate) fn on_mapping(&mut self, shared: &mut Shared, remote: SocketAddr) {
        if self.natt.remote && !self.peer.mobike {
            self.relocate(shared, self.local, remote);
        }
    }

    /// Tells whoever watches that the IKE_SA goes on between other addresses or ports.
    pub(crate) fn announce_move(&self, shared: &mut Shared, local: SocketAddr, remote: SocketAddr) {
        if shared.watched && (local, remote) != (self.local, self.remote) {
            let before = Box::new(self.info());
            shared.out.event(Event::IkeMoved(before, local, remote));
        }
    }

    /// Moves the IKE_SA and its CHILD_SAs.
    pub(crate) fn relocate(&mut self, shared: &mut Shared, local: SocketAddr, remote: SocketAddr) {
        if (local, remote) == (self.local, self.remote) {
            return;
        }
        log!(
            shared,
            self,
            Ike,
            1,
            "moving IKE_SA {} to {} - {}",
            self.label(),
            endpoint(local),
            endpoint(remote)
        );
        self.announce_move(shared, local, remote);
        (self.local, self.remote) = (local, remote);
        let encap = self.natt.encap();
        let ops: Vec<KernelOp> = self
            .children
            .iter_mut()
            .flat_map(|child| child.relocate(local, remote, encap))
            .collect();
        if !ops.is_empty() {
            let id = shared.start_kernel(self.unique_id, ops);
            self.kernel_work.insert(id, KernelWork::Relocate);
        }
    }
}
