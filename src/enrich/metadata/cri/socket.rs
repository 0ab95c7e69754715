//! The runtime's socket, and running one conversation on it to its end or its deadline.
//!
//! Owns: whose socket it is, the bytes that are taken from it, and waiting for it. h2 asks for a runtime's traits of input
//! and output; one descriptor and one thread need no runtime for that: what cannot go on waits in poll(2). Must not own:
//! what is said (`client`).

use std::cell::Cell;
use std::future::Future;
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::sockopt::socket_peercred;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes that are taken from one connection.
const BYTES_MAX: usize = 4 << 20;

/// What is said of a conversation that takes longer than it may.
pub(super) const SLOW: &str = "the runtime was too slow";
const ENDED: &str = "the runtime ended the connection";

/// A connection, for h2 and for whoever waits.
#[derive(Clone, Debug)]
pub(super) struct Socket(Rc<Inner>);

#[derive(Debug)]
struct Inner {
    stream: UnixStream,
    /// Bytes that may still be taken.
    left: Cell<usize>,
    /// There was nothing to read, or no room to write, when that was tried last.
    wants: Cell<PollFlags>,
}

/// Connects. The socket and whoever listens have to be root's: what is said there is believed.
pub(super) fn open(path: &Path) -> Result<Socket, &'static str> {
    const NONE: &str = "the runtime's socket cannot be reached";
    let found = std::fs::metadata(path).map_err(|_| "the runtime's socket is not there")?;
    if !found.file_type().is_socket() {
        return Err("what should be the runtime's socket is none");
    }
    if found.uid() != 0 {
        return Err("the runtime's socket is not root's");
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(|_| NONE)?;
    let address = SocketAddrUnix::new(path).map_err(|_| NONE)?;
    connect(&socket, &address).map_err(|error| match error {
        // Its queue is full.
        Errno::AGAIN => "the runtime accepts no more connections",
        _ => NONE,
    })?;
    let peer = socket_peercred(&socket).map_err(|_| NONE)?;
    if !peer.uid.is_root() {
        return Err("whoever listens on the runtime's socket is not root");
    }
    let inner =
        Inner { stream: socket.into(), left: Cell::new(BYTES_MAX), wants: Cell::new(PollFlags::empty()) };
    Ok(Socket(Rc::new(inner)))
}

impl Inner {
    fn missed(&self, what: PollFlags) {
        self.wants.set(self.wants.get() | what);
    }

    fn tries(&self, what: PollFlags) {
        self.wants.set(self.wants.get() & !what);
    }
}

/// Repeats what a signal interrupted; what would block is pending.
fn now<T>(mut act: impl FnMut() -> io::Result<T>) -> Poll<io::Result<T>> {
    loop {
        match act() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
            done => return Poll::Ready(done),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let inner = &self.0;
        inner.tries(PollFlags::IN);
        let room = into.remaining().min(inner.left.get());
        if room == 0 && into.remaining() > 0 {
            return Poll::Ready(Err(io::Error::other("too many bytes")));
        }
        let space = into.initialize_unfilled_to(room);
        let read = now(|| (&inner.stream).read(space));
        if read.is_pending() {
            inner.missed(PollFlags::IN);
        }
        read.map_ok(|n| {
            inner.left.set(inner.left.get().saturating_sub(n));
            into.advance(n);
        })
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let inner = &self.0;
        inner.tries(PollFlags::OUT);
        let written = now(|| (&inner.stream).write(bytes));
        if written.is_pending() {
            inner.missed(PollFlags::OUT);
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = self.0.stream.shutdown(std::net::Shutdown::Write);
        Poll::Ready(Ok(()))
    }
}

/// Something else than the descriptor lets it go on.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs a conversation on this socket; it fails when it has not ended by `until`.
pub(super) fn run<T>(
    socket: &Socket,
    until: Instant,
    talk: impl Future<Output = Result<T, &'static str>>,
) -> Result<T, &'static str> {
    let mut talk = pin!(talk);
    let woken = Arc::new(Woken(AtomicBool::new(false)));
    let waker = Waker::from(woken.clone());
    loop {
        if Instant::now() >= until {
            return Err(SLOW);
        }
        if let Poll::Ready(done) = talk.as_mut().poll(&mut Context::from_waker(&waker)) {
            return done;
        }
        if !woken.0.swap(false, Ordering::Relaxed) {
            wait(socket, until)?;
        }
    }
}

/// Waits until what was tried last may succeed.
fn wait(socket: &Socket, until: Instant) -> Result<(), &'static str> {
    let inner = &socket.0;
    let wants = inner.wants.get();
    // Nothing would ever go on.
    if wants.is_empty() {
        return Err(ENDED);
    }
    let left = until.checked_duration_since(Instant::now()).ok_or(SLOW)?;
    let left = Timespec::try_from(left).map_err(|_| SLOW)?;
    match poll(&mut [PollFd::new(&inner.stream, wants)], Some(&left)) {
        Ok(0) => Err(SLOW),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(_) => Err(ENDED),
    }
}
