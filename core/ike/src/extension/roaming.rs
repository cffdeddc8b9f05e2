//! An own address or a route has changed: is there still a way to the peer, and which is it (RFC 4555, 3.4 and 3.5)?
//!
//! The driver is asked for own addresses to reach each address of the peer from. One way is taken at once; of several to
//! other addresses of the peer nobody knows which works, so that a request goes all of them until an answer comes back by
//! one. It is the same request with the same message ID, which the peer answers by whichever way it came.

use std::net::{IpAddr, SocketAddr};

use crypto::int_auth::Role;

use crate::output::Destination;
use crate::sa::{IkeSa, KernelWork};
use crate::shared::{Shared, endpoint, log};
use crate::task::Task;

/// Own address and the peer's.
pub(crate) type Path = (SocketAddr, SocketAddr);

/// The retransmission from which on the path is doubted.
const DOUBTFUL: u32 = 2;

/// What own addresses were asked for.
#[derive(Debug)]
pub(crate) struct Search {
    why: Why,
    /// The path in use first, then each address of the peer.
    destinations: Vec<Destination>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// Addresses or routes have changed.
    Change,
    /// The peer does not answer, or answers from elsewhere.
    Doubt,
    /// The peer did not want a path.
    Refusal,
}

impl IkeSa {
    /// Addresses or routes have changed; routes alone do not concern who does not decide about the path.
    pub(crate) fn on_roam(&mut self, shared: &mut Shared, address: bool) {
        if self.is_established() && (address || self.origin == Role::Initiator) {
            self.paths.refused.clear();
            self.find_sources(shared, Why::Change);
        }
    }

    /// The kernel's SAs are at these addresses now, own and the peer's: the IKE_SA and all of its CHILD_SAs follow.
    pub(crate) fn on_migration(&mut self, shared: &mut Shared, (local, remote): (IpAddr, IpAddr)) {
        let path = self.path(local, remote);
        if self.may_move() {
            self.go(shared, path);
        } else {
            self.relocate(shared, path.0, path.1);
        }
        self.start_next_task(shared);
    }

    /// A request was sent for the n-th time again.
    pub(crate) fn doubt_path(&mut self, shared: &mut Shared, n: u32) {
        if n >= DOUBTFUL && self.may_move() && self.paths.candidates.is_empty() {
            self.find_sources(shared, Why::Doubt);
        }
    }

    /// A request of the responder has come by another path.
    pub(crate) fn on_peer_elsewhere(&mut self, shared: &mut Shared, (_, remote): Path) {
        if self.may_move() {
            if !self.mobike.peer_addresses.contains(&remote.ip()) && remote.ip() != self.remote.ip() {
                self.mobike.peer_addresses.insert(0, remote.ip());
            }
            self.find_sources(shared, Why::Doubt);
        }
    }

    /// The peer did not want the path that it was told of.
    pub(crate) fn on_path_refused(&mut self, shared: &mut Shared, path: Path) {
        self.paths.refused.push(path);
        if self.may_move() {
            self.find_sources(shared, Why::Refusal);
        }
    }

    fn find_sources(&mut self, shared: &mut Shared, why: Why) {
        let mut destinations = vec![
            Destination {
                remote: self.remote.ip(),
                local: Some(self.local.ip()),
            },
            Destination {
                remote: self.remote.ip(),
                local: None,
            },
        ];
        if self.may_move() {
            let others = self.mobike.peer_addresses.iter().copied();
            let others = others.filter(|address| *address != self.remote.ip());
            destinations.extend(others.map(|remote| Destination { remote, local: None }));
        }
        let id = shared.find_sources(self.unique_id, destinations.clone());
        self.kernel_work
            .insert(id, KernelWork::FindSources(Search { why, destinations }));
    }

    /// The own addresses that were asked for; none where there is no way.
    pub(crate) fn on_sources(&mut self, shared: &mut Shared, search: Search, sources: &[Option<IpAddr>]) {
        let current = (self.local, self.remote);
        let found = search.destinations.iter().zip(sources);
        let mut found = found.filter_map(|(to, source)| Some((to.remote, (*source)?, to.local.is_some())));
        let is_current = |(remote, source, bound): (IpAddr, IpAddr, bool)| {
            bound && (source, remote) == (current.0.ip(), current.1.ip())
        };
        let mut paths: Vec<Path> = Vec::new();
        let mut valid = false;
        for one @ (remote, source, bound) in &mut found {
            valid |= is_current(one);
            if !bound {
                paths.push(self.path(source, remote));
            }
        }
        paths.retain(|path| !self.paths.refused.contains(path));
        match search.why {
            Why::Change => self.on_change(shared, valid, &paths),
            Why::Doubt => {
                if valid && !paths.contains(&current) {
                    paths.insert(0, current);
                }
                self.try_paths(shared, paths);
            }
            Why::Refusal => match paths.first() {
                Some(path) => self.go(shared, *path),
                None => log!(
                    shared,
                    self,
                    Ike,
                    1,
                    "peer accepts none of our paths to it, MOBIKE update deferred"
                ),
            },
        }
        self.start_next_task(shared);
    }

