//! The first look: what fds 0, 1 and 2 are, at the least cost.
//!
//! Owns: taking a duplicate of each descriptor (pidfd_getfd(2)), asking it what it is, and closing all at once. This
//! makes no entries in `/proc`, whose making and unmaking costs more than all the rest of a look, and it is atomic: the
//! socket that was seen is the one that was asked. Must not own: what follows from it. Allocates nothing unless there is
//! a network socket. Talks to: `sys::pidfd`, `sys::close`, [`super::socket`], [`super::undertaker`].

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, StatxFlags, statx};

use crate::host::socket::{Resolved, ask};
use crate::host::undertaker::Undertaker;
use crate::model::ids::{Inode, Pid};
use crate::model::relay::{Channel, End};
use crate::model::socket::Socket;
use crate::sys::{self, close, pidfd};

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
    /// A pseudo-terminal's slave.
    Slave {
        /// The devpts instance it lies on, by device.
        devpts: u64,
        /// The N of `/dev/pts/N`.
        number: u32,
    },
    /// A pseudo-terminal's master; its number has to be asked.
    Master {
        /// The filesystem of the `ptmx` that was opened: a devpts instance, or that of `/dev`.
        filesystem: u64,
    },
    /// `/dev/null`, other devices, consoles.
    Device,
    /// A file or directory, by device where it could be asked; closing it may take a while.
    File(Option<u64>),
}

impl Sight {
    /// The channel that it is an end of.
    pub fn channel(&self) -> Option<(Channel, End)> {
        match *self {
            Self::Unix(inode) => Some((Channel::Unix(inode), End::Unix)),
            // Which end of a pipe a command has on its stdio follows from which descriptor it is.
            Self::Pipe(device, inode) => {
                Some((Channel::Pipe(device, inode), End::Pipe { reads: true, writes: true }))
            }
            Self::Slave { devpts, number } => Some((Channel::Pty(devpts, number), End::Slave)),
            _ => None,
        }
    }
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

    /// Whether one of them is an end of a channel to another process.
    pub fn has_channel(&self) -> bool {
        self.sights.iter().any(|sight| sight.channel().is_some())
    }

    /// Whether all of them are closed: what a process that has just ended looks like, and, rarely, one that lives.
    pub fn is_blank(&self) -> bool {
        self.sights.iter().all(|sight| *sight == Sight::Closed)
    }
}

/// Duplicates that are not closed yet. As long as one is there, the other end of what it leads to does not see it closed.
pub type Duplicates = [Option<OwnedFd>; 3];

/// Looks at a process's fds 0, 1 and 2.
pub fn glance(pid: Pid, undertaker: &Undertaker) -> Result<Glance, NoGlance> {
    let (glance, duplicates) = begin(pid, undertaker)?;
    close::all(duplicates);
    Ok(glance)
}

/// The same, for a caller who has something more urgent to do than closing the duplicates, and closes them then.
pub fn begin(pid: Pid, undertaker: &Undertaker) -> Result<(Glance, Duplicates), NoGlance> {
    let process = pidfd::open(pid).map_err(reason)?;
    let mut sights = [const { Sight::Closed }; 3];
    let mut earlier: Option<(Inode, Sight)> = None;
    let mut duplicates: Duplicates = [const { None }; 3];
    for ((fd, sight), place) in (0u32..).zip(&mut sights).zip(&mut duplicates) {
        let duplicate = match pidfd::getfd(&process, fd) {
            Ok(duplicate) => duplicate,
            Err(error) if error.raw_os_error() == Some(libc::EBADF) => continue,
            Err(error) => return Err(reason(error)),
        };
        *sight = see(&duplicate, &mut earlier);
        *place = sift(duplicate, sight, undertaker);
    }
    Ok((Glance { process, sights }, duplicates))
}

fn reason(error: io::Error) -> NoGlance {
    match error.raw_os_error() {
        Some(libc::ESRCH | libc::EINVAL) => NoGlance::Vanished,
        _ => NoGlance::Refused,
    }
}

/// Asks a duplicate what it is. No call here goes to a filesystem's server (AT_STATX_DONT_SYNC). `earlier`: the socket
/// that was asked last.
pub fn see(duplicate: &OwnedFd, earlier: &mut Option<(Inode, Sight)>) -> Sight {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let Ok(found) = statx(duplicate, c"", flags, StatxFlags::TYPE | StatxFlags::INO) else {
        return Sight::File(None);
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
            let sight = match ask(duplicate, inode) {
                Ok(Resolved::Network(socket)) => Sight::Network(Arc::new(socket)),
                Ok(Resolved::Unix) => Sight::Unix(inode),
                _ => Sight::OtherSocket(inode),
            };
            *earlier = Some((inode, sight.clone()));
            sight
        }
        FileType::Fifo => Sight::Pipe(device, inode),
        // Linux `Documentation/admin-guide/devices.txt`: 136 to 143 are slaves, 256 to each; 5:2 is ptmx.
        FileType::CharacterDevice => match terminal(duplicate, found.stx_rdev_major, found.stx_rdev_minor) {
            (major @ 136..=143, minor) => {
                Sight::Slave { devpts: device, number: ((major - 136) << 8) + minor }
            }
            (5, 2) => Sight::Master { filesystem: device },
            _ => Sight::Device,
        },
        FileType::BlockDevice => Sight::Device,
        _ => Sight::File(Some(device)),
    }
}

/// The device that is meant: `/dev/tty` (5:0) and `/dev/console` (5:1) stand for another.
fn terminal(duplicate: &OwnedFd, major: u32, minor: u32) -> (u32, u32) {
    match (major, minor) {
        (5, 0 | 1) => sys::tty::device_of(duplicate.as_fd()).unwrap_or((major, minor)),
        device => device,
    }
}

/// Closes a duplicate; what may take a while is left to the undertaker.
pub fn lay_down(duplicate: OwnedFd, sight: &Sight, undertaker: &Undertaker) {
    drop(sift(duplicate, sight, undertaker));
}

/// Gives back a duplicate that can be closed here.
fn sift(duplicate: OwnedFd, sight: &Sight, undertaker: &Undertaker) -> Option<OwnedFd> {
    match sight {
        Sight::File(device) => undertaker.take(duplicate, *device),
        _ => Some(duplicate),
    }
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
        assert!(matches!(seen.sights, [Sight::Network(_), Sight::Pipe(..), Sight::Device]), "{seen:?}");
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
