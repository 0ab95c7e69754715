//! Closing several descriptors at once.
//!
//! Owns: close_range(2). Must not own: which descriptors.
#![allow(unsafe_code)] // a range of numbers is closed, of which each has to be ours

use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};

/// Closes them: with one system call where their numbers follow one another, which they mostly do when they were made so
/// (the kernel gives the lowest number that is free); else, and before Linux 5.9, one by one.
pub fn all<const N: usize>(descriptors: [Option<OwnedFd>; N]) {
    let mut numbers = descriptors.iter().flatten().map(AsRawFd::as_raw_fd);
    let Some(first) = numbers.next() else { return };
    let (mut last, mut in_a_row) = (first, true);
    for number in numbers {
        in_a_row &= number == last + 1;
        last = number;
    }
    if last == first || !in_a_row {
        return;
    }
    let numbers = descriptors.map(|descriptor| descriptor.map(IntoRawFd::into_raw_fd));
    // SAFETY: every number from `first` to `last` was one of `descriptors`, which are ours and are given up by this.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if result < 0 {
        // SAFETY: none was closed, and each is ours; as one more owner it closes it.
        numbers.into_iter().flatten().for_each(|number| drop(unsafe { OwnedFd::from_raw_fd(number) }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    /// Whether the other end has been closed, and is so at once.
    fn hung_up(mut far: UnixStream) -> bool {
        far.set_nonblocking(true).unwrap();
        far.read(&mut [0]).is_ok_and(|count| count == 0)
    }

    #[test]
    fn each_is_closed_whatever_its_number() {
        for leave_out in 0..8u32 {
            let pairs: Vec<_> = (0..3).map(|_| UnixStream::pair().unwrap()).collect();
            let (near, far): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            let mut near = near.into_iter().map(OwnedFd::from);
            let slots = [0, 1, 2].map(|n| near.next().filter(|_| leave_out & 1 << n == 0));
            all(slots);
            assert!(far.into_iter().all(hung_up), "{leave_out}");
        }
        all([const { None::<OwnedFd> }; 2]);
    }

    #[test]
    fn neighbours_are_closed_together() {
        // Above what other tests of this process use: nobody else takes numbers there.
        let copies = |from: i32| {
            let stream = UnixStream::pair().unwrap();
            let copy = |n| rustix::io::fcntl_dupfd_cloexec(&stream.0, from + n).ok();
            ([copy(0), copy(1), copy(2)], stream.1)
        };
        let (near, far) = copies(700);
        let numbers: Vec<_> = near.iter().flatten().map(AsRawFd::as_raw_fd).collect();
        assert_eq!(numbers, [700, 701, 702]);
        all(near);
        assert!(hung_up(far));
    }
}
