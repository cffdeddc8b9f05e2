//! The SA database (RFC 4301, 4.4.2).
//!
//! Packets find their SA by a read lock on one of a few shards, held for one look-up in a map; writers hold it for one
//! insertion. A snapshot behind `arc-swap` would spare readers that lock, but copying the whole table for each of
//! 100,000 SAs would make their installation quadratic. What every packet changes is atomic or, for the replay window,
//! behind a lock of the SA's own, and where an SA's packets go is an `arc-swap`, for it changes once in a roaming.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use iana::TrafficSelector;
use plugin_api::kernel::{SaId, SaParameters};
use plugin_api::{ErrorKind, PluginError};

use crate::esp::Protection;
use crate::headers::Copying;
use crate::lifetime::Lifetime;
use crate::packet::Flow;
use crate::replay::ReplayWindow;

/// Outer addresses and ports of an SA, as this host sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// This host.
    pub local: SocketAddr,
    /// The peer.
    pub remote: SocketAddr,
}

/// What inbound and outbound SAs have in common.
pub struct Sa {
    /// Number of the SA among all that this process ever had.
    pub serial: u64,
    /// The receiver's SPI.
    pub spi: u32,
    /// Ties it to its policies.
    pub reqid: u32,
    /// Whether packets come in by it.
    pub inbound: bool,
    /// Algorithms and keys.
    pub protection: Protection,
    /// Whether sequence numbers have 64 bits.
    pub esn: bool,
    /// Where its packets go or come from.
    pub endpoints: ArcSwap<Endpoints>,
    /// This host's address before the last move, where packets may still come in that were on their way.
    former: Mutex<Option<IpAddr>>,
    /// Counters and limits.
    pub lifetime: Lifetime,
    /// What goes from an inner header to the outer one and back.
    pub copying: Copying,
    /// What may come out of it, or nothing if its policies say so.
    pub src_ts: Vec<TrafficSelector>,
    /// See `src_ts`.
    pub dst_ts: Vec<TrafficSelector>,
    /// Inbound: which numbers came.
    pub replay: Mutex<ReplayWindow>,
    /// Outbound: the last number used.
    sequence: AtomicU64,
    /// Inbound: the last endpoint told of in a mapping event.
    reported: Mutex<Option<SocketAddr>>,
}

/// A sequence number to send with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The number, which is the IV's counter too: it never repeats under a key.
    pub number: u64,
    /// Whether the end is so near that the SA has to be rekeyed.
    pub near_end: bool,
}

impl Sa {
    /// An SA from the daemon's parameters; `serial` makes it distinguishable from one with the same SPI later on.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotSupported`] if user space cannot do what is asked for.
    pub fn new(parameters: &SaParameters, serial: u64, now: Instant) -> Result<Self, PluginError> {
        let unsupported = |what: &str| Err(PluginError::new(ErrorKind::NotSupported, what));
        if parameters.id.protocol != iana::Protocol::ESP {
            return unsupported("user space IPsec knows ESP only, no AH; use esp= instead of ah=");
        }
        if parameters.mode != plugin_api::kernel::SaMode::Tunnel {
            return unsupported("user space IPsec knows tunnel mode only; set type=tunnel");
        }
        if parameters.mark.is_some() || parameters.options.set_mark.is_some() {
            return unsupported(
                "user space IPsec knows no marks; remove mark, mark_in, mark_out, set_mark_in and set_mark_out",
            );
        }
        if parameters.options.if_id != 0 {
            return unsupported("user space IPsec knows no interfaces; remove if_id_in and if_id_out");
        }
        let Some(encap) = parameters.encap else {
            return unsupported("ESP in user space works only in UDP; set forceencaps=yes (encap = yes)");
        };
        let src = SocketAddr::new(parameters.id.src, encap.src_port);
        let dst = SocketAddr::new(parameters.id.dst, encap.dst_port);
        let endpoints = if parameters.inbound {
            Endpoints {
                local: dst,
                remote: src,
            }
        } else {
            Endpoints {
                local: src,
                remote: dst,
            }
        };
        let protection = Protection::new(
            parameters.encryption,
            parameters.encryption_key.expose(),
            parameters.integrity,
            parameters.integrity_key.expose(),
            parameters.esn,
        )?;
        Ok(Self {
            serial,
            spi: parameters.id.spi,
            reqid: parameters.reqid,
            inbound: parameters.inbound,
            protection,
            esn: parameters.esn,
            endpoints: ArcSwap::from_pointee(endpoints),
            former: Mutex::new(None),
            lifetime: Lifetime::new(parameters.lifetime, now),
            copying: Copying::from(&parameters.options),
            src_ts: parameters.src_ts.clone(),
            dst_ts: parameters.dst_ts.clone(),
            replay: Mutex::new(ReplayWindow::new(if parameters.inbound {
                parameters.replay_window
            } else {
                0
            })),
            sequence: AtomicU64::new(0),
            reported: Mutex::new(None),
        })
    }

    /// The outer destination address, by which the daemon knows the SA.
    pub fn dst(&self) -> IpAddr {
        let endpoints = self.endpoints.load();
        if self.inbound {
            endpoints.local.ip()
        } else {
            endpoints.remote.ip()
        }
    }

    /// The next sequence number, or none once all are used: they must not wrap (RFC 4303, 3.3.3).
    pub fn next_sequence(&self) -> Option<Sequence> {
        let last = if self.esn {
            u64::MAX - 1
        } else {
            u64::from(u32::MAX)
        };
        let used = self
            .sequence
            .fetch_update(Relaxed, Relaxed, |used| (used < last).then_some(used + 1))
            .ok()?;
        // A sixteenth of the space is minutes even at line rate: enough for a rekeying that needs several attempts.
        Some(Sequence {
            number: used + 1,
            near_end: used >= last - last / 16,
        })
    }

