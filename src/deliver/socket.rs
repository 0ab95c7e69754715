//! A socket to a local syslog that is made anew whenever it breaks.
//!
//! Owns: connecting (datagram first, stream where the receiver wants that), sending without ever blocking for long,
//! backing off. Must not own: what is sent, what a failure means for the cursor.

use std::io::{self, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

/// The longest wait for room.
const ROOM_WAIT: Duration = Duration::from_millis(200);
/// The first and the longest pause between attempts to connect.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What became of a message.
#[derive(Debug)]
pub enum Sent {
    /// The kernel has taken it.
    Done,
    /// Not now: no room, or too early for another attempt. The same message has to be tried again before any other.
    Later,
    /// The receiver cannot be reached.
    Failed(io::Error),
    /// The message is too long for the receiver.
    TooLong,
}

#[derive(Debug)]
enum Link {
    Datagram(UnixDatagram),
    /// With what is left of a message that was taken in part: if the connection breaks, it has to be sent as a whole.
    Stream(UnixStream, Vec<u8>),
}

/// The socket.
#[derive(Debug)]
pub struct SyslogSocket {
    path: PathBuf,
    link: Option<Link>,
    next_attempt: Option<Instant>,
    pause: Duration,
}

impl SyslogSocket {
    /// A socket that is not connected yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), link: None, next_attempt: None, pause: PAUSE.0 }
    }

    /// Whether there is a connection.
    pub fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// Sends one message; a broken connection is made anew once at once.
    pub fn send(&mut self, message: &[u8]) -> Sent {
        if self.link.is_none() && self.next_attempt.is_some_and(|next| Instant::now() < next) {
            return Sent::Later;
        }
        let deadline = Instant::now() + ROOM_WAIT;
        let mut broken = false;
        loop {
            if self.link.is_none() {
                match self.connect() {
                    Ok(link) => self.link = Some(link),
                    Err(error) => return self.back_off(error),
                }
            }
            let outcome = match self.link.as_mut() {
                Some(Link::Datagram(socket)) => send_datagram(socket, message),
                Some(Link::Stream(socket, rest)) => send_stream(socket, rest, message),
                None => return Sent::Later,
            };
            match outcome {
                Ok(()) => {
                    self.pause = PAUSE.0;
                    return Sent::Done;
                }
                // A receiver that only is slower than the spool is sent to at its own speed.
                Err(error) if is_full(&error) => {
                    if !self.wait_for_room(deadline) {
                        return Sent::Later;
                    }
                }
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => return Sent::TooLong,
                Err(error) => {
                    self.link = None;
                    if std::mem::replace(&mut broken, true) {
                        return self.back_off(error);
                    }
                }
            }
        }
    }

    fn connect(&self) -> io::Result<Link> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        match socket.connect(&self.path) {
            Ok(()) => Ok(Link::Datagram(socket)),
            Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => {
                // Not by std: it waits for a receiver that accepts nobody, without an end.
                let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
                let stream = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
                connect(&stream, &SocketAddrUnix::new(&self.path)?)?;
                Ok(Link::Stream(stream.into(), Vec::new()))
            }
            Err(error) => Err(error),
        }
    }

    fn back_off(&mut self, error: io::Error) -> Sent {
        // Jitter, so that a whole fleet does not come back at the same moment.
        let jitter = Duration::from_micros(u64::from(Instant::now().elapsed().subsec_nanos()) % 1000 * 97);
        self.next_attempt = Some(Instant::now() + self.pause + jitter.min(self.pause / 2));
        self.pause = (self.pause * 2).min(PAUSE.1);
        Sent::Failed(error)
    }

    /// Whether there may be room before the deadline.
    fn wait_for_room(&self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        let wait = Timespec { tv_sec: 0, tv_nsec: i64::from(left.subsec_nanos()) };
        let mut fds = match &self.link {
            Some(Link::Datagram(socket)) => [PollFd::new(socket, PollFlags::OUT)],
            Some(Link::Stream(socket, _)) => [PollFd::new(socket, PollFlags::OUT)],
            None => return false,
        };
        !left.is_zero() && poll(&mut fds, Some(&wait)).is_ok_and(|ready| ready > 0)
    }
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}

fn send_datagram(socket: &UnixDatagram, message: &[u8]) -> io::Result<()> {
    socket.send(message).map(drop)
}

