//! Connections to receivers.
//!
//! Owns: what a connection can be asked, the kinds there are. Must not own: what is sent, what an answer means for the
//! cursor, when to connect again. Nothing here blocks for longer than it is told to.

pub mod connect;
pub mod datagram;
pub mod resolve;
pub mod stream;
pub mod tls;

use std::fmt::Debug;
use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// It is on its way.
    Taken,
    /// There is no room; nothing of it was taken.
    Full,
    /// It is too long for the receiver, and nothing of it was taken.
    TooLong,
}

/// What is known of all messages that were given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Some may not have been accepted yet.
    Open,
    /// All were accepted.
    Accepted,
    /// All were accepted, and the connection is at its end.
    Ended,
}

/// A connection.
pub trait Link: Debug + Send {
    /// Takes one message.
    ///
    /// # Errors
    /// The connection is broken: what was given and not accepted may be lost.
    fn give(&mut self, message: &[u8]) -> io::Result<Given>;

    /// Asks for the answer. With `end`, nothing more will be given before it is there.
    ///
    /// # Errors
    /// As for [`Link::give`].
    fn answer(&mut self, end: bool) -> io::Result<Answer>;

    /// Whether its end has been said: it takes nothing more.
    fn is_ending(&self) -> bool {
        false
    }

    /// Waits at most so long: for room after [`Given::Full`], else for an answer.
    fn wait(&self, room: bool, most: Duration);
}

/// Waits for one of `events`, at most so long; whether there is one.
pub(super) fn wait_for(socket: BorrowedFd<'_>, events: PollFlags, most: Duration) -> bool {
    let wait = Timespec {
        tv_sec: i64::try_from(most.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(most.subsec_nanos()),
    };
    poll(&mut [PollFd::from_borrowed_fd(socket, events)], Some(&wait)).is_ok_and(|ready| ready > 0)
}

/// Whether an error only says that there is no room now.
pub(super) fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}
