//! The catalog in force.
//!
//! Owns: handing the newest catalog to threads that must not wait for each other. Must not own: what is in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};

use crate::engine::program::Catalog;

/// A catalog that is replaced as a whole when the configuration is read again. Asking for it takes no lock.
#[derive(Debug)]
pub struct InForce {
    catalog: ArcSwap<Catalog>,
    changes: AtomicU64,
}

impl InForce {
    /// With this catalog.
    pub fn new(catalog: Catalog) -> Self {
        Self { catalog: ArcSwap::from_pointee(catalog), changes: AtomicU64::new(0) }
    }

    /// The newest.
    pub fn get(&self) -> Guard<Arc<Catalog>> {
        self.catalog.load()
    }

    /// Puts another in force.
    pub fn replace(&self, catalog: Catalog) {
        self.catalog.store(Arc::new(catalog));
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// How often it was replaced: what was decided by an older one has to be decided again.
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_counts() {
        let names = InForce::new(Catalog::new(&[], &[], &[]));
        assert!(!names.get().may_be_command(b"frobsh") && names.changes() == 0);
        names.replace(Catalog::new(&[], &["frobsh".into()], &[]));
        assert!(names.get().may_be_command(b"frobsh") && names.changes() == 1);
    }
}
