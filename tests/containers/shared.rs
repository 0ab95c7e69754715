//! One runtime for all tests that use it at the same time.

use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The one that is running, or a new one. It ends with its last user: what is `static` is never dropped, and there is
/// more to end than processes.
pub fn shared<T>(slot: &Mutex<Weak<T>>, start: impl FnOnce() -> T) -> Arc<T> {
    let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
    slot.upgrade().unwrap_or_else(|| {
        let new = Arc::new(start());
        *slot = Arc::downgrade(&new);
        new
    })
}
