//! A table of a few entries, which takes no room while it is empty.

/// Values by their keys, in the order in which they came.
#[derive(Debug)]
pub(crate) struct Few<K, V>(Vec<(K, V)>);

impl<K, V> Default for Few<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: PartialEq, V> Few<K, V> {
    /// Adds an entry whose key is new.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        self.0.push((key, value));
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let at = self.0.iter().position(|(known, _)| known == key)?;
        let (_, value) = self.0.remove(at);
        if self.0.is_empty() {
            self.0 = Vec::new();
        }
        Some(value)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.0.iter_mut().map(|(_, value)| value)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K, V> IntoIterator for Few<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stay_in_order_and_leave_nothing() {
        let mut few = Few::default();
        for key in 1..=3 {
            few.insert(key, key * 10);
        }
        assert_eq!((few.remove(&2), few.remove(&2)), (Some(20), None));
        assert_eq!(few.values().copied().collect::<Vec<_>>(), [10, 30]);
        assert_eq!((few.remove(&1), few.remove(&3)), (Some(10), Some(30)));
        assert!(few.is_empty() && few.0.capacity() == 0);
    }
}
