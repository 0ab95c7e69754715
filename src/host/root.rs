//! A process's root directory, and files in it.
//!
//! Owns: opening paths as that process would (openat2(2) RESOLVE_IN_ROOT: no link leads out of it), and nothing but
//! regular files. Must not own: which paths. Everything under a container's root belongs to the container: a look-up
//! can take for ever, so this belongs on a thread that may hang.

use std::os::fd::OwnedFd;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, openat2};

use crate::host::proc_dir::{ProcDir, file_id};
use crate::model::ids::ProcessKey;
use crate::model::look::FileId;

/// An open root directory.
#[derive(Debug)]
pub struct Root {
    top: OwnedFd,
}

impl Root {
    /// The root of a process; `None` where it has gone, with its root.
    pub fn of(process: ProcessKey) -> Option<Self> {
        Self::open(&living(process)?)
    }

    /// The root of a process whose directory is open.
    pub fn open(dir: &ProcDir) -> Option<Self> {
        Some(Self { top: dir.root().ok()? })
    }

    /// A regular file, opened O_PATH, and which one it is.
    pub fn file(&self, path: &[u8]) -> Option<(OwnedFd, FileId)> {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        regular(openat2(&self.top, path, flags, Mode::empty(), resolve).ok()?)
    }
}

/// A descriptor and the file that it is, if it is a regular one.
pub fn regular(handle: OwnedFd) -> Option<(OwnedFd, FileId)> {
    let file = file_id(&handle).ok()?;
    (FileType::from_raw_mode(file.mode) == FileType::RegularFile).then_some((handle, file))
}

/// `/proc/PID`, if it is still this life.
pub fn living(process: ProcessKey) -> Option<ProcDir> {
    let dir = ProcDir::open(process.pid).ok()?;
    (dir.stat()?.start == process.start).then_some(dir)
}
