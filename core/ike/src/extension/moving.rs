//! An IKE_SA and its CHILD_SAs go on between other addresses or ports.

use std::net::{IpAddr, SocketAddr};

use plugin_api::ErrorKind;

use crate::event::Event;
use crate::output::KernelResult;
use crate::sa::{IkeSa, KernelWork};
use crate::shared::{Shared, endpoint, log};
use crate::task::Task;

impl IkeSa {
    /// Tells whoever watches that the IKE_SA goes on between other addresses or ports.
    pub(crate) fn announce_move(&self, shared: &mut Shared, local: SocketAddr, remote: SocketAddr) {
        if shared.watched && (local, remote) != (self.local, self.remote) {
            let before = Box::new(self.info());
            shared.out.event(Event::IkeMoved(before, local, remote));
        }
    }

    /// Moves the IKE_SA and its CHILD_SAs. A request that is on its way goes out again at once, by the new path: the old
    /// one may be what it was lost on.
    pub(crate) fn relocate(&mut self, shared: &mut Shared, local: SocketAddr, remote: SocketAddr) {
        if self.move_to(shared, local, remote) {
            self.repeat_request(shared);
        }
    }

    /// Moves the IKE_SA and its CHILD_SAs; whether that is a change.
    pub(crate) fn move_to(&mut self, shared: &mut Shared, local: SocketAddr, remote: SocketAddr) -> bool {
        if (local, remote) == (self.local, self.remote) {
            return false;
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
        if remote != self.remote {
            log!(
                shared,
                self,
                Ike,
                1,
                "remote endpoint changed from {} to {}",
                endpoint(self.remote),
                endpoint(remote)
            );
        }
        self.announce_move(shared, local, remote);
        (self.local, self.remote) = (local, remote);
        self.update_children(shared);
        true
    }

    /// Makes the kernel's SAs and policies those of the IKE_SA's addresses, ports and NATs.
    pub(crate) fn update_children(&mut self, shared: &mut Shared) {
        let (local, remote, encap) = (self.local, self.remote, self.natt.encap());
        for child in &mut self.children {
            let from = child.ends();
            let ops = child.relocate(local, remote, encap);
            if !ops.is_empty() {
                let id = shared.start_kernel(self.unique_id, ops);
                let work = KernelWork::Relocate(child.unique_id, from);
                self.kernel_work.insert(id, work);
            }
        }
    }

    /// The kernel has moved a CHILD_SA, or could not.
    pub(crate) fn on_child_moved(
        &mut self,
        shared: &mut Shared,
        child: u32,
        from: (IpAddr, IpAddr),
        result: &KernelResult,
    ) {
        let Err(failure) = result else { return };
        let unsupported = failure.error.kind == ErrorKind::NotSupported;
        let what = if unsupported { ", rekeying them" } else { "" };
        log!(
            shared,
            self,
            Knl,
            1,
            "moving IPsec SAs to other addresses failed{what}: {}",
            failure.error
        );
        // The first operation has failed, so that everything is as it was.
        if failure.completed == 0
            && let Some(moved) = self.child_mut(child)
        {
            moved.stay_at(from);
            let replaceable = moved.is_installed();
            if unsupported && replaceable {
                self.enqueue(shared, Task::RekeyChild(child, None));
            }
        }
    }

    /// Authenticated ESP of the peer now comes from elsewhere.
    pub(crate) fn on_mapping(&mut self, shared: &mut Shared, remote: SocketAddr) {
        self.follow_mapping(shared, remote);
    }

    /// Follows a peer behind a NAT that has changed its mapping. Who is behind one itself must not, lest an attacker can
    /// lead it anywhere (RFC 7296, 2.23); with MOBIKE the peer says so itself (RFC 4555, 3.8).
    pub(crate) fn follow_mapping(&mut self, shared: &mut Shared, remote: SocketAddr) {
        if self.is_established() && self.natt.remote && !self.natt.local && !self.peer.mobike {
            self.relocate(shared, self.local, remote);
        }
    }
}
