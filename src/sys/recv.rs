//! Receiving many datagrams with one system call.
//!
//! Owns: the buffers of recvmmsg(2) and the check of who sent each datagram. Must not own: what is in them.
#![allow(unsafe_code)] // recvmmsg takes raw pointers to buffers, addresses and vectors

use std::io;
use std::mem::zeroed;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{iovec, mmsghdr, sockaddr_nl, socklen_t};

/// Room for `N` datagrams of `SIZE` bytes each.
pub struct Batch<const N: usize, const SIZE: usize> {
    data: Box<[[u8; SIZE]; N]>,
    lengths: [usize; N],
    from_kernel: [bool; N],
    received: usize,
}

impl<const N: usize, const SIZE: usize> Default for Batch<N, SIZE> {
    fn default() -> Self {
        Self { data: Box::new([[0; SIZE]; N]), lengths: [0; N], from_kernel: [false; N], received: 0 }
    }
}

impl<const N: usize, const SIZE: usize> Batch<N, SIZE> {
    /// Takes what is there, at most `N` datagrams, without waiting. `Ok(0)`: nothing was there. A datagram longer
    /// than `SIZE` is cut. ENOBUFS means that the kernel dropped some.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        self.received = 0;
        // SAFETY: all-zero is a valid sockaddr_nl, iovec and mmsghdr (null pointers, zero lengths).
        let mut from: [sockaddr_nl; N] = unsafe { zeroed() };
        // SAFETY: as above.
        let mut vectors: [iovec; N] = unsafe { zeroed() };
        // SAFETY: as above.
        let mut headers: [mmsghdr; N] = unsafe { zeroed() };
        for (((header, vector), data), from) in
            headers.iter_mut().zip(&mut vectors).zip(self.data.iter_mut()).zip(&mut from)
        {
            *vector = iovec { iov_base: data.as_mut_ptr().cast(), iov_len: SIZE };
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_name = (from as *mut sockaddr_nl).cast();
            header.msg_hdr.msg_namelen = size_of::<sockaddr_nl>() as socklen_t;
        }
        // SAFETY: `headers` has N entries; each points to one vector, one address and SIZE bytes of `data`, all of
        // which live through the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                headers.as_mut_ptr(),
                N as u32,
                libc::MSG_DONTWAIT,
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
        for (i, (header, from)) in headers.iter().zip(&from).take(count).enumerate() {
            self.lengths[i] = (header.msg_len as usize).min(SIZE);
            // Any process may send to a netlink port; only the kernel sends as port 0.
            self.from_kernel[i] = from.nl_pid == 0;
        }
        self.received = count;
        Ok(count)
    }

    /// What the last [`Batch::receive`] took from the kernel.
    pub fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        self.data
            .iter()
            .zip(&self.lengths)
            .zip(&self.from_kernel)
            .take(self.received)
            .filter(|(_, from_kernel)| **from_kernel)
            .map(|((data, length), _)| data.get(..*length).unwrap_or(data))
    }
}
