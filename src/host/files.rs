//! The open files of a process, as far as they can be part of a tether.
//!
//! Owns: listing descriptors, asking a duplicate of each, and the bounds on both. Must not own: what follows from them.
//! Talks to: `sys::pidfd`, [`super::glance`] for what one duplicate is, [`super::undertaker`].

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{OFlags, RawDir};

use crate::host::glance::{Sight, lay_down, see};
use crate::host::link::number;
use crate::host::proc_dir::ProcDir;
use crate::host::stat::Stat;
use crate::host::undertaker::Undertaker;
use crate::model::ids::{Pid, ProcessKey};
use crate::model::relay::{Channel, End, FileKind, Files, OpenFile};
use crate::sys;

/// The most descriptors of one process that are asked.
const DESCRIPTORS_MAX: usize = 1024;

/// Reads the open files of a process; `None` if it has gone or may not be read.
pub fn files(pid: Pid, undertaker: &Undertaker) -> Option<Files> {
    let process = sys::pidfd::open(pid).ok()?;
    let dir = ProcDir::of(pid, &process)?;
    let (text, _) = dir.read(c"stat", 4096).ok()?;
    let stat = Stat::parse(&text).filter(Stat::lives)?;
    let (numbers, complete) = descriptors(&dir)?;
    let list = numbers
        .into_iter()
        .filter_map(|fd| {
            let kind = ask(&process, fd, undertaker)?;
            (kind != FileKind::Else).then_some(OpenFile { fd, kind })
        })
        .collect();
    let key = ProcessKey { pid, start: stat.start };
    Some(Files { key, comm: stat.comm, parent: stat.parent, list, complete })
}

/// The numbers of the open descriptors, lowest first, and whether these are all.
fn descriptors(dir: &ProcDir) -> Option<(Vec<u32>, bool)> {
    let listing = dir.open_below(c"fd", OFlags::RDONLY | OFlags::DIRECTORY).ok()?;
    let mut buffer = [MaybeUninit::uninit(); 2048];
    let mut entries = RawDir::new(&listing, &mut buffer);
    let mut numbers = Vec::new();
    while let Some(entry) = entries.next() {
        let Some(fd) = number(entry.ok()?.file_name().to_bytes()) else { continue };
        if numbers.len() >= DESCRIPTORS_MAX {
            return Some((numbers, false));
        }
        numbers.extend(u32::try_from(fd));
    }
    Some((numbers, true))
}

/// What one descriptor is; `None` if it cannot be told.
fn ask(process: &OwnedFd, fd: u32, undertaker: &Undertaker) -> Option<FileKind> {
    let duplicate = sys::pidfd::getfd(process, fd).ok()?;
    let access = rustix::fs::fcntl_getfl(&duplicate).ok()? & OFlags::ACCMODE;
    let sight = see(&duplicate, &mut None);
    let kind = match &sight {
        Sight::Network(socket) => FileKind::Network {
            socket: socket.clone(),
            heard_ms: sys::sockopt::last_received_ms(duplicate.as_fd()).ok(),
        },
        Sight::Pipe(device, inode) => {
            let end = End::Pipe { reads: access != OFlags::WRONLY, writes: access != OFlags::RDONLY };
            FileKind::Channel(Channel::Pipe(*device, *inode), end)
        }
        Sight::Master { filesystem } => sys::tty::number_of_master(duplicate.as_fd())
            .map_or(FileKind::Else, |n| FileKind::Channel(Channel::Pty(*filesystem, n), End::Master)),
        other => other.channel().map_or(FileKind::Else, |(channel, end)| FileKind::Channel(channel, end)),
    };
    lay_down(duplicate, &sight, undertaker);
    Some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn both_ends_of_a_pipe() {
        let undertaker = Undertaker::start().unwrap();
        let mut child = Command::new("/bin/cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let theirs = files(Pid(child.id()), &undertaker).unwrap();
        let ours = files(Pid(std::process::id()), &undertaker).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let stdin = theirs.list.iter().find(|file| file.fd == 0).unwrap();
        let FileKind::Channel(pipe, End::Pipe { reads: true, writes: false }) = stdin.kind else {
            panic!("{stdin:?}")
        };
        let end = End::Pipe { reads: false, writes: true };
        assert!(ours.list.iter().any(|file| file.kind == FileKind::Channel(pipe, end)));
        assert_eq!(theirs.parent, Pid(std::process::id()));
        assert!(theirs.complete);
        assert!(files(theirs.key.pid, &undertaker).is_none());
    }
}
