//! A socket to a local syslog that is made anew whenever it breaks.
//!
//! Owns: connecting (datagram first, stream where the receiver wants that), sending without ever blocking for long,
//! backing off. Must not own: what is sent, what a failure means for the cursor.

use std::io::{self, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The longest wait for room.
const ROOM_WAIT: Duration = Duration::from_millis(200);
/// The first and the longest pause between attempts to connect.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What became of a message.
#[derive(Debug)]
pub enum Sent {
    /// The kernel has taken it.
    Done,
    /// Not now: no room, or too early for another attempt. Try again.
    Later,
    /// The receiver cannot be reached.
    Failed(io::Error),
    /// The message is too long for the receiver.
    TooLong,
}

#[derive(Debug)]
enum Link {
    Datagram(UnixDatagram),
    /// With what is left of a message that was taken in part.
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
        for attempt in 0..2 {
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
                Err(error) if is_full(&error) => {
                    self.wait_for_room();
                    return Sent::Later;
                }
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => return Sent::TooLong,
                Err(error) => {
                    self.link = None;
                    if attempt > 0 {
                        return self.back_off(error);
                    }
                }
            }
        }
        Sent::Later
    }

    fn connect(&self) -> io::Result<Link> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        match socket.connect(&self.path) {
            Ok(()) => Ok(Link::Datagram(socket)),
            Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => {
                let stream = UnixStream::connect(&self.path)?;
                stream.set_nonblocking(true)?;
                Ok(Link::Stream(stream, Vec::new()))
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

    fn wait_for_room(&self) {
        let wait = Timespec { tv_sec: 0, tv_nsec: ROOM_WAIT.as_nanos() as i64 };
        let mut fds = match &self.link {
            Some(Link::Datagram(socket)) => [PollFd::new(socket, PollFlags::OUT)],
            Some(Link::Stream(socket, _)) => [PollFd::new(socket, PollFlags::OUT)],
            None => return,
        };
        let _ = poll(&mut fds, Some(&wait));
    }
}

fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS)
}

fn send_datagram(socket: &UnixDatagram, message: &[u8]) -> io::Result<()> {
    socket.send(message).map(drop)
}

/// On a stream a message ends with a newline. What was taken in part is finished before anything else.
fn send_stream(socket: &mut UnixStream, rest: &mut Vec<u8>, message: &[u8]) -> io::Result<()> {
    push(socket, rest)?;
    let mut whole = message.to_vec();
    whole.push(b'\n');
    match socket.write(&whole) {
        Ok(taken) => {
            *rest = whole.split_off(taken.min(whole.len()));
            // It counts as sent: the rest goes before anything else.
            match push(socket, rest) {
                Err(error) if !is_full(&error) => Err(error),
                _ => Ok(()),
            }
        }
        Err(error) => Err(error),
    }
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
}
