//! The SA database (RFC 4301, 4.4.2).
//!
//! Packets find their SA by a read lock on one of a few shards, held for one look-up in a map; writers hold it for one
//! insertion. A snapshot behind `arc-swap` would spare readers that lock, but copying the whole table for each of
//! 100,000 SAs would make their installation quadratic. What every packet changes is atomic or, for the replay window,
//! behind a lock of the SA's own; where an SA's packets go and its expanded keys are one `arc-swap`, for they change with a
//! roaming or a pause.

mod active;
mod current;
mod sa;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use plugin_api::kernel::SaId;
use plugin_api::{ErrorKind, PluginError};

pub use active::Active;
pub use current::{Current, Endpoints, NO_UDP};
pub use sa::{Sa, Sequence};

const SHARDS: usize = 64;

#[derive(Default)]
struct Shard {
    inbound: HashMap<u32, Option<Arc<Sa>>>,
    outbound: HashMap<u32, Peers>,
}

/// Outbound SAs with the same SPI: different peers may choose it, but rarely do.
enum Peers {
    One(Arc<Sa>),
    Many(Vec<Arc<Sa>>),
}

impl Peers {
    fn as_slice(&self) -> &[Arc<Sa>] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(all) => all,
        }
    }

    fn push(&mut self, sa: Arc<Sa>) {
        match self {
            Self::One(one) => *self = Self::Many(vec![Arc::clone(one), sa]),
            Self::Many(all) => all.push(sa),
        }
    }

    /// Removes one, unless it is the last.
    fn remove(&mut self, at: usize) -> Option<Arc<Sa>> {
        match self {
            Self::Many(all) if all.len() > 1 => Some(all.swap_remove(at)),
            _ => None,
        }
    }
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
            use std::collections::hash_map::Entry;
            match shard.outbound.entry(sa.spi) {
                Entry::Vacant(free) => {
                    free.insert(Peers::One(sa));
                }
                Entry::Occupied(mut same) => {
                    let same = same.get_mut();
                    if same.as_slice().iter().any(|other| other.dst() == sa.dst()) {
                        return Err(exists(&sa));
                    }
                    same.push(sa);
                }
            }
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
            .as_slice()
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
        let outbound = shard.outbound.get(&id.spi).map_or(&[][..], Peers::as_slice);
        let outbound = outbound.iter();
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
            && let Some(at) = same.as_slice().iter().position(|sa| sa.dst() == id.dst)
        {
            let sa = Arc::clone(&same.as_slice()[at]);
            if same.remove(at).is_none() {
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
pub(crate) mod tests;
