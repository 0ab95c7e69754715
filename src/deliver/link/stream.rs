//! Messages on a stream.
//!
//! Owns: telling messages apart, bytes that the kernel has not taken yet, the end of a connection, and what counts as
//! accepted. Must not own: making the connection (`connect`), encryption (`tls`).
//!
//! TCP has no acknowledgement by the receiving process. But a process that reads the end of a stream has read all that
//! stands before it, and every syslog receiver then closes its side; a kernel that still holds bytes that nobody has
//! read answers with a reset in place of that. So a connection that we end, and that the receiver then ends in order, is
//! the acknowledgement ([`Confirm::Close`]), once its kernel has acknowledged all of it: one that ends by itself may close
//! while something is still on its way.
//!
//! Over a UNIX socket the kernel tells what the receiving process has read.

use std::fmt::Debug;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::net::sockopt;

use crate::deliver::link::{Answer, Given, Link, is_full, wait_for};
use crate::deliver::settings::Confirm;
use crate::sys::sockopt::{last_acknowledged_ms, outstanding};

/// How long the far end's kernel may acknowledge nothing while there is something to acknowledge.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Most that a receiver, which has nothing to say, may say before it is taken for something else.
pub(super) const SAID_MAX: usize = 1 << 20;
/// What is gathered before it is handed to the kernel, unless an answer is asked for first.
const BATCH: usize = 32 << 10;
/// Bytes read of it at a time, and how many times.
const READ: (usize, usize) = (4096, 16);

/// How messages are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// The length in bytes, a space, the message (RFC 6587 section 3.4.1).
    OctetCounting,
    /// The message, a newline.
    Newline,
}

/// What carries the bytes.
pub trait Pipe: Debug + Send {
    /// Takes what there is room for; see write(2) on a non-blocking socket.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Whether everything written has been handed to the kernel; tries to.
    fn flush(&mut self) -> io::Result<bool>;

    /// Reads what the receiver says; 0 at its end.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Says that nothing more comes.
    fn finish(&mut self) -> io::Result<()>;

    /// Whether the far end is another kernel, which may fall silent.
    fn is_remote(&self) -> bool;

    /// The socket.
    fn socket(&self) -> BorrowedFd<'_>;
}

/// A stream of messages.
#[derive(Debug)]
pub struct Stream<P> {
    pipe: P,
    framing: Framing,
    confirm: Confirm,
    /// What the pipe has not taken yet.
    rest: Vec<u8>,
    finished: bool,
    /// The receiver has closed its side.
    ended: bool,
    said: usize,
    /// Since when the far end has had something to acknowledge.
    waiting: Option<Instant>,
}

impl<P: Pipe> Stream<P> {
    /// On a non-blocking connection.
    pub fn new(pipe: P, framing: Framing, confirm: Confirm) -> Self {
        Self {
            pipe,
            framing,
            confirm,
            rest: Vec::new(),
            finished: false,
            ended: false,
            said: 0,
            waiting: None,
        }
    }

    /// Hands over what is left; whether that was all.
    fn push(&mut self) -> io::Result<bool> {
        while !self.rest.is_empty() {
            match self.pipe.write(&self.rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => drop(self.rest.drain(..taken.min(self.rest.len()))),
                Err(error) if is_full(&error) => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.pipe.flush()
    }

    /// Reads what the receiver says, which means nothing, and must not be left unread: closing a socket with something
    /// unread in it resets the connection. `true` at its end.
    fn listen(&mut self) -> io::Result<bool> {
        let mut buffer = [0; READ.0];
        for _ in 0..READ.1 {
            match self.pipe.read(&mut buffer) {
                Ok(0) => return Ok(true),
                Ok(length) => self.said = self.said.saturating_add(length),
                Err(error) if is_full(&error) => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if self.said > SAID_MAX {
                return Err(talks());
            }
        }
        Ok(false)
    }

    /// A receiver that stands still is waited for as long as its kernel answers; one that is gone is not.
    fn is_alive(&mut self, left: u32) -> io::Result<()> {
        if left == 0 || !self.pipe.is_remote() {
            self.waiting = None;
            return Ok(());
        }
        let since = *self.waiting.get_or_insert_with(Instant::now);
        if since.elapsed() > SILENCE_MAX
            && u128::from(last_acknowledged_ms(self.pipe.socket())?) > SILENCE_MAX.as_millis()
        {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "its machine has not answered for a minute"));
        }
        Ok(())
    }
}

impl<P: Pipe> Link for Stream<P> {
    fn give(&mut self, message: &[u8]) -> io::Result<Given> {
        if self.finished || (self.rest.len() >= BATCH && !self.push()?) {
            return Ok(Given::Full);
        }
        if self.framing == Framing::OctetCounting {
            self.rest.extend_from_slice(message.len().to_string().as_bytes());
            self.rest.push(b' ');
        }
        self.rest.extend_from_slice(message);
        if self.framing == Framing::Newline {
            self.rest.push(b'\n');
        }
        Ok(Given::Taken)
    }

    fn answer(&mut self, end: bool) -> io::Result<Answer> {
        let pushed = self.push()?;
        self.ended = self.listen()?;
        if self.ended && !(self.finished && pushed) {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection"));
        }
        // Asked before it is known that the connection still stands: what a broken one holds counts as nothing.
        let left = outstanding(self.pipe.socket())?;
        sockopt::socket_error(self.pipe.socket())??;
        // A receiver may have closed before the last of it came in. Its kernel then acknowledges no more, and resets.
        if self.ended && left == 0 {
            return Ok(Answer::Ended);
        }
        self.is_alive(left)?;
        match self.confirm {
            Confirm::Kernel if pushed && left == 0 => return Ok(Answer::Accepted),
            Confirm::Close | Confirm::CloseNotify if end && pushed && !self.finished => {
                self.pipe.finish()?;
                self.finished = true;
            }
            _ => {}
        }
        Ok(Answer::Open)
    }

    fn is_ending(&self) -> bool {
        self.finished
    }

    fn wait(&self, room: bool, most: Duration) {
        if self.ended {
            // What it acknowledges makes nothing ready.
            return std::thread::sleep(most);
        }
        let events =
            if room || !self.rest.is_empty() { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        wait_for(self.pipe.socket(), events, most);
    }
}

/// The receiver has said more than [`SAID_MAX`].
pub(super) fn talks() -> io::Error {
    let what = "it sends data, as no syslog receiver does: is it the right port?";
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A socket that carries bytes as they are.
trait Plain: Read + Write + AsFd + Debug + Send {
    /// Whether the far end is another kernel.
    const REMOTE: bool;

    /// See shutdown(2).
    fn end(&self) -> io::Result<()>;
}

impl Plain for TcpStream {
    const REMOTE: bool = true;

    fn end(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Plain for UnixStream {
    const REMOTE: bool = false;

    fn end(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl<S: Plain> Pipe for S {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn flush(&mut self) -> io::Result<bool> {
        Ok(true)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Read::read(self, buffer)
    }

    fn finish(&mut self) -> io::Result<()> {
        self.end()
    }

    fn is_remote(&self) -> bool {
        S::REMOTE
    }

    fn socket(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}
