//! Another process's memory, and the holding of our own.
//!
//! Owns: process_vm_readv(2), locking our pages, forbidding core dumps. Must not own: what is read, and whether reading
//! may wait (`host::exec_args`).
#![allow(unsafe_code)] // process_vm_readv and mlockall take raw pointers and flags

use std::io;

use crate::model::ids::Pid;

/// Copies from `address` of the process or thread into `buffer`; how much. A page that cannot be read ends it.
pub fn read(pid: Pid, address: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let raw = i32::try_from(pid.0).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let remote_base = usize::try_from(address).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote = libc::iovec {
        iov_base: std::ptr::without_provenance_mut::<libc::c_void>(remote_base),
        iov_len: buffer.len(),
    };
    // SAFETY: the local vector is `buffer`, which lives through the call; the remote one is only read, by the kernel,
    // in the other address space.
    let copied = unsafe { libc::process_vm_readv(raw, &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(copied).map_err(|_| io::Error::last_os_error())
}

/// Keeps what this process has touched, and will touch, in memory (mlockall(2), MCL_ONFAULT: Linux 4.4).
pub fn lock_memory() -> io::Result<()> {
    // SAFETY: no pointers.
    let result = unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE | libc::MCL_ONFAULT) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// No core dump of this process. With a pipe in core_pattern the kernel would execute the helper while this process,
/// which should answer for that exec, is stopped in its own dump.
pub fn forbid_core_dumps() -> io::Result<()> {
    // SAFETY: no pointers.
    let result = unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_memory() {
        let text = *b"some bytes of ours";
        let mut copy = [0; 18];
        let this = Pid(std::process::id());
        assert_eq!(read(this, text.as_ptr().addr() as u64, &mut copy).unwrap(), 18);
        assert_eq!(copy, text);
        assert!(read(this, 16, &mut copy).is_err(), "page 0 is nobody's");
        assert!(read(Pid(u32::MAX), 4096, &mut copy).is_err());
    }
}
