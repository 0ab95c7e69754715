//! The right to write.
//!
//! Owns: the file `lock`, which names its holder. The kernel frees the lock with the descriptor, however the process
//! ends. Readers need no lock.

use std::fs::File;
use std::io::{Read, Write};

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::directory::Directory;
use super::error::SpoolError;

const NAME: &str = "lock";

/// Held as long as it lives.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock, or says who has it.
    pub(super) fn take(directory: &Directory) -> Result<Self, SpoolError> {
        let failed = |source| SpoolError::opening(&directory.join(NAME), source);
        let mut file = directory.open_or_create(NAME).map_err(failed)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => {
                let mut text = String::new();
                let read = (&file).take(32).read_to_string(&mut text);
                let pid = read.ok().and_then(|_| text.trim().parse().ok());
                return Err(SpoolError::Held { path: directory.path().to_owned(), pid });
            }
            Err(errno) => return Err(failed(errno.into())),
        }
        // Only the message of a refused writer suffers when the pid cannot be written, on a full disk for instance.
        if file.set_len(0).is_ok() {
            let _ = writeln!(file, "{}", std::process::id());
        }
        Ok(Self { file })
    }
}

impl Drop for Lock {
    /// Closing is not enough: a child that was forked and has not yet executed its program has the descriptor too, and
    /// with it the lock (flock(2)). If this fails, the lock goes with the last of them.
    fn drop(&mut self) {
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}
