//! Which IKE_SAs stand between which identities, so that those of one pair are found among any number of others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::identity::Identity;

use crate::lookup::SaKey;

/// The identities of both ends, the own one first.
pub(crate) type Ends = (Arc<Identity>, Arc<Identity>);

/// IKE_SAs by their numbers and by the identities of their ends.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    ends: BTreeMap<SaKey, Ends>,
    keys: BTreeSet<(Ends, SaKey)>,
}

impl Standing {
    pub(crate) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn insert(&mut self, key: SaKey, ends: Ends) {
        self.remove(key);
        self.keys.insert((ends.clone(), key));
        self.ends.insert(key, ends);
    }

    pub(crate) fn remove(&mut self, key: SaKey) -> Option<Ends> {
        let entry = (self.ends.remove(&key)?, key);
        self.keys.remove(&entry);
        Some(entry.0)
    }

    pub(crate) fn get(&self, key: SaKey) -> Option<&Ends> {
        self.ends.get(&key)
    }

    /// Those between the same identities.
    pub(crate) fn between(&self, ends: &Ends) -> impl Iterator<Item = SaKey> {
        let range = (ends.clone(), SaKey::MIN)..=(ends.clone(), SaKey::MAX);
        self.keys.range(range).map(|(_, key)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends(peer: &str) -> Ends {
        (Arc::new(Identity::parse("moon")), Arc::new(Identity::parse(peer)))
    }

    #[test]
    fn those_of_a_pair_are_found_until_they_go() {
        let mut standing = Standing::default();
        standing.insert(1, ends("carol"));
        standing.insert(2, ends("dave"));
        standing.insert(3, ends("carol"));
        assert_eq!(standing.between(&ends("carol")).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(standing.remove(1), Some(ends("carol")));
        assert_eq!(standing.remove(1), None);
        assert_eq!(standing.between(&ends("carol")).collect::<Vec<_>>(), [3]);
        standing.insert(3, ends("dave"));
        assert_eq!(standing.between(&ends("carol")).next(), None);
        assert_eq!(standing.between(&ends("dave")).collect::<Vec<_>>(), [2, 3]);
        assert_eq!((standing.get(3), standing.len()), (Some(&ends("dave")), 2));
        standing.remove(2);
        standing.remove(3);
        assert!(standing.is_empty() && standing.keys.is_empty());
    }
}
