//! One file below a runtime's directory.
//!
//! Owns: opening nothing that a link leads to, and nothing but a regular file, and reading a bounded part. The runtimes
//! hold their directories for their own: a file is closed as soon as it has been read (containerd's `docs/ops.md`).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat2};
use rustix::io::Errno;

use crate::host::program_file::reopen;

/// The most of a file that is read, in bytes; a longer one is not used. Podman's has all containers in it.
const MOST: u64 = 4 << 20;

/// What is in the file; `Err(None)` where there is none. The directory itself may be a link: that is the
/// administrator's choice.
pub(super) fn read(root: &Path, path: &str) -> Result<Vec<u8>, Option<&'static str>> {
    let none = |error| {
        if matches!(error, Errno::NOENT | Errno::NOTDIR) {
            None
        } else {
            Some("the runtime's file could not be opened")
        }
    };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let top = open(root, flags | OFlags::DIRECTORY, Mode::empty()).map_err(none)?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let handle = openat2(&top, path, flags | OFlags::NOFOLLOW, Mode::empty(), resolve).map_err(none)?;
    let file: File = reopen(&handle).map_err(Some)?;
    let mut text = Vec::new();
    file.take(MOST + 1).read_to_end(&mut text).map_err(|_| Some("the runtime's file could not be read"))?;
    if text.len() as u64 > MOST { Err(Some("the runtime's file is too long")) } else { Ok(text) }
}
