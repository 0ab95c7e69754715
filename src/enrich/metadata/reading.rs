//! One file or one directory below a runtime's directory.
//!
//! Owns: opening nothing that a link leads to elsewhere, and nothing but a regular file, and reading a bounded part. The
//! runtimes hold their directories for their own: a file is closed as soon as it has been read (containerd's
//! `docs/ops.md`).

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{Dir, Mode, OFlags, ResolveFlags, open, openat2};
use rustix::io::Errno;

use crate::host::program_file::reopen;

/// The most of a file that is read, in bytes; a longer one is not used. Podman's has all containers in it.
const MOST: usize = 4 << 20;

/// Why there is nothing: `None` where there is no such file.
type Missing = Option<&'static str>;

/// What is in the file. The directory itself may be a link: that is the administrator's choice. No other link is
/// followed.
pub(super) fn read(root: &Path, path: &str) -> Result<Vec<u8>, Missing> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    bounded(below(&top(root)?, path, OFlags::NOFOLLOW, resolve)?, MOST)
}

/// What is in a file of a directory whose links may lead about within it.
pub(super) fn within(root: &Path, directory: &str, path: &str, most: usize) -> Result<Vec<u8>, Missing> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let directory = below(&top(root)?, directory, OFlags::DIRECTORY, resolve)?;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    bounded(below(&directory, path, OFlags::empty(), resolve)?, most)
}

/// The names in a directory, `most` of them, in no order; those that are not UTF-8 are none of ours.
pub(super) fn names(root: &Path, directory: &str, most: usize) -> Result<Vec<String>, Missing> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::DIRECTORY;
    let handle = openat2(top(root)?, directory, flags, Mode::empty(), resolve).map_err(none)?;
    let entries = Dir::new(handle).map_err(|_| Some("the runtime's directory could not be read"))?;
    let names = entries.flatten().filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned));
    Ok(names.filter(|name| name != "." && name != "..").take(most).collect())
}

fn top(root: &Path) -> Result<OwnedFd, Missing> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::DIRECTORY;
    open(root, flags, Mode::empty()).map_err(none)
}

fn below(top: &OwnedFd, path: &str, flags: OFlags, resolve: ResolveFlags) -> Result<OwnedFd, Missing> {
    openat2(top, path, OFlags::PATH | OFlags::CLOEXEC | flags, Mode::empty(), resolve).map_err(none)
}

fn none(error: Errno) -> Missing {
    let gone = matches!(error, Errno::NOENT | Errno::NOTDIR);
    (!gone).then_some("the runtime's file could not be opened")
}

fn bounded(handle: OwnedFd, most: usize) -> Result<Vec<u8>, Missing> {
    let file: File = reopen(&handle).map_err(Some)?;
    let mut text = Vec::new();
    let read = file.take(most as u64 + 1).read_to_end(&mut text);
    read.map_err(|_| Some("the runtime's file could not be read"))?;
    if text.len() > most { Err(Some("the runtime's file is too long")) } else { Ok(text) }
}
