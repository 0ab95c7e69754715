//! Pseudo-terminals.
//!
//! Owns: asking a master for its number. Must not own: finding masters.
#![allow(unsafe_code)] // ioctl takes a raw pointer

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The N of `/dev/pts/N` that this master belongs to (ioctl TIOCGPTN, ioctl_tty(2)).
pub fn number_of_master(master: BorrowedFd<'_>) -> io::Result<u32> {
    let mut number: libc::c_uint = 0;
    // SAFETY: TIOCGPTN writes one unsigned int, which lives through the call.
    let result = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN, &raw mut number) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(number) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_master_has_a_number() {
        let master = std::fs::File::options().read(true).write(true).open("/dev/ptmx").unwrap();
        assert!(number_of_master(master.as_fd()).is_ok());
        assert!(number_of_master(std::io::stdin().as_fd()).is_err() || cfg!(miri));
    }
}
