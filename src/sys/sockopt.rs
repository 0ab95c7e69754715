//! Socket options that no safe library offers.
//!
//! Owns: one function for each. Must not own: what to set them to.
#![allow(unsafe_code)] // setsockopt, getsockopt and ioctl take raw pointers

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use libc::{c_int, c_void, sock_filter, sock_fprog, socklen_t};

/// `SO_MEMINFO` (Linux `include/uapi/asm-generic/socket.h`).
const SO_MEMINFO: c_int = 55;
/// `SK_MEMINFO_DROPS`: the place of the drop counter (Linux `include/uapi/linux/sock_diag.h`).
const SK_MEMINFO_DROPS: usize = 8;
/// `SK_MEMINFO_VARS`.
const SK_MEMINFO_VARS: usize = 9;

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Puts a classic BPF program on the socket (SO_ATTACH_FILTER), in place of the one before, atomically.
pub fn attach_filter(socket: BorrowedFd<'_>, program: &[sock_filter]) -> io::Result<()> {
    let Ok(len) = u16::try_from(program.len()) else {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    };
    let fprog = sock_fprog { len, filter: program.as_ptr().cast_mut() };
    // SAFETY: the option's value is a sock_fprog that lives through the call and points to `len` instructions, which
    // the kernel only reads.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            (&raw const fprog).cast::<c_void>(),
            size_of::<sock_fprog>() as socklen_t,
        )
    })
    .map(drop)
}

/// Sets the receive buffer beyond `net.core.rmem_max` (SO_RCVBUFFORCE); needs CAP_NET_ADMIN.
pub fn force_receive_buffer(socket: BorrowedFd<'_>, bytes: usize) -> io::Result<()> {
    let value = c_int::try_from(bytes).unwrap_or(c_int::MAX / 2);
    // SAFETY: the option's value is one int that lives through the call.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVBUFFORCE,
            (&raw const value).cast::<c_void>(),
            size_of::<c_int>() as socklen_t,
        )
    })
    .map(drop)
}

/// How many messages the kernel has dropped on this socket since it was opened (SO_MEMINFO). Wraps at 2^32.
pub fn drops(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut info = [0u32; SK_MEMINFO_VARS];
    let mut length = size_of_val(&info) as socklen_t;
    // SAFETY: `info` has the `length` bytes that the kernel may write.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_MEMINFO,
            info.as_mut_ptr().cast::<c_void>(),
            &raw mut length,
        )
    })?;
    Ok(info[SK_MEMINFO_DROPS])
}

fn tcp_info(socket: BorrowedFd<'_>) -> io::Result<libc::tcp_info> {
    // SAFETY: all-zero is a valid tcp_info: it has numbers only.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = size_of::<libc::tcp_info>() as socklen_t;
    // SAFETY: `info` has the `length` bytes that the kernel may write.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast::<c_void>(),
            &raw mut length,
        )
    })?;
    Ok(info)
}

/// How many milliseconds ago a TCP socket last received data (TCP_INFO, `tcpi_last_data_recv`; tcp(7)). A connection that
/// never has counts from its beginning. An error for other protocols.
pub fn last_received_ms(socket: BorrowedFd<'_>) -> io::Result<u32> {
    tcp_info(socket).map(|info| info.tcpi_last_data_recv)
}

/// How many milliseconds ago the kernel at the far end of a TCP connection last acknowledged anything (TCP_INFO,
/// `tcpi_last_ack_recv`), answers to window probes and keepalives included. An error for other protocols.
pub fn last_acknowledged_ms(socket: BorrowedFd<'_>) -> io::Result<u32> {
    tcp_info(socket).map(|info| info.tcpi_last_ack_recv)
}

/// Bytes that were written and not yet taken at the far end (ioctl SIOCOUTQ). TCP: by the far end's kernel (tcp(7)). UNIX
/// sockets: by the process that reads there, counted with the kernel's overhead (unix(7)).
pub fn outstanding(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut bytes: c_int = 0;
    // SAFETY: the argument points to one int that lives through the call, which the kernel writes.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) })?;
    Ok(u32::try_from(bytes).unwrap_or(0))
}

/// The network namespace that a socket belongs to (ioctl SIOCGSKNS, since Linux 4.10); needs CAP_NET_ADMIN there.
pub fn network_namespace(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    // SAFETY: SIOCGSKNS takes no argument and returns a new descriptor.
    let fd = check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGSKNS) })?;
    // SAFETY: the descriptor is new and nobody else's.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
