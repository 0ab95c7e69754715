//! Files that a process has given to an io_uring, and closed since: they stand on no descriptor of it.
//!
//! Owns: telling rings from other anonymous files, reading the ring's list of files (fdinfo; with types and numbers on Linux
//! 6.18, where it was tried; others may list names alone), and what each is. Must not own: what follows from it.

use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags, fstat, openat, readlinkat};

use crate::host::link::bracketed;
use crate::host::proc_dir::{ProcDir, read_file};
use crate::host::socket::{self, Resolved};
use crate::model::relay::{Channel, End, FileKind};

/// How much of a ring's description is read, in bytes.
const TEXT_MAX: usize = 64 * 1024;
/// How many sockets of one ring are asked for: each question goes through a table of the kernel's.
const SOCKETS_MAX: usize = 16;

/// The device of anonymous files: rings, and also epolls, events, timers.
pub fn anonymous_device() -> Option<u64> {
    static DEVICE: OnceLock<Option<u64>> = OnceLock::new();
    let ask = || {
        let flags = rustix::event::EventfdFlags::CLOEXEC;
        Some(fstat(rustix::event::eventfd(0, flags).ok()?).ok()?.st_dev)
    };
    *DEVICE.get_or_init(ask)
}

fn pipe_device() -> Option<u64> {
    static DEVICE: OnceLock<Option<u64>> = OnceLock::new();
    let ask = || Some(fstat(std::io::pipe().ok()?.0).ok()?.st_dev);
    *DEVICE.get_or_init(ask)
}

/// What an anonymous file has been given, if it is a ring. `listing`: the `fd` directory that it stands in.
pub fn registered(listing: &OwnedFd, fd: u32, process: &ProcDir) -> Vec<FileKind> {
    let text = || -> Option<Vec<u8>> {
        let link = readlinkat(listing, CString::new(fd.to_string()).ok()?, Vec::new()).ok()?;
        if link.to_bytes() != b"anon_inode:[io_uring]" {
            return None;
        }
        let path = CString::new(format!("../fdinfo/{fd}")).ok()?;
        let info = openat(listing.as_fd(), path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        Some(read_file(&info, TEXT_MAX).ok()?.0)
    };
    let mut sockets = 0;
    let mut what = |name: &[u8]| {
        if let Some(inode) = bracketed(name, b"pipe:[") {
            let end = End::Pipe { reads: true, writes: true };
            return Some(FileKind::Channel(Channel::Pipe(pipe_device()?, inode), end));
        }
        let inode = bracketed(name, b"socket:[")?;
        sockets += 1;
        if sockets > SOCKETS_MAX {
            return None;
        }
        match socket::by_diag(process, inode)? {
            Resolved::Network(found) => Some(FileKind::network(found)),
            Resolved::Unix => Some(FileKind::Channel(Channel::Unix(inode), End::Unix)),
            Resolved::Other | Resolved::Unresolved => None,
        }
    };
    let text = text().unwrap_or_default();
    names(&text).filter_map(&mut what).collect()
}

/// The names in the list `UserFiles`: lines of a number, a colon and a name.
fn names(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&b| b == b'\n')
        .skip_while(|line| !line.starts_with(b"UserFiles:"))
        .skip(1)
        .take_while(|line| line.starts_with(b" "))
        .filter_map(|line| {
            let at = line.iter().position(|&b| b == b':')?;
            Some(line.get(at + 1..)?.trim_ascii())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_files() {
        let text = b"SqTail:\t17\nUserFiles:\t3\n    0: socket:[12]\n    1: <none>\n    2: /tmp/a: b\nUserBufs:\t0\n    0: pipe:[9]\n";
        let found: Vec<_> = names(text).collect();
        assert_eq!(found, [&b"socket:[12]"[..], b"<none>", b"/tmp/a: b"]);
        assert_eq!(names(b"").count(), 0);
        assert_eq!(bracketed(b"socket:[12]", b"socket:["), Some(crate::model::ids::Inode(12)));
    }

    #[test]
    fn other_anonymous_files_are_none() {
        let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
        assert_eq!(Some(fstat(&event).unwrap().st_dev), anonymous_device());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let listing = rustix::fs::open("/proc/self/fd", flags, Mode::empty()).unwrap();
        let this = ProcDir::open(crate::model::ids::Pid(std::process::id())).unwrap();
        let fd = u32::try_from(std::os::fd::AsRawFd::as_raw_fd(&event)).unwrap();
        assert!(registered(&listing, fd, &this).is_empty());
    }
}
