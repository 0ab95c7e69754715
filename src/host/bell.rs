//! Telling several waiting threads that something has come.
//!
//! Owns: counting and waking. Must not own: what has come. Whoever waits reads the count, looks whether what it wants is
//! there, and then waits for a higher count: nothing that comes in between is missed.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Rung by those who bring something.
#[derive(Debug, Default)]
pub struct Bell {
    rung: Mutex<u64>,
    heard: Condvar,
}

impl Bell {
    /// How often it was rung.
    pub fn count(&self) -> u64 {
        *self.lock()
    }

    /// Something has come.
    pub fn ring(&self) {
        let mut rung = self.lock();
        *rung = rung.wrapping_add(1);
        self.heard.notify_all();
    }

    /// Waits until it was rung after it had been rung `count` times, and until `deadline` at most.
    pub fn wait(&self, count: u64, deadline: Instant) {
        let mut rung = self.lock();
        while *rung == count {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            rung = self.heard.wait_timeout(rung, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A number is never half changed.
    fn lock(&self) -> MutexGuard<'_, u64> {
        self.rung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;
    use std::time::Duration;

    #[test]
    fn wakes_all_who_wait_and_misses_none() {
        let bell = Arc::new(Bell::default());
        let late = Instant::now() + Duration::from_secs(60);
        let before = bell.count();
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let bell = Arc::clone(&bell);
                thread::spawn(move || bell.wait(before, late))
            })
            .collect();
        bell.ring();
        waiting.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(Instant::now() < late);
        // What was rung before the wait counts too.
        bell.wait(before, late);
        assert!(Instant::now() < late);
        bell.wait(bell.count(), Instant::now());
        assert_eq!(bell.count(), before + 1);
    }
}
