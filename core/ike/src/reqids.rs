//! Numbers that tie SAs to policies: equal selectors have equal ones, if marks and interfaces are equal too.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::child::Selectors;

/// The numbers in use. Released ones are used again, the lowest first.
#[derive(Debug, Default)]
pub(crate) struct Reqids {
    by_selectors: BTreeMap<Arc<Selectors>, Reqid>,
    last: u32,
    released: BTreeSet<u32>,
}

#[derive(Debug)]
struct Reqid {
    number: u32,
    /// How many CHILD_SAs and how many traps have it.
    children: u32,
    traps: u32,
}

impl Reqids {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_selectors.is_empty()
    }

    /// How many CHILD_SAs have these selectors.
    pub(crate) fn users(&self, selectors: &Selectors) -> u32 {
        let known = self.by_selectors.get(selectors);
        known.map_or(0, |reqid| reqid.children)
    }

    /// The number for a CHILD_SA with these selectors. It is that of a trap only if the trap has the same: a packet that only
    /// the trap covers must not find the SA of a CHILD_SA that was narrowed.
    pub(crate) fn acquire(&mut self, selectors: &Arc<Selectors>) -> u32 {
        let reqid = self.entry(selectors);
        reqid.children += 1;
        reqid.number
    }

    pub(crate) fn release(&mut self, selectors: &Selectors) {
        self.less(selectors, |reqid| &mut reqid.children);
    }

    /// The number for a trap with these selectors.
    pub(crate) fn hold(&mut self, selectors: &Arc<Selectors>) -> u32 {
        let reqid = self.entry(selectors);
        reqid.traps += 1;
        reqid.number
    }

    pub(crate) fn let_go(&mut self, selectors: &Selectors) {
        self.less(selectors, |reqid| &mut reqid.traps);
    }

    fn entry(&mut self, selectors: &Arc<Selectors>) -> &mut Reqid {
        let (last, released) = (&mut self.last, &mut self.released);
        self.by_selectors
            .entry(Arc::clone(selectors))
            .or_insert_with(|| Reqid {
                number: released.pop_first().unwrap_or_else(|| {
                    *last += 1;
                    *last
                }),
                children: 0,
                traps: 0,
            })
    }

    fn less(&mut self, selectors: &Selectors, users: impl Fn(&mut Reqid) -> &mut u32) {
        let Some(reqid) = self.by_selectors.get_mut(selectors) else {
            return;
        };
        *users(reqid) -= 1;
        if reqid.children + reqid.traps == 0 {
            self.released.insert(reqid.number);
            self.by_selectors.remove(selectors);
        }
        if self.by_selectors.is_empty() {
            (self.last, self.released) = Default::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use iana::TrafficSelector;

    use super::*;

    fn selectors(last: u8) -> Arc<Selectors> {
        Arc::new(Selectors {
            local: [TrafficSelector::host(IpAddr::from([10, 0, 0, last]))].into(),
            ..Selectors::default()
        })
    }

    #[test]
    fn released_numbers_are_used_again() {
        let mut reqids = Reqids::default();
        assert_eq!([1, 2, 3].map(|last| reqids.acquire(&selectors(last))), [1, 2, 3]);
        assert_eq!(reqids.hold(&selectors(2)), 2);
        reqids.release(&selectors(2));
        assert_eq!(reqids.acquire(&selectors(4)), 4, "a trap has 2");
        reqids.let_go(&selectors(2));
        reqids.release(&selectors(1));
        assert_eq!([5, 6, 7].map(|last| reqids.acquire(&selectors(last))), [1, 2, 5]);
        for last in 3..=7 {
            reqids.release(&selectors(last));
        }
        assert!(reqids.is_empty() && reqids.released.is_empty());
        assert_eq!(reqids.acquire(&selectors(8)), 1);
    }
}
