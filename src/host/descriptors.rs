//! The numbers of a process's open descriptors, those first that most likely matter.
//!
//! Owns: the order, and the bounds. Must not own: what the descriptors are.
//!
//! A process may have a million. The lowest are asked in any case. Beyond them time is short, and a socket or a pipe that
//! was opened after a million others stands at the top: so it goes downwards from there until the time is over.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::fs::{RawDir, SeekFrom, seek};

use crate::host::link::number;
use crate::host::patience::Patience;

/// How many of the lowest are asked whatever it takes.
const LOWEST: usize = 1024;
/// The longest that the rest of one process may take.
const REST: Duration = Duration::from_millis(20);
/// How many numbers are listed at once from the top downwards.
const WINDOW: u32 = 512;
/// No table is larger (`fs.nr_open`).
const NUMBER_MAX: u32 = 1 << 30;

/// Gives the open descriptors to `ask`, one after another. `account`: the time that large tables may take. False: some
/// were left out; `None`: they cannot be listed.
pub fn each(listing: &OwnedFd, account: &mut Patience, mut ask: impl FnMut(u32)) -> Option<bool> {
    let (lowest, more) = list(listing, 0, NUMBER_MAX, LOWEST)?;
    lowest.iter().for_each(|fd| ask(*fd));
    let Some(last) = lowest.last().filter(|_| more) else { return Some(true) };
    let began = Instant::now();
    let until = began + account.at(began).min(REST);
    let complete = downwards(listing, last + 1, until, &mut ask);
    account.spend(began.elapsed());
    complete
}

/// From the highest descriptor down to `end`, as far as the time suffices.
fn downwards(listing: &OwnedFd, end: u32, until: Instant, ask: &mut impl FnMut(u32)) -> Option<bool> {
    let mut top = end.next_power_of_two();
    while top < NUMBER_MAX && !list(listing, top, NUMBER_MAX, 1)?.0.is_empty() {
        top *= 2;
    }
    while top > end {
        let bottom = top.saturating_sub(WINDOW).max(end);
        for fd in list(listing, bottom, top, WINDOW as usize)?.0.into_iter().rev() {
            if Instant::now() > until {
                return Some(false);
            }
            ask(fd);
        }
        top = bottom;
    }
    Some(true)
}

/// The open descriptors from `from` up to below `to`, at most so many, and whether there are more. In the directory each
/// stands at the place of its number and two (Linux `fs/proc/fd.c`, proc_readfd_common).
fn list(listing: &OwnedFd, from: u32, to: u32, most: usize) -> Option<(Vec<u32>, bool)> {
    seek(listing, SeekFrom::Start(u64::from(from) + 2)).ok()?;
    let mut buffer = [MaybeUninit::uninit(); 2048];
    let mut entries = RawDir::new(listing, &mut buffer);
    let mut numbers = Vec::new();
    while let Some(entry) = entries.next() {
        let Some(fd) = number(entry.ok()?.file_name().to_bytes()) else { continue };
        let Ok(fd) = u32::try_from(fd) else { continue };
        if fd >= to {
            return Some((numbers, false));
        }
        if numbers.len() >= most {
            return Some((numbers, true));
        }
        numbers.push(fd);
    }
    Some((numbers, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{Mode, OFlags};

    fn own() -> OwnedFd {
        rustix::fs::open("/proc/self/fd", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    fn asked(account: &mut Patience) -> (Vec<u32>, bool) {
        let mut all = Vec::new();
        let complete = each(&own(), account, |fd| all.push(fd)).unwrap();
        (all, complete)
    }

    /// Descriptors of this process, which other tests use at the same time: more than the lowest, and one far above.
    #[test]
    fn the_lowest_and_then_the_highest() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let most = crate::sys::limits::raise_descriptors(1 << 20);
        if most < 8192 {
            return;
        }
        let first = i32::try_from(LOWEST).unwrap();
        let many: Vec<OwnedFd> =
            (0..LOWEST).map(|_| rustix::io::fcntl_dupfd_cloexec(&null, first).unwrap()).collect();
        let high = rustix::io::fcntl_dupfd_cloexec(&null, 7000).unwrap();
        let number = |fd: &OwnedFd| u32::try_from(std::os::fd::AsRawFd::as_raw_fd(fd)).unwrap();
        let (all, complete) = asked(&mut Patience::new(Instant::now()));
        assert!(complete);
        assert!(many.iter().chain([&high]).all(|fd| all.contains(&number(fd))));
        let place = |fd: &OwnedFd| all.iter().position(|found| *found == number(fd));
        assert!(place(&high) < place(&many[LOWEST - 1]), "the highest come before the middle");
        // When the time is over the lowest have been asked, and it is said that there are more.
        let mut count = 0;
        let complete = each(&own(), &mut Patience::new(Instant::now()), |_| {
            count += 1;
            if count == LOWEST + 1 {
                std::thread::sleep(2 * REST);
            }
        });
        assert_eq!((complete, count), (Some(false), LOWEST + 1));
    }

    #[test]
    fn a_window_of_them() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let one = rustix::io::fcntl_dupfd_cloexec(&null, 600).unwrap();
        let fd = u32::try_from(std::os::fd::AsRawFd::as_raw_fd(&one)).unwrap();
        assert_eq!(list(&own(), fd, fd + 1, 10).unwrap().0, [fd]);
        assert!(list(&own(), fd + 1, fd + 1, 10).unwrap().0.is_empty());
        assert_eq!(list(&own(), fd, NUMBER_MAX, 0).unwrap(), (Vec::new(), true));
    }
}
