//! Taking a duplicate of another process's descriptor.
//!
//! Owns: pidfd_open(2), pidfd_getfd(2) and poll(2) of a pidfd, through rustix. Must not own: what is asked of the duplicate (`host`).

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, PidfdGetfdFlags};

use crate::model::ids::Pid;

/// A handle on a process (Linux 5.3).
pub fn open(pid: Pid) -> io::Result<OwnedFd> {
    let raw = i32::try_from(pid.0).ok().and_then(rustix::process::Pid::from_raw);
    let pid = raw.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    Ok(rustix::process::pidfd_open(pid, PidfdFlags::empty())?)
}

/// A handle on one thread (PIDFD_THREAD, Linux 6.9); EINVAL before that.
pub fn open_thread(thread: Pid) -> io::Result<OwnedFd> {
    let raw = i32::try_from(thread.0).ok().and_then(rustix::process::Pid::from_raw);
    let thread = raw.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
    let flags = PidfdFlags::from_bits_retain(libc::O_EXCL.cast_unsigned());
    Ok(rustix::process::pidfd_open(thread, flags)?)
}

/// Whether the process has ended: a pidfd becomes readable then (pidfd_open(2)).
pub fn has_ended(process: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&process, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&at_once)).is_ok_and(|ready| ready > 0)
}

/// A duplicate of that process's descriptor `fd` (Linux 5.6); needs CAP_SYS_PTRACE. While it is open the connection
/// cannot end, so it must be closed at once.
pub fn getfd(process: impl AsFd, fd: u32) -> io::Result<OwnedFd> {
    Ok(rustix::process::pidfd_getfd(
        process,
        i32::try_from(fd).unwrap_or(i32::MAX),
        PidfdGetfdFlags::empty(),
    )?)
}