    /// Whether an inner packet may come out of the SA; none if its policies have to say.
    pub fn admits(&self, flow: &Flow) -> Option<bool> {
        if self.src_ts.is_empty() || self.dst_ts.is_empty() {
            return None;
        }
        Some(
            self.src_ts.iter().any(|selector| flow.matches_source(selector))
                && self
                    .dst_ts
                    .iter()
                    .any(|selector| flow.matches_destination(selector)),
        )
    }

    /// Whether an authenticated packet's source is news to the daemon.
    pub fn is_new_mapping(&self, remote: SocketAddr) -> bool {
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        reported.replace(remote) != Some(remote)
    }

    /// Moves the SA.
    pub fn move_to(&self, endpoints: Endpoints) {
        let before = self.endpoints.swap(Arc::new(endpoints));
        if before.local.ip() != endpoints.local.ip() {
            *self.former.lock().unwrap_or_else(PoisonError::into_inner) = Some(before.local.ip());
        }
        *self.reported.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether that was this host's address before the last move.
    pub fn was_at(&self, address: IpAddr) -> bool {
        *self.former.lock().unwrap_or_else(PoisonError::into_inner) == Some(address)
    }

    #[cfg(test)]
    fn skip_to(&self, sequence: u64) {
        self.sequence.store(sequence, Relaxed);
    }
}

const SHARDS: usize = 64;

#[derive(Default)]
struct Shard {
    inbound: HashMap<u32, Option<Arc<Sa>>>,
    /// Different peers may choose the same SPI.
    outbound: HashMap<u32, Vec<Arc<Sa>>>,
}

/// All SAs.
pub struct Sad {
    shards: Vec<RwLock<Shard>>,
}

impl Default for Sad {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
        }
    }
}

impl Sad {
    /// Reserves an SPI for an inbound SA; `false` if it is in use.
    pub fn reserve(&self, spi: u32) -> bool {
        let mut shard = self.write(spi);
        let free = !shard.inbound.contains_key(&spi);
        if free {
            shard.inbound.insert(spi, None);
        }
        free
    }

    /// Installs an SA; an inbound one takes the place of its reserved SPI.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::AlreadyExists`] if there is one with its SPI.
    pub fn add(&self, sa: Arc<Sa>) -> Result<(), PluginError> {
        let mut shard = self.write(sa.spi);
        if sa.inbound {
            let slot = shard.inbound.entry(sa.spi).or_default();
            if slot.is_some() {
                return Err(exists(&sa));
            }
            *slot = Some(sa);
        } else {
            let same = shard.outbound.entry(sa.spi).or_default();
            if same.iter().any(|other| other.dst() == sa.dst()) {
                return Err(exists(&sa));
            }
            same.push(sa);
        }
        Ok(())
    }

    /// The SA of an inbound packet.
    pub fn inbound(&self, spi: u32) -> Option<Arc<Sa>> {
        self.read(spi).inbound.get(&spi).cloned().flatten()
    }

    /// The SA that a policy sends by.
    pub fn outbound(&self, spi: u32, reqid: u32) -> Option<Arc<Sa>> {
        self.read(spi)
            .outbound
            .get(&spi)?
            .iter()
            .find(|sa| sa.reqid == reqid)
            .cloned()
    }

    /// The SA that the daemon means.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if there is none.
    pub fn find(&self, id: &SaId) -> Result<Arc<Sa>, PluginError> {
        let shard = self.read(id.spi);
        let inbound = shard.inbound.get(&id.spi).and_then(Option::as_ref);
        let outbound = shard.outbound.get(&id.spi).into_iter().flatten();
        outbound
            .chain(inbound)
            .find(|sa| sa.dst() == id.dst)
            .cloned()
            .ok_or_else(|| missing(id))
    }

    /// Removes an SA or a reserved SPI.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotFound`] if there is none.
    pub fn remove(&self, id: &SaId) -> Result<Option<Arc<Sa>>, PluginError> {
        let mut shard = self.write(id.spi);
        if let Some(same) = shard.outbound.get_mut(&id.spi)
            && let Some(at) = same.iter().position(|sa| sa.dst() == id.dst)
        {
            let sa = same.swap_remove(at);
            if same.is_empty() {
                shard.outbound.remove(&id.spi);
            }
            return Ok(Some(sa));
        }
        match shard.inbound.get(&id.spi) {
            Some(Some(sa)) if sa.dst() != id.dst => Err(missing(id)),
            Some(_) => Ok(shard.inbound.remove(&id.spi).flatten()),
            None => Err(missing(id)),
        }
    }

    /// Removes everything.
    pub fn clear(&self) {
        for shard in &self.shards {
            *shard.write().unwrap_or_else(PoisonError::into_inner) = Shard::default();
        }
    }

    fn read(&self, spi: u32) -> std::sync::RwLockReadGuard<'_, Shard> {
        self.shards[spi as usize % SHARDS]
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, spi: u32) -> std::sync::RwLockWriteGuard<'_, Shard> {
        self.shards[spi as usize % SHARDS]
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn exists(sa: &Sa) -> PluginError {
    PluginError::new(
        ErrorKind::AlreadyExists,
        format!(
            "an SA with SPI {:08x} and destination {} is installed already",
            sa.spi,
            sa.dst()
        ),
    )
}

fn missing(id: &SaId) -> PluginError {
    PluginError::new(
        ErrorKind::NotFound,
        format!("no SA with SPI {:08x} and destination {}", id.spi, id.dst),
    )
}

#[cfg(test)]
mod tests;
