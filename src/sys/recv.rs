//! Receiving many datagrams with one system call.
//!
//! Owns: the buffers of recvmmsg(2) and the check of who sent each datagram. Must not own: what is in them.
#![allow(unsafe_code)] // recvmmsg takes raw pointers to buffers, addresses and vectors

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{iovec, mmsghdr, sockaddr_nl, socklen_t};

/// Room for `N` datagrams of `SIZE` bytes each. The headers are filled in once: they point into vectors that never
/// grow, and so do not move.
pub struct Batch<const N: usize, const SIZE: usize> {
    data: Vec<[u8; SIZE]>,
    from: Vec<sockaddr_nl>,
    #[allow(dead_code)] // the headers point to them
    vectors: Vec<iovec>,
    headers: Vec<mmsghdr>,
    received: usize,
}

impl<const N: usize, const SIZE: usize> Default for Batch<N, SIZE> {
    fn default() -> Self {
        let mut data = vec![[0; SIZE]; N];
        // SAFETY: all-zero is a valid sockaddr_nl, iovec and mmsghdr (null pointers, zero lengths).
        let mut from: Vec<sockaddr_nl> = vec![unsafe { zeroed() }; N];
        // SAFETY: as above.
        let mut vectors: Vec<iovec> = vec![unsafe { zeroed() }; N];
        // SAFETY: as above.
        let mut headers: Vec<mmsghdr> = vec![unsafe { zeroed() }; N];
        for (((header, vector), data), from) in
            headers.iter_mut().zip(vectors.iter_mut()).zip(data.iter_mut()).zip(from.iter_mut())
        {
            *vector = iovec { iov_base: data.as_mut_ptr().cast(), iov_len: SIZE };
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = (from as *mut sockaddr_nl).cast();
            header.msg_hdr.msg_namelen = size_of::<sockaddr_nl>() as socklen_t;
        }
        Self { data, from, vectors, headers, received: 0 }
    }
}

impl<const N: usize, const SIZE: usize> Batch<N, SIZE> {
    /// Takes what is there, at most `N` datagrams, without waiting. `Ok(0)`: nothing was there. A datagram longer
    /// than `SIZE` is cut. ENOBUFS means that the kernel dropped some.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.take(socket, libc::MSG_DONTWAIT)
    }

    /// The same, but waits for the first of them, as long as the socket is set to (SO_RCVTIMEO): one system call in place of
    /// poll(2) and recvmmsg(2). `Ok(0)`: none came.
    pub fn wait(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.take(socket, libc::MSG_WAITFORONE)
    }

    fn take(&mut self, socket: BorrowedFd<'_>, flags: libc::c_int) -> io::Result<usize> {
        for header in self.headers.iter_mut().take(std::mem::take(&mut self.received)) {
            header.msg_hdr.msg_namelen = size_of::<sockaddr_nl>() as socklen_t;
        }
        // SAFETY: `headers` has N entries; each points to one vector, one address and SIZE bytes of `data`, all of
        // which lie on the heap, do not move, and live as long as `self`.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                self.headers.as_mut_ptr(),
                N as u32,
                flags,
                std::ptr::null_mut(),
            )
        };
        let count = match usize::try_from(count) {
            Ok(count) => count.min(N),
            Err(_) => {
                let error = io::Error::last_os_error();
                return match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
                    _ => Err(error),
                };
            }
        };
        self.received = count;
        Ok(count)
    }

    /// What the last [`Batch::receive`] took from the kernel.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.data
            .iter()
            .zip(self.headers.iter())
            .zip(self.from.iter())
            .take(self.received)
            // Any process may send to a netlink port; only the kernel sends as port 0.
            .filter(|(_, from)| from.nl_pid == 0)
            .map(|((data, header), _)| data.get(..header.msg_len as usize).unwrap_or(data))
    }
}
