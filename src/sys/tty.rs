//! Pseudo-terminals.
//!
//! Owns: asking a master for its number, and `/dev/tty` for the terminal that it stands for. Must not own: finding them.
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

/// `TIOCGDEV` (Linux `include/uapi/asm-generic/ioctls.h`; not in libc for every architecture).
pub const TIOCGDEV: libc::c_ulong = 0x8004_5432;

/// Major and minor number of the terminal behind a descriptor of `/dev/tty` or `/dev/console` (TIOCGDEV).
pub fn device_of(terminal: BorrowedFd<'_>) -> io::Result<(u32, u32)> {
    let mut device: libc::c_uint = 0;
    // SAFETY: TIOCGDEV writes one unsigned int, which lives through the call.
    let result = unsafe { libc::ioctl(terminal.as_raw_fd(), TIOCGDEV as _, &raw mut device) };
    // Linux `include/linux/kdev_t.h`, new_encode_dev.
    let parts = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xf_ff00));
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(parts) }
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

    #[test]
    fn a_slave_is_what_it_is() {
        let master = std::fs::File::options().read(true).write(true).open("/dev/ptmx").unwrap();
        let unlocked: libc::c_int = 0;
        // SAFETY: TIOCSPTLCK reads one int, which lives through the call.
        assert_eq!(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlocked) }, 0);
        let number = number_of_master(master.as_fd()).unwrap();
        let slave = nix::fcntl::open(
            format!("/dev/pts/{number}").as_str(),
            nix::fcntl::OFlag::O_RDWR | nix::fcntl::OFlag::O_NOCTTY,
            nix::sys::stat::Mode::empty(),
        );
        assert_eq!(device_of(slave.unwrap().as_fd()).unwrap(), (136 + number / 256, number % 256));
        assert!(device_of(std::fs::File::open("/dev/null").unwrap().as_fd()).is_err());
    }
}