    /// The path from an own address to one of the peer.
    fn path(&self, source: IpAddr, remote: IpAddr) -> Path {
        // The port of a NAT is that of one address only; MOBIKE has moved to port 4500 otherwise (RFC 4555, 3.3).
        let port = if remote == self.remote.ip() || !self.natt.remote {
            self.remote.port()
        } else {
            4500
        };
        (
            SocketAddr::new(source, self.local.port()),
            SocketAddr::new(remote, port),
        )
    }

    fn on_change(&mut self, shared: &mut Shared, valid: bool, paths: &[Path]) {
        let direct = paths
            .first()
            .copied()
            .filter(|path| path.1.ip() == self.remote.ip());
        let better = shared.settings.prefer_best_path
            && self.may_move()
            && direct.is_some_and(|path| path.0 != self.local);
        if valid && !better {
            return self.keep_path(shared);
        }
        if !valid {
            let text = "old path is not available anymore, try to find another";
            log!(shared, self, Ike, 1, "{text}");
        }
        log!(
            shared,
            self,
            Ike,
            1,
            "looking for a route to {} ...",
            self.remote.ip()
        );
        let Some(first) = paths.first().copied() else {
            log!(
                shared,
                self,
                Ike,
                1,
                "no route found to reach {}, MOBIKE update deferred",
                self.remote.ip()
            );
            self.mobike.stale = true;
            return;
        };
        self.mobike.stale = false;
        if !self.peer.mobike {
            // Nobody can tell the peer. It will be found dead, and the IKE_SA established anew from there.
            self.paths.way_out = Some(first.0.ip());
        } else if self.origin == Role::Responder {
            // The initiator has to learn where we are, and decides.
            self.announce_move(shared, first.0, self.remote);
            self.local = first.0;
            self.repeat_request(shared);
            self.want_update();
        } else if !self.may_move() {
            // It is on its way out; its successor tells the peer.
            self.relocate(shared, first.0, first.1);
        } else if direct.is_some() || paths.len() == 1 {
            self.go(shared, first);
        } else {
            self.try_paths(shared, paths.to_vec());
        }
    }

    fn keep_path(&mut self, shared: &mut Shared) {
        log!(
            shared,
            self,
            Ike,
            2,
            "keeping connection path {} - {}",
            self.local.ip(),
            self.remote.ip()
        );
        self.paths.way_out = None;
        if std::mem::take(&mut self.mobike.stale) {
            self.repeat_request(shared);
            // A NAT on the way may have forgotten us.
            self.mobike.moved = self.may_move();
        }
        if self.mobike.moved || self.has_unannounced(shared) {
            self.want_update();
        }
    }

    /// Takes a path, and tells the peer.
    fn go(&mut self, shared: &mut Shared, (local, remote): Path) {
        self.paths.candidates.clear();
        self.relocate(shared, local, remote);
        self.mobike.moved = true;
        self.want_update();
    }

    /// Sends what is on its way, or a liveness check, by all these paths.
    fn try_paths(&mut self, shared: &mut Shared, paths: Vec<Path>) {
        if paths.is_empty() || paths == [(self.local, self.remote)] {
            return;
        }
        self.paths.candidates = paths;
        if self.window.is_busy() {
            self.repeat_request(shared);
        } else if !self.tasks.contains(&Task::Liveness) {
            self.tasks.push_front(Task::Liveness);
        }
    }

    /// Sends the request that is on its way once more.
    pub(crate) fn repeat_request(&mut self, shared: &mut Shared) {
        if let Some(request) = self.window.outstanding() {
            let packets = request.packets.clone();
            self.transmit_request(shared, packets);
        }
    }

    /// Sends a request by the path of the IKE_SA, or by all that are being tried.
    pub(crate) fn transmit_request(&mut self, shared: &mut Shared, packets: Vec<Vec<u8>>) {
        if self.paths.candidates.is_empty() {
            return self.transmit(shared, packets);
        }
        for path in self.paths.candidates.clone() {
            log!(
                shared,
                self,
                Ike,
                1,
                "checking path {} - {}",
                endpoint(path.0),
                endpoint(path.1)
            );
            self.transmit_on(shared, path, packets.clone());
        }
    }

    /// A response came by this path, which therefore works.
    pub(crate) fn on_response_path(&mut self, shared: &mut Shared, path: Path) {
        self.follow_mapping(shared, path.1);
        let candidates = std::mem::take(&mut self.paths.candidates);
        if path != (self.local, self.remote) && candidates.contains(&path) {
            self.move_to(shared, path.0, path.1);
            self.mobike.moved = true;
            self.want_update();
        }
    }
}
