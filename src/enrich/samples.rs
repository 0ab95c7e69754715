//! Looks for this module's tests.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use crate::model::clock::Moment;
use crate::model::ids::{Inode, Pid, ProcessKey, StartTime, Uid};
use crate::model::look::{Cause, Exe, FileId, Look, Observation};

/// A look at a process of root's of which little is known.
pub(super) fn look(pid: u32, seen: Observation) -> Look {
    let key = ProcessKey { pid: Pid(pid), start: StartTime(1) };
    let mut look = Look::blank(key, Moment::default(), seen, Cause::Exec);
    look.comm = b"sh".to_vec();
    look
}

/// A file as the sensor hands it on.
pub(super) fn exe_of(path: &Path) -> Exe {
    let handle = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
    let stat = std::fs::metadata(path).unwrap();
    let file = FileId {
        device: stat.dev(),
        inode: Inode(stat.ino()),
        size: stat.size(),
        mtime_ns: stat.mtime() * 1_000_000_000 + stat.mtime_nsec(),
        ctime_ns: stat.ctime() * 1_000_000_000 + stat.ctime_nsec(),
        owner: Uid(stat.uid()),
        mode: stat.mode(),
    };
    Exe {
        path: path.as_os_str().as_encoded_bytes().to_vec(),
        deleted: false,
        file: Some(file),
        handle: Some(Arc::new(handle)),
    }
}
