//! Closing duplicates of other people's files.
//!
//! Owns: a thread that closes what may take long to close. close(2) makes FUSE, NFS, CIFS and overlay filesystems flush,
//! which waits for their server; a first look must not. Files of filesystems that are known not to flush are closed by
//! the caller. Must not own: any other use of the duplicates.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

/// The most duplicates that wait to be closed.
const WAITING_MAX: usize = 1024;
/// The most devices remembered as closing at once.
const DEVICES_MAX: usize = 32;

/// Filesystems without a flush operation, by `f_type` (statfs(2), Linux `include/uapi/linux/magic.h`): ext2 to ext4, XFS,
/// Btrfs, tmpfs, ramfs, EROFS, squashfs, ISO 9660, proc, sysfs, cgroup2, FAT.
const QUICK: [i64; 12] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0x0102_1994,
    0x8584_58f6,
    0xe0f5_e1e2,
    0x7371_7368,
    0x9660,
    0x9fa0,
    0x6265_6572,
    0x6367_7270,
    0x4d44,
];

/// Takes duplicates to close. Clones share one thread, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct Undertaker {
    waiting: Sender<(OwnedFd, Option<u64>)>,
    quick: Arc<Quick>,
}

#[derive(Debug, Default)]
struct Quick {
    devices: [AtomicU64; DEVICES_MAX],
    known: AtomicUsize,
}

impl Quick {
    fn has(&self, device: u64) -> bool {
        let known = self.known.load(Ordering::Acquire);
        self.devices.iter().take(known).any(|slot| slot.load(Ordering::Relaxed) == device)
    }

    /// Only the thread adds.
    fn add(&self, device: u64) {
        let known = self.known.load(Ordering::Relaxed);
        if let Some(slot) = self.devices.get(known) {
            slot.store(device, Ordering::Relaxed);
            self.known.store(known + 1, Ordering::Release);
        }
    }
}

impl Undertaker {
    /// Starts the thread.
    pub fn start() -> io::Result<Self> {
        let (waiting, corpses) = bounded(WAITING_MAX);
        let quick = Arc::new(Quick::default());
        let known = quick.clone();
        std::thread::Builder::new().name("undertaker".into()).spawn(move || bury(&corpses, &known))?;
        Ok(Self { waiting, quick })
    }

    /// Whether so many wait that no more duplicates should be taken.
    pub fn is_full(&self) -> bool {
        self.waiting.is_full()
    }

    /// Takes a duplicate that may take long to close; gives back what closes at once. `device`: the filesystem it is of, where
    /// that is known.
    pub fn take(&self, duplicate: OwnedFd, device: Option<u64>) -> Option<OwnedFd> {
        if device.is_some_and(|device| self.quick.has(device)) {
            return Some(duplicate);
        }
        match self.waiting.try_send((duplicate, device)) {
            Ok(()) => None,
            // Nobody takes duplicates while it is full; one that was under way may find it so. It is closed here.
            Err(TrySendError::Full((duplicate, _)) | TrySendError::Disconnected((duplicate, _))) => {
                Some(duplicate)
            }
        }
    }
}

fn bury(corpses: &Receiver<(OwnedFd, Option<u64>)>, quick: &Quick) {
    for (duplicate, device) in corpses {
        let Some(device) = device.filter(|device| !quick.has(*device)) else { continue };
        if rustix::fs::fstatfs(&duplicate).is_ok_and(|found| QUICK.contains(&found.f_type)) {
            quick.add(device);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_filesystem_is_learnt() {
        let undertaker = Undertaker::start().unwrap();
        let file = || OwnedFd::from(std::fs::File::open("/proc/self/stat").unwrap());
        let device = rustix::fs::fstat(file()).unwrap().st_dev;
        assert!(undertaker.take(file(), Some(device)).is_none());
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !undertaker.quick.has(device) && std::time::Instant::now() < deadline {
            std::thread::yield_now();
        }
        assert!(undertaker.quick.has(device));
        assert!(!undertaker.quick.has(device + 1));
        assert!(undertaker.take(file(), Some(device)).is_some());
    }
}
