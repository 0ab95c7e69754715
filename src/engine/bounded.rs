//! A map that cannot grow without end.
//!
//! Owns: the cap and the eviction rule: the entry that was put in first goes first. Must not own: what its loss means
//! (the caller counts it).

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// A hash map of at most `most` entries.
#[derive(Clone, Debug)]
pub struct BoundedMap<K, V> {
    entries: HashMap<K, (u64, V)>,
    order: BTreeMap<u64, K>,
    next: u64,
    most: usize,
}

impl<K: Copy + Eq + Hash, V> BoundedMap<K, V> {
    /// An empty map; a cap of 0 is taken as 1.
    pub fn new(most: usize) -> Self {
        Self { entries: HashMap::new(), order: BTreeMap::new(), next: 0, most: most.max(1) }
    }

    /// Puts an entry in; what had to leave for it is returned. An entry that was there keeps its place in the order.
    pub fn insert(&mut self, key: K, value: V) -> Option<(K, V)> {
        if let Some((_, old)) = self.entries.get_mut(&key) {
            *old = value;
            return None;
        }
        let evicted = if self.entries.len() >= self.most {
            self.order.pop_first().and_then(|(_, oldest)| Some((oldest, self.entries.remove(&oldest)?.1)))
        } else {
            None
        };
        self.order.insert(self.next, key);
        self.entries.insert(key, (self.next, value));
        self.next += 1;
        evicted
    }

    /// Takes out the entry that was put in first, if that is one of `which`.
    pub fn take_first_if(&mut self, which: impl FnOnce(&V) -> bool) -> Option<(K, V)> {
        let (place, key) = self.order.first_key_value().map(|(place, key)| (*place, *key))?;
        which(&self.entries.get(&key)?.1).then(|| self.order.remove(&place))?;
        Some((key, self.entries.remove(&key)?.1))
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let (place, value) = self.entries.remove(key)?;
        self.order.remove(&place);
        Some(value)
    }

    /// An entry.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// An entry, to change.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        self.entries.get_mut(key).map(|(_, value)| value)
    }

    /// All entries, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.order.values().filter_map(|key| Some((key, self.get(key)?)))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_oldest_leaves() {
        let mut map = BoundedMap::new(2);
        assert!(map.insert(1, 'a').is_none() && map.insert(2, 'b').is_none());
        assert!(map.insert(1, 'c').is_none());
        assert_eq!(map.insert(3, 'd'), Some((1, 'c')));
        assert_eq!(map.iter().collect::<Vec<_>>(), [(&2, &'b'), (&3, &'d')]);
        assert_eq!(map.take_first_if(|value| *value == 'd'), None);
        assert_eq!(map.take_first_if(|value| *value == 'b'), Some((2, 'b')));
        assert_eq!((map.len(), map.get(&2)), (1, None));
    }

    proptest! {
        #[test]
        fn never_over_its_cap(steps in proptest::collection::vec((any::<bool>(), 0u8..20), 0..200)) {
            let mut map = BoundedMap::new(5);
            for (insert, key) in steps {
                if insert { map.insert(key, ()); } else { map.remove(&key); }
                prop_assert!(map.len() <= 5);
                prop_assert_eq!(map.iter().count(), map.len());
            }
        }
    }
}
