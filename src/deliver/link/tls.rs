//! A stream that is encrypted.
//!
//! Owns: the handshake with its deadline, the session's bytes on a non-blocking socket, the end of the session and of the
//! connection. Must not own: whom to trust (`deliver::tls`), messages and what their acceptance means (`stream`).
//!
//! Nothing is ever sent that is not encrypted. The end is said twice: in TLS (close_notify), as a record of its own behind all
//! others, and then in TCP. A receiver that is killed before its process has asked for that record leaves something unread
//! behind, which its kernel answers with a reset, as without TLS. Its own close_notify, which nobody on the way can make up,
//! is wanted where [`Confirm::CloseNotify`] is asked for.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustls::ClientConnection;

use crate::deliver::leash::Leash;
use crate::deliver::link::stream::{Pipe, SAID_MAX, talks};
use crate::deliver::link::{is_full, wait_for};
use crate::deliver::settings::Confirm;
use crate::deliver::tls::why::{Own, why};

/// How long the handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// The same when it is time to stop: what is left is sent, if that does not take long.
const HANDSHAKE_LAST: Duration = Duration::from_millis(500);
/// How long it is waited for before it is looked whether it is time to stop.
const SLICE: Duration = Duration::from_millis(100);
/// Reads from the socket for what the receiver says at one time.
const READS: usize = 16;

/// A session on a connection.
#[derive(Debug)]
pub struct Tls {
    socket: TcpStream,
    session: ClientConnection,
    confirm: Confirm,
    own: Own,
    /// Bytes from the socket; a receiver has next to nothing to say.
    heard: usize,
    ending: Ending,
}

/// How much of the end has been said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Not,
    /// In TLS, and it may still wait for room.
    Session,
    Connection,
}

impl Tls {
    /// Does the handshake on a non-blocking connection; `None` when it is time to stop.
    ///
    /// # Errors
    /// It failed, or was not over in time.
    pub fn handshake(
        socket: TcpStream,
        session: ClientConnection,
        confirm: Confirm,
        own: Own,
        leash: Leash<'_>,
    ) -> io::Result<Option<Self>> {
        let mut new = Self { socket, session, confirm, own, heard: 0, ending: Ending::Not };
        let began = Instant::now();
        loop {
            let flushed = new.flush()?;
            if flushed && !new.session.is_handshaking() {
                return Ok(Some(new));
            }
            match new.receive() {
                Ok(0) => {
                    let what = "it closed the connection in the handshake: does it expect TLS there? Its own log may say more";
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
                }
                Err(error) if !is_full(&error) => return Err(error),
                Ok(_) => {}
                Err(_) => {
                    let events = if flushed { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
                    wait_for(new.socket.as_fd(), events, SLICE);
                }
            }
            if leash.is_over() && began.elapsed() >= HANDSHAKE_LAST {
                return Ok(None);
            }
            if began.elapsed() >= HANDSHAKE_TIME {
                let seconds = HANDSHAKE_TIME.as_secs();
                let what =
                    format!("the handshake was not over within {seconds} s: does it expect TLS there?");
                return Err(io::Error::new(io::ErrorKind::TimedOut, what));
            }
        }
    }

    /// Reads records; how many bytes, 0 at the end of the connection.
    fn receive(&mut self) -> io::Result<usize> {
        let length = loop {
            match self.session.read_tls(&mut self.socket) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => break outcome?,
            }
        };
        self.hear(length)?;
        if let Err(error) = self.session.process_new_packets() {
            // What is wrong is said to the receiver too, if there is room.
            let _ = self.session.write_tls(&mut self.socket);
            return Err(io::Error::new(io::ErrorKind::InvalidData, why(&error, &self.own)));
        }
        Ok(length)
    }

    fn hear(&mut self, length: usize) -> io::Result<()> {
        self.heard = self.heard.saturating_add(length);
        if self.heard > SAID_MAX { Err(talks()) } else { Ok(()) }
    }

    /// A connection that breaks as we write may have brought the reason before.
    fn reason(&mut self, broken: io::Error) -> io::Error {
        for _ in 0..READS {
            match self.receive() {
                Err(error) if error.kind() == io::ErrorKind::InvalidData => return error,
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
        }
        broken
    }
}

impl Pipe for Tls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match io::Write::write(&mut self.session.writer(), bytes)? {
                0 if self.flush()? => {}
                0 => return Err(io::ErrorKind::WouldBlock.into()),
                taken => return Ok(taken),
            }
        }
    }

    fn flush(&mut self) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(_) => {}
                Err(error) if is_full(&error) => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.reason(error)),
            }
        }
        if self.ending == Ending::Session {
            self.socket.shutdown(Shutdown::Write)?;
            self.ending = Ending::Connection;
        }
        Ok(true)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        for _ in 0..READS {
            let closed = match self.session.reader().read(buffer) {
                Ok(0) => true,
                Ok(length) => return Ok(length),
                Err(_) => false,
            };
            if closed && self.ending == Ending::Not {
                return Ok(0);
            }
            if closed {
                // It has said its end in TLS. What counts is that of the connection, which is a reset where something was
                // left unread.
                let length = Read::read(&mut self.socket, buffer)?;
                self.hear(length)?;
                if length == 0 {
                    return Ok(0);
                }
            } else if self.receive()? == 0 {
                let unproven = self.confirm == Confirm::CloseNotify && self.ending != Ending::Not;
                let what = "it closed the connection without TLS's close_notify, which confirm = \"close-notify\" wants";
                return match unproven {
                    true => Err(io::Error::new(io::ErrorKind::UnexpectedEof, what)),
                    false => Ok(0),
                };
            }
        }
        Err(io::ErrorKind::WouldBlock.into())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.session.send_close_notify();
        self.ending = Ending::Session;
        self.flush().map(drop)
    }

    fn is_remote(&self) -> bool {
        true
    }

    fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
