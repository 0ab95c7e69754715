//! The first look: what fds 0, 1 and 2 are, at the least cost.
//!
//! Owns: taking a duplicate of each descriptor (pidfd_getfd(2)), asking it what it is, and closing it at once. This
//! makes no entries in `/proc`, whose making and unmaking costs more than all the rest of a look, and it is atomic: the
//! socket that was seen is the one that was asked. Must not own: what follows from it. Allocates nothing unless there is
//! a network socket. Talks to: `sys::pidfd`, [`super::socket`], [`super::undertaker`].

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, StatxFlags, statx};

use crate::host::socket::{Resolved, ask};
use crate::host::undertaker::Undertaker;
use crate::model::ids::{Inode, Pid};
use crate::model::socket::Socket;
use crate::sys::pidfd;

/// What one descriptor is, as far as the first look asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// Closed, or the process has gone.
    Closed,
    /// A network socket, connected or listening.
    Network(Arc<Socket>),
    /// A UNIX socket.
    Unix(Inode),
    /// A socket of a family that carries nothing off this machine, or of none that we know.
    OtherSocket(Inode),
    /// A pipe or a FIFO, by device and inode.
    Pipe(u64, Inode),
    /// A terminal's or pseudo-terminal's device number (`st_rdev`), and the filesystem it lies on.
    Terminal(u64, u64),
    /// Anything else: files, `/dev/null`, other devices.
    Else,
}

/// A process's fds 0, 1 and 2 at one moment.
#[derive(Debug)]
pub struct Glance {
    /// Whose. Stays bound to that life of the process.
    pub process: OwnedFd,
    /// What they are.
    pub sights: [Sight; 3],
}

/// Why there is no [`Glance`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoGlance {
    /// The process had gone.
    Vanished,
    /// The kernel refused, or knows no pidfd_getfd(2): `/proc` has to be asked.
    Refused,
}

impl Glance {
    /// Whether one of them is a network socket that bytes can flow through.
    pub fn is_direct(&self) -> bool {
        self.sights.iter().any(|sight| matches!(sight, Sight::Network(socket) if !socket.listening))
    }

    /// Whether one of them is a socket of any kind.
    pub fn has_socket(&self) -> bool {
        let socket =
            |sight: &Sight| matches!(sight, Sight::Network(_) | Sight::Unix(_) | Sight::OtherSocket(_));
        self.sights.iter().any(socket)
    }

    /// Whether all of them are closed: what a process that has just ended looks like, and, rarely, one that lives.
    pub fn is_blank(&self) -> bool {
        self.sights.iter().all(|sight| *sight == Sight::Closed)
    }
}

/// Looks at a process's fds 0, 1 and 2.
pub fn glance(pid: Pid, undertaker: &Undertaker) -> Result<Glance, NoGlance> {
    let process = pidfd::open(pid).map_err(reason)?;
    let mut sights = [const { Sight::Closed }; 3];
    let mut earlier: Option<(Inode, Sight)> = None;
    for (fd, sight) in (0u8..).zip(&mut sights) {
        let duplicate = match pidfd::getfd(&process, fd) {
            Ok(duplicate) => duplicate,
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => continue,
            Err(error) => return Err(reason(error)),
        };
        *sight = see(duplicate, &mut earlier, undertaker);
    }
    Ok(Glance { process, sights })
}

fn reason(error: io::Error) -> NoGlance {
    match error.raw_os_error() {
        Some(libc::ESRCH | libc::EINVAL) => NoGlance::Vanished,
        _ => NoGlance::Refused,
    }
}

/// Asks the duplicate, and closes it. No call here goes to a filesystem's server (AT_STATX_DONT_SYNC); what closing
/// might is left to the undertaker.
fn see(duplicate: OwnedFd, earlier: &mut Option<(Inode, Sight)>, undertaker: &Undertaker) -> Sight {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let Ok(found) = statx(&duplicate, c"", flags, StatxFlags::TYPE | StatxFlags::INO) else {
        undertaker.close(duplicate, None);
        return Sight::Else;
    };
    let inode = Inode(found.stx_ino);
    let device = rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor);
    match FileType::from_raw_mode(found.stx_mode.into()) {
        FileType::Socket => {
            if let Some((known, sight)) = earlier
                && *known == inode
            {
                return sight.clone();
            }
            let sight = match ask(&duplicate, inode) {
                Ok(Resolved::Network(socket)) => Sight::Network(Arc::new(socket)),
                Ok(Resolved::Unix) => Sight::Unix(inode),
                _ => Sight::OtherSocket(inode),
            };
            *earlier = Some((inode, sight.clone()));
            sight
        }
        FileType::Fifo => Sight::Pipe(device, inode),
        FileType::CharacterDevice if is_terminal(found.stx_rdev_major) => {
            Sight::Terminal(rustix::fs::makedev(found.stx_rdev_major, found.stx_rdev_minor), device)
        }
        FileType::CharacterDevice | FileType::BlockDevice => Sight::Else,
        _ => {
            undertaker.close(duplicate, Some(device));
            Sight::Else
        }
    }
}

/// Majors of terminals: 4 and 5 tty, 136 to 143 pseudo-terminal slaves (Linux `Documentation/admin-guide/devices.txt`).
fn is_terminal(major: u32) -> bool {
    matches!(major, 4 | 5 | 136..=143)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_child_with_one_of_each() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let undertaker = Undertaker::start().unwrap();
        let mut child = Command::new("/bin/sleep")
            .arg("60")
            .stdin(Stdio::from(OwnedFd::from(client)))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let seen = glance(Pid(child.id()), &undertaker).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(matches!(seen.sights, [Sight::Network(_), Sight::Pipe(..), Sight::Else]), "{seen:?}");
        assert!(matches!(glance(Pid(child.id()), &undertaker), Err(NoGlance::Vanished)));
    }

    #[test]
    fn a_zombie_has_nothing_open() {
        let mut child = Command::new("/bin/true").spawn().unwrap();
        let pid = Pid(child.id());
        while crate::host::reader::stat(pid).is_some_and(|stat| stat.lives()) {
            std::thread::yield_now();
        }
        let seen = glance(pid, &Undertaker::start().unwrap());
        child.wait().unwrap();
        // Kernels before 6.7 say EBADF of each descriptor.
        assert!(seen.as_ref().map_or_else(|why| *why == NoGlance::Vanished, Glance::is_blank), "{seen:?}");
    }
}
