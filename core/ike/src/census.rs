//! How many SAs are in which state, kept while they change so that nobody has to look at all of them.

use crate::child::ChildState;
use crate::sa::{IkeSa, IkeSaState};

/// The SAs of an Endpoint by state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    ike: [usize; IkeSaState::ALL.len()],
    child: [usize; ChildState::ALL.len()],
}

/// As what an IKE_SA and its CHILD_SAs are counted.
#[derive(Debug)]
pub(crate) struct Counted {
    ike: IkeSaState,
    child: [u16; ChildState::ALL.len()],
}

impl Census {
    /// The IKE_SAs in each state.
    pub fn ike_sas(&self) -> impl Iterator<Item = (IkeSaState, usize)> {
        IkeSaState::ALL.iter().copied().zip(self.ike)
    }

    /// The CHILD_SAs in each state.
    pub fn child_sas(&self) -> impl Iterator<Item = (ChildState, usize)> {
        ChildState::ALL.iter().copied().zip(self.child)
    }

    /// The IKE_SAs that are established and not gone yet.
    pub(crate) fn established(&self) -> usize {
        use IkeSaState as S;
        let states = [S::Established, S::Rekeying, S::Rekeyed, S::Deleting];
        states.into_iter().map(|state| self.ike[state as usize]).sum()
    }

    /// Counts an IKE_SA that is new.
    pub(crate) fn add(&mut self, sa: &IkeSa) -> Counted {
        let now = Counted::of(sa);
        self.ike[now.ike as usize] += 1;
        for (total, count) in self.child.iter_mut().zip(now.child) {
            *total += usize::from(count);
        }
        now
    }

    /// Stops counting an IKE_SA.
    pub(crate) fn remove(&mut self, counted: &Counted) {
        self.ike[counted.ike as usize] -= 1;
        for (total, count) in self.child.iter_mut().zip(counted.child) {
            *total -= usize::from(count);
        }
    }

    /// Counts an IKE_SA as it is now instead of as it was.
    pub(crate) fn update(&mut self, counted: &mut Counted, sa: &IkeSa) {
        self.remove(counted);
        *counted = self.add(sa);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self == &Self::default()
    }
}

impl Counted {
    fn of(sa: &IkeSa) -> Self {
        let mut child = [0_u16; ChildState::ALL.len()];
        for it in &sa.children {
            let count = &mut child[it.state as usize];
            *count = count.saturating_add(1);
        }
        Self { ike: sa.state, child }
    }
}
