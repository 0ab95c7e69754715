//! Limits of this process.
//!
//! Owns: raising the number of descriptors. Must not own: how many are needed.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of descriptors to `most`, as far as it may go (RLIMIT_NOFILE, getrlimit(2)); what it is then.
pub fn raise_descriptors(most: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(u64::MAX).min(most);
    let current = limit.current.unwrap_or(u64::MAX);
    if current >= most {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(most), maximum: limit.maximum }) {
        Ok(()) => most,
        Err(_) => current,
    }
}