/// On a stream a message ends with a newline. It is done when all of it is taken; `rest` is what is left of the message
/// that was given before, which is this one.
fn send_stream(socket: &mut UnixStream, rest: &mut Vec<u8>, message: &[u8]) -> io::Result<()> {
    if rest.is_empty() {
        rest.extend_from_slice(message);
        rest.push(b'\n');
        return start(socket, rest);
    }
    push(socket, rest)
}

/// Where nothing of a message was taken, nothing of it is left: it may be written anew by then.
fn start(socket: &mut UnixStream, rest: &mut Vec<u8>) -> io::Result<()> {
    let whole = rest.len();
    let outcome = push(socket, rest);
    if rest.len() == whole {
        rest.clear();
    }
    outcome
}

fn push(socket: &mut UnixStream, rest: &mut Vec<u8>) -> io::Result<()> {
    while !rest.is_empty() {
        let taken = socket.write(rest)?;
        if taken == 0 {
            return Err(io::Error::from(io::ErrorKind::WriteZero));
        }
        rest.drain(..taken.min(rest.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_receiver_that_comes_late_and_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut socket = SyslogSocket::new(&path);
        assert!(matches!(socket.send(b"a"), Sent::Failed(_)));
        assert!(matches!(socket.send(b"a"), Sent::Later));
        for round in 0..2 {
            let receiver = UnixDatagram::bind(&path).unwrap();
            let deadline = Instant::now() + Duration::from_secs(10);
            while !matches!(socket.send(b"hello"), Sent::Done) {
                assert!(Instant::now() < deadline, "round {round}");
                std::thread::sleep(Duration::from_millis(5));
            }
            let mut buffer = [0; 16];
            assert_eq!(receiver.recv(&mut buffer).unwrap(), 5);
            drop(receiver);
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn a_receiver_that_does_not_read_blocks_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let mut socket = SyslogSocket::new(&path);
        let mut sent = 0;
        while matches!(socket.send(b"x"), Sent::Done) {
            sent += 1;
            assert!(sent < 100_000);
        }
        let began = Instant::now();
        assert!(matches!(socket.send(b"x"), Sent::Later));
        assert!(began.elapsed() < Duration::from_secs(2));
        receiver.recv(&mut [0; 4]).unwrap();
        assert!(matches!(socket.send(b"x"), Sent::Done));
    }

    #[test]
    fn a_stream_receiver_gets_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let listener = UnixListener::bind(&path).unwrap();
        let mut socket = SyslogSocket::new(&path);
        assert!(matches!(socket.send(b"one"), Sent::Done));
        assert!(matches!(socket.send(b"two"), Sent::Done));
        let (stream, _) = listener.accept().unwrap();
        let lines: Vec<String> = BufReader::new(stream).lines().take(2).map(Result::unwrap).collect();
        assert_eq!(lines, ["one", "two"]);
    }

    /// Messages that were taken in part come whole: the rest on the same connection, all of it on another one.
    #[test]
    fn a_stream_that_breaks_within_a_message() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let listener = UnixListener::bind(&path).unwrap();
        let mut socket = SyslogSocket::new(&path);
        let message = |n: usize| format!("{n:06}{}", "x".repeat(7_000));
        let fill = |socket: &mut SyslogSocket, from: usize| {
            (from..).find(|n| !matches!(socket.send(message(*n).as_bytes()), Sent::Done)).unwrap()
        };
        let first = fill(&mut socket, 0);
        let (stream, _) = listener.accept().unwrap();
        let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
        assert!(lines.by_ref().take(first).eq((0..first).map(message)));
        assert!(matches!(socket.send(message(first).as_bytes()), Sent::Done));
        assert_eq!(lines.next(), Some(message(first)));

        let second = fill(&mut socket, first + 1);
        drop(lines);
        assert!(matches!(socket.send(message(second).as_bytes()), Sent::Done));
        let (stream, _) = listener.accept().unwrap();
        assert_eq!(BufReader::new(stream).lines().next().map(Result::unwrap), Some(message(second)));
    }

    /// Nobody accepts, and the queue of those who wait is full.
    #[test]
    fn a_stream_receiver_that_accepts_nobody_blocks_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let listener =
            socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        rustix::net::bind(&listener, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        rustix::net::listen(&listener, 2).unwrap();
        let own = |_| {
            let mut socket = SyslogSocket::new(&path);
            matches!(socket.send(b"x"), Sent::Done).then_some(socket)
        };
        let waiting: Vec<SyslogSocket> = (0..100).map_while(own).collect();
        assert!((1..100).contains(&waiting.len()), "{}", waiting.len());
    }
}
