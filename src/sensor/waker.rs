//! The wake-up of the sensor's thread.
//!
//! Owns: a message to the very socket that the thread waits on: it can then wait in the system call that also receives, and
//! need not ask poll(2) first. Must not own: why it is woken. It never blocks, and one wake-up that the thread has not taken yet
//! stands for all further ones.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use netlink_sys::{Socket, SocketAddr};

use crate::sys::cn_proc::{NETLINK_CONNECTOR, wake};

/// Wakes one thread.
#[derive(Debug)]
pub struct Waker {
    socket: Socket,
    /// The netlink port of the socket that the thread waits on.
    port: AtomicU32,
    pending: AtomicBool,
}

impl Waker {
    /// For a thread that waits on the socket of this port.
    pub fn new(port: u32) -> io::Result<Self> {
        let socket = Socket::new(NETLINK_CONNECTOR)?;
        Ok(Self { socket, port: AtomicU32::new(port), pending: AtomicBool::new(false) })
    }

    /// The thread is awake, and waits on another socket from now on. A wake-up that the socket before it still has counts no more.
    pub fn moved(&self, port: u32) {
        self.port.store(port, Ordering::Release);
        self.woken();
    }

    /// Wakes the thread.
    pub fn wake(&self) {
        if self.pending.swap(true, Ordering::AcqRel) {
            return;
        }
        let to = SocketAddr::new(self.port.load(Ordering::Acquire), 0);
        let sent = self.socket.send_to(&wake(), &to, libc::MSG_DONTWAIT);
        // Where the buffer is full (EAGAIN), the thread has something to wake for. Any other refusal (its socket is being opened
        // anew) leaves it to its longest wait.
        if sent.is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock) {
            self.pending.store(false, Ordering::Release);
        }
    }

    /// The thread is awake, and looks for what there is to do after this.
    pub fn woken(&self) {
        self.pending.swap(false, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::cn_filter::{Scope, program};
    use crate::sys::recv::Batch;
    use crate::sys::sockopt;
    use rustix::net::sockopt::{Timeout, set_socket_timeout};
    use std::os::fd::AsFd;
    use std::time::Duration;

    fn receiver() -> (Socket, u32) {
        let mut socket = Socket::new(NETLINK_CONNECTOR).unwrap();
        let port = socket.bind_auto().unwrap().port_number();
        sockopt::attach_filter(socket.as_fd(), &program(Scope::Nobody)).unwrap();
        set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_secs(20))).unwrap();
        (socket, port)
    }

    #[test]
    fn one_wakes_until_it_is_taken_and_is_no_event() {
        let (socket, port) = receiver();
        let waker = Waker::new(port).unwrap();
        let mut batch = Batch::<4, 128>::default();
        for _ in 0..2 {
            waker.wake();
            waker.wake();
            let count = batch.wait(socket.as_fd()).unwrap();
            // Who may not administer the network may not write to others' ports.
            if count == 0 && !rustix::process::geteuid().is_root() {
                return;
            }
            assert_eq!(count, 1);
            assert_eq!(batch.datagrams().count(), 0);
            assert_eq!(batch.receive(socket.as_fd()).unwrap(), 0);
            waker.woken();
        }
    }

    #[test]
    fn it_follows_to_another_socket() {
        let (socket, port) = receiver();
        let waker = Waker::new(port).unwrap();
        drop(socket);
        waker.wake();
        let (socket, port) = receiver();
        waker.moved(port);
        waker.wake();
        let count = Batch::<4, 128>::default().wait(socket.as_fd()).unwrap();
        assert_eq!(count, u32::from(rustix::process::geteuid().is_root()) as usize);
    }
}
