//! The open files of a process, as far as they can be part of a tether.
//!
//! Owns: asking a duplicate of each descriptor what it is. Must not own: which descriptors are asked, and in what order
//! ([`super::tables`], [`super::descriptors`]); what follows from them.
//! Talks to: `sys::pidfd`, [`super::glance`] for what one duplicate is, [`super::undertaker`].

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::OFlags;

use crate::host::glance::{Sight, lay_down, see};
use crate::host::patience::Patience;
use crate::host::proc_dir::ProcDir;
use crate::host::undertaker::Undertaker;
use crate::host::{descriptors, rings, tables};
use crate::model::ids::{Pid, ProcessKey};
use crate::model::relay::{Channel, End, FileKind, Files, OpenFile};
use crate::sys;

/// How many anonymous files of one process are looked into: one may be an io_uring.
pub(super) const ANONYMOUS_MAX: usize = 64;

/// What a descriptor turned out to be.
pub(super) enum Asked {
    File(FileKind),
    /// A file of the kernel's own: an event, a timer, a ring.
    Anonymous,
}

/// Reads the open files of a process, of all its threads; `None` if it has gone or may not be read. `account`: the time
/// that large tables of descriptors may take.
pub fn files(pid: Pid, undertaker: &Undertaker, account: &mut Patience) -> Option<Files> {
    let process = sys::pidfd::open(pid).ok()?;
    let dir = ProcDir::of(pid, &process)?;
    let stat = dir.stat()?;
    let (tables, mut complete) = tables::of(pid, process, &dir, &stat);
    if tables.is_empty() {
        return None;
    }
    let mut list = Vec::new();
    for table in &tables {
        let mut anonymous = Vec::new();
        let all = descriptors::each(&table.listing, account, |fd| match ask(&table.owner, fd, undertaker) {
            Some(Asked::Anonymous) if anonymous.len() < ANONYMOUS_MAX => anonymous.push(fd),
            Some(Asked::File(kind)) if kind != FileKind::Else => list.push(OpenFile { fd, kind }),
            _ => {}
        });
        complete &= all?;
        for fd in anonymous {
            let given = rings::registered(&table.listing, fd, &dir);
            list.extend(given.into_iter().map(|kind| OpenFile { fd, kind }));
        }
    }
    list.sort_by_key(|file| file.fd);
    let key = ProcessKey { pid, start: stat.start };
    Some(Files { key, comm: stat.comm, parent: stat.parent, list, complete })
}

/// What one descriptor is; `None` if it cannot be told.
pub(super) fn ask(process: &OwnedFd, fd: u32, undertaker: &Undertaker) -> Option<Asked> {
    let duplicate = sys::pidfd::getfd(process, fd).ok()?;
    let access = rustix::fs::fcntl_getfl(&duplicate).ok()? & OFlags::ACCMODE;
    let sight = see(&duplicate, &mut None);
    if matches!(&sight, Sight::File(device @ Some(_)) if *device == rings::anonymous_device()) {
        lay_down(duplicate, &sight, undertaker);
        return Some(Asked::Anonymous);
    }
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
    Some(Asked::File(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn both_ends_of_a_pipe() {
        let undertaker = Undertaker::start().unwrap();
        let mut account = Patience::new(std::time::Instant::now());
        let mut files = |pid| files(pid, &undertaker, &mut account);
        let mut child = Command::new("/bin/cat").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        let theirs = files(Pid(child.id())).unwrap();
        let ours = files(Pid(std::process::id())).unwrap();
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
        assert!(files(theirs.key.pid).is_none());
    }

    /// A thread's own table, and the process's after its first thread has ended.
    #[test]
    fn tables_of_threads() {
        let Some(python) = ["/usr/bin/python3"].into_iter().find(|path| std::path::Path::new(path).exists())
        else {
            return;
        };
        let undertaker = Undertaker::start().unwrap();
        let mut account = Patience::new(std::time::Instant::now());
        let end = "import ctypes, os, threading, time\nc = ctypes.CDLL(None)\n";
        let own = "def t():\n  c.unshare(0x400)\n  os.pipe()\n  print('.', flush=True)\n  time.sleep(60)\n\
                   threading.Thread(target=t).start()\ntime.sleep(60)";
        let gone = "def t():\n  time.sleep(0.2)\n  os.pipe()\n  print('.', flush=True)\n  time.sleep(60)\n\
                    threading.Thread(target=t).start()\nc.syscall(60, 0)";
        for code in [own, gone] {
            if code == gone && !cfg!(target_arch = "x86_64") {
                continue;
            }
            let mut child = Command::new(python)
                .args(["-c", &format!("{end}{code}")])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut [0]).unwrap();
            let found = files(Pid(child.id()), &undertaker, &mut account);
            child.kill().unwrap();
            child.wait().unwrap();
            let found = found.unwrap();
            let pipes = found.list.iter().filter(|file| matches!(file.kind, FileKind::Channel(..))).count();
            // Before Linux 6.9 a thread's table cannot be asked, and that is said.
            assert!(pipes >= 3 || !found.complete, "{found:?}");
        }
    }
}
