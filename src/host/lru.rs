//! A map that forgets what was not used for longest.
//!
//! Owns: the bound. Must not own: what is in it.

use std::collections::HashMap;
use std::hash::Hash;

/// At most `cap` entries. Making room looks at all of them, which is cheap for the few thousand this is made for and
/// happens only on a miss.
#[derive(Debug)]
pub struct Lru<K, V> {
    entries: HashMap<K, (u64, V)>,
    clock: u64,
    cap: usize,
}

impl<K: Eq + Hash + Clone, V> Lru<K, V> {
    /// An empty map of at most `cap` entries (at least one).
    pub fn new(cap: usize) -> Self {
        Self { entries: HashMap::new(), clock: 0, cap: cap.max(1) }
    }

    /// The value, without counting as a use.
    pub fn peek(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// Whether it is there; counts as a use.
    pub fn touch(&mut self, key: &K) -> bool {
        self.clock += 1;
        let clock = self.clock;
        self.entries.get_mut(key).map(|entry| entry.0 = clock).is_some()
    }

    /// Takes an entry out.
    pub fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }

    /// Adds or replaces; the least recently used entry makes room.
    pub fn put(&mut self, key: K, value: V) {
        self.clock += 1;
        if self.entries.len() >= self.cap && !self.entries.contains_key(&key) {
            let oldest = self.entries.iter().min_by_key(|(_, (used, _))| *used).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.entries.remove(&oldest);
            }
        }
        self.entries.insert(key, (self.clock, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_least_used() {
        let mut map = Lru::new(2);
        map.put(1, 'a');
        map.put(2, 'b');
        assert!(map.touch(&1));
        map.put(3, 'c');
        assert_eq!((map.peek(&1), map.peek(&2), map.peek(&3)), (Some(&'a'), None, Some(&'c')));
        map.put(3, 'd');
        assert_eq!((map.peek(&1), map.peek(&3)), (Some(&'a'), Some(&'d')));
    }
}
