//! The proc connector's socket.
//!
//! Owns: opening it (receive buffer, no ENOBUFS, filter, LISTEN), its drop counter, IGNORE on leave. Must not own: what
//! the events mean. A socket that was overrun is not left congested: with NETLINK_NO_ENOBUFS the kernel goes on
//! delivering as soon as there is room, and the drops are counted all the same.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use netlink_sys::{Socket, SocketAddr};
use rustix::net::sockopt::{Timeout, set_socket_timeout};

use crate::host::link::bracketed;
use crate::sensor::error::SensorError;
use crate::sys::cn_filter::{Scope, program};
use crate::sys::cn_proc::{CN_IDX_PROC, NETLINK_CONNECTOR, control};
use crate::sys::sockopt;

/// What one event is charged against the receive buffer, in bytes (measured on Linux 6.18).
pub const EVENT_CHARGE: usize = 832;

/// The longest wait for an event.
pub const WAIT: Duration = Duration::from_millis(100);

/// The inode numbers of the initial PID and user namespaces (Linux `include/linux/proc_ns.h`).
const INITIAL: [(&str, &[u8], u64); 2] = [("pid", b"pid:[", 0xefff_fffc), ("user", b"user:[", 0xefff_fffd)];

/// A listening socket.
#[derive(Debug)]
pub struct Connector {
    socket: Socket,
    drops: u32,
}

impl Connector {
    /// Opens and listens; only execs pass its filter.
    pub fn open(receive_buffer_bytes: usize) -> Result<Self, SensorError> {
        check_namespaces()?;
        let mut socket = Socket::new(NETLINK_CONNECTOR).map_err(SensorError::Unanswered)?;
        socket.bind(&SocketAddr::new(0, 1 << (CN_IDX_PROC - 1))).map_err(SensorError::Refused)?;
        socket.set_no_enobufs(true).map_err(SensorError::Setup)?;
        set_socket_timeout(&socket, Timeout::Recv, Some(WAIT))
            .map_err(|error| SensorError::Setup(error.into()))?;
        if sockopt::force_receive_buffer(socket.as_fd(), receive_buffer_bytes).is_err() {
            socket.set_rx_buf_sz(receive_buffer_bytes).map_err(SensorError::Setup)?;
        }
        sockopt::attach_filter(socket.as_fd(), &program(Scope::Nobody)).map_err(SensorError::Setup)?;
        let connector = Self { socket, drops: 0 };
        connector.send(true).map_err(SensorError::Unanswered)?;
        Ok(connector)
    }

    /// The socket.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Its netlink port, by which messages reach it.
    pub fn port(&self) -> io::Result<u32> {
        let mut address = SocketAddr::new(0, 0);
        self.socket.get_address(&mut address)?;
        Ok(address.port_number())
    }

    /// The receive buffer that was granted, in bytes, as the kernel counts.
    pub fn receive_buffer(&self) -> usize {
        self.socket.get_rx_buf_sz().unwrap_or(0)
    }

    /// How many events were dropped since the last call.
    pub fn new_drops(&mut self) -> u32 {
        let Ok(drops) = sockopt::drops(self.socket.as_fd()) else { return 0 };
        let new = drops.wrapping_sub(self.drops);
        self.drops = drops;
        new
    }

    /// Puts another filter in place of the one before. A socket's memory for filters is bounded, and while one takes
    /// another's place both are in it: then everybody is heard meanwhile, or, if the list is too long even so, from then on.
    pub fn filter(&self, scope: Scope<'_>) -> io::Result<()> {
        let attached = sockopt::attach_filter(self.socket.as_fd(), &program(scope));
        if attached.is_ok() || !matches!(scope, Scope::Listed(_)) {
            return attached;
        }
        sockopt::attach_filter(self.socket.as_fd(), &program(Scope::Everybody))?;
        let _ = sockopt::attach_filter(self.socket.as_fd(), &program(scope));
        Ok(())
    }

    fn send(&self, listen: bool) -> io::Result<()> {
        self.socket.send_to(&control(listen), &SocketAddr::new(0, 0), 0).map(drop)
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        // Without it the kernel's count of listeners stays up for ever. Nothing can be done if it fails.
        let _ = self.send(false);
    }
}

/// The kernel takes LISTEN from other namespaces without a word and never sends anything.
fn check_namespaces() -> Result<(), SensorError> {
    for (name, prefix, initial) in INITIAL {
        let link = std::fs::read_link(format!("/proc/self/ns/{name}")).map_err(SensorError::Setup)?;
        let inode = bracketed(link.as_os_str().as_encoded_bytes(), prefix);
        if inode.is_some_and(|inode| inode.0 != initial) {
            return Err(SensorError::Namespace(name));
        }
    }
    Ok(())
}
