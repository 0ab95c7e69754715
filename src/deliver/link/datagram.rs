//! Messages as datagrams.
//!
//! Owns: handing them over, and what counts as accepted. Must not own: making the socket (`connect`).
//!
//! A UNIX datagram is accepted when the receiving process has read it: then the kernel counts nothing as on its way. It
//! counts nothing either when the receiver is gone with all that it had not read; so the answer holds only if the same
//! receiver is still there afterwards. UDP has no answer: a datagram is accepted when no error has come back for a
//! moment.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use crate::deliver::link::{Answer, Given, Link, is_full, wait_for};
use crate::sys::sockopt::outstanding;

/// Datagrams in one go. A receiver's buffer is 208 KiB by default (net.core.rmem_default) and holds about a hundred, and
/// what does not fit into it is lost without a word.
const BURST: usize = 48;
/// How long an error may come back after a UDP datagram, as it does when nobody listens there.
const ERROR_TIME: Duration = Duration::from_millis(50);

/// Which socket lies at a path: another one that is bound there has another inode, or at least another time.
type Identity = (u64, u64, i64, i64);

fn identity(path: &Path) -> io::Result<Identity> {
    let status = std::fs::metadata(path)?;
    Ok((status.dev(), status.ino(), status.mtime(), status.mtime_nsec()))
}

fn given(outcome: io::Result<usize>) -> io::Result<Given> {
    match outcome {
        Ok(_) => Ok(Given::Taken),
        Err(error) if is_full(&error) => Ok(Given::Full),
        Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => Ok(Given::TooLong),
        Err(error) => Err(error),
    }
}

/// A UNIX datagram socket.
#[derive(Debug)]
pub struct Local {
    socket: UnixDatagram,
    path: PathBuf,
    identity: Identity,
    open: bool,
}

impl Local {
    /// Connects.
    ///
    /// # Errors
    /// Nobody is there; `EPROTOTYPE` where it is a stream socket.
    pub fn connect(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let identity = identity(path)?;
        socket.connect(path)?;
        Ok(Self { socket, path: path.to_owned(), identity, open: false })
    }

    /// Whether the receiver that we are connected to still has its socket.
    fn is_there(&self) -> io::Result<()> {
        UnixDatagram::unbound()?.connect(&self.path)?;
        match identity(&self.path)? == self.identity {
            true => Ok(()),
            false => Err(io::Error::new(io::ErrorKind::ConnectionReset, "its socket was made anew")),
        }
    }
}

impl Link for Local {
    fn give(&mut self, message: &[u8]) -> io::Result<Given> {
        let given = given(self.socket.send(message))?;
        self.open |= given == Given::Taken;
        Ok(given)
    }

    fn answer(&mut self, _end: bool) -> io::Result<Answer> {
        if !self.open {
            return Ok(Answer::Accepted);
        }
        if outstanding(self.socket.as_fd())? > 0 {
            return Ok(Answer::Open);
        }
        self.is_there()?;
        self.open = false;
        Ok(Answer::Accepted)
    }

    /// The kernel wakes nobody when a receiver has read.
    fn wait(&self, room: bool, most: Duration) {
        if room {
            wait_for(self.socket.as_fd(), PollFlags::OUT, most);
        } else {
            std::thread::sleep(most);
        }
    }
}

/// A UDP socket.
#[derive(Debug)]
pub struct Udp {
    socket: UdpSocket,
    last: Option<Instant>,
    /// Since the last answer.
    given: usize,
}

impl Udp {
    /// On a connected non-blocking socket.
    pub fn new(socket: UdpSocket) -> Self {
        Self { socket, last: None, given: 0 }
    }
}

impl Link for Udp {
    fn give(&mut self, message: &[u8]) -> io::Result<Given> {
        if self.given >= BURST {
            return Ok(Given::Full);
        }
        let given = given(self.socket.send(message))?;
        if given == Given::Taken {
            self.last = Some(Instant::now());
            self.given += 1;
        }
        Ok(given)
    }

    fn answer(&mut self, _end: bool) -> io::Result<Answer> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        if self.last.is_some_and(|last| last.elapsed() < ERROR_TIME) {
            return Ok(Answer::Open);
        }
        self.given = 0;
        Ok(Answer::Accepted)
    }

    fn wait(&self, _room: bool, most: Duration) {
        std::thread::sleep(most.min(ERROR_TIME));
    }
}
