//! Which IKE_SA waits for which job, and for whom a job is done.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::lookup::SaKey;
use crate::output::JobId;

/// For whom a job is done, by which whoever runs jobs decides what goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beneficiary {
    /// An IKE_SA whose peer has authenticated, or one that this end wants.
    Known,
    /// A peer at this address that has not authenticated.
    Stranger(IpAddr),
}

/// Abandoned jobs that are remembered until they are asked for. Those that are not are done in vain.
const MAX_ABANDONED: usize = 4096;

/// What of an IKE_SA waits for a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Its establishment.
    Phase(SaKey),
    /// What it is making.
    Active(SaKey),
    /// What its peer is making.
    Passive(SaKey),
}

impl Owner {
    pub(crate) fn key(self) -> SaKey {
        let (Self::Phase(key) | Self::Active(key) | Self::Passive(key)) = self;
        key
    }
}

/// The jobs that are under way.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    owners: BTreeMap<JobId, Owner>,
    by_sa: BTreeSet<(SaKey, JobId)>,
    /// Jobs whose IKE_SA has gone, to be told to whoever runs them.
    abandoned: Vec<JobId>,
}

impl Jobs {
    pub(crate) fn add(&mut self, id: JobId, owner: Owner) {
        self.owners.insert(id, owner);
        self.by_sa.insert((owner.key(), id));
    }

    pub(crate) fn owner(&self, id: JobId) -> Option<Owner> {
        self.owners.get(&id).copied()
    }

    /// A job is done; who waits for it, if its IKE_SA is still there.
    pub(crate) fn remove(&mut self, id: JobId) -> Option<Owner> {
        let owner = self.owners.remove(&id)?;
        self.by_sa.remove(&(owner.key(), id));
        Some(owner)
    }

    /// An IKE_SA has gone.
    pub(crate) fn abandon(&mut self, key: SaKey) {
        let of_sa = (key, JobId(0))..=(key, JobId(u64::MAX));
        let ids: Vec<JobId> = self.by_sa.range(of_sa).map(|(_, id)| *id).collect();
        for id in ids {
            self.remove(id);
            if self.abandoned.len() < MAX_ABANDONED {
                self.abandoned.push(id);
            }
        }
    }

    pub(crate) fn take_abandoned(&mut self) -> Vec<JobId> {
        std::mem::take(&mut self.abandoned)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.owners.is_empty() && self.by_sa.is_empty()
    }
}
