//! How the holding of execs stands.
//!
//! Owns: the mode in force and why it is not the one that was asked for, the histogram of waits, the stop flag. Must
//! not own: anything that could wait.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use rustix::event::{EventfdFlags, eventfd};

use crate::sensor::settings::FanotifyMode;
use crate::sensor::waiters::Ticket;
use crate::sys::clock;

/// Powers of two of microseconds.
const BUCKETS: usize = 24;

/// How long nobody waits after somebody has waited too long.
const HURRY_NS: u64 = 100_000_000;

/// Why holding was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// It was not.
    Not,
    /// More deadlines were missed within a minute than is borne.
    DeadlinesMissed,
    /// This process has too many descriptors open: the kernel would soon refuse execs for want of one.
    DescriptorsShort,
    /// The kernel could not open a program for us and refused its exec.
    OpenRefused,
    /// The kernel did not let us.
    Refused,
}

impl Drop {
    const ALL: [Drop; 5] =
        [Drop::Not, Drop::DeadlinesMissed, Drop::DescriptorsShort, Drop::OpenRefused, Drop::Refused];

    /// In words.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Not => "",
            Self::DeadlinesMissed => "more than three answers within a minute came late",
            Self::DescriptorsShort => "this process has too many descriptors open",
            Self::OpenRefused => "the kernel could not open a program for tetherd and refused its exec",
            Self::Refused => "the kernel refused",
        }
    }
}

/// Shared by the threads that have to do with it.
#[derive(Debug)]
pub struct HoldState {
    asked: FanotifyMode,
    mode: AtomicU8,
    dropped: AtomicU8,
    stop: OwnedFd,
    given_up: OwnedFd,
    descriptors_max: i32,
    hang: Option<String>,
    waits: [AtomicU64; BUCKETS],
    longest_us: AtomicU64,
    stopped_ms: AtomicU64,
    hurry_until_ns: AtomicU64,
    /// Filesystems marked.
    pub marked: AtomicU64,
    /// Filesystems with programs that are left alone.
    pub left_alone: AtomicU64,
}

impl HoldState {
    /// In the mode that was asked for.
    pub fn new(asked: FanotifyMode, descriptors: u64) -> io::Result<Self> {
        let hang = if cfg!(debug_assertions) { std::env::var("TETHERD_DEBUG_HANG").ok() } else { None };
        Ok(Self {
            asked,
            mode: AtomicU8::new(asked as u8),
            dropped: AtomicU8::new(0),
            stop: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            given_up: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            descriptors_max: i32::try_from(descriptors / 4 * 3).unwrap_or(i32::MAX),
            hang,
            waits: Default::default(),
            longest_us: AtomicU64::new(0),
            stopped_ms: AtomicU64::new(0),
            hurry_until_ns: AtomicU64::new(0),
            marked: AtomicU64::new(0),
            left_alone: AtomicU64::new(0),
        })
    }

    /// The mode that was asked for.
    pub fn asked(&self) -> FanotifyMode {
        self.asked
    }

    /// The mode in force.
    pub fn mode(&self) -> FanotifyMode {
        let number = self.mode.load(Ordering::Relaxed);
        FanotifyMode::ALL.into_iter().find(|mode| *mode as u8 == number).unwrap_or_default()
    }

    /// Puts another mode in force.
    pub fn set_mode(&self, mode: FanotifyMode, why: Drop) {
        self.dropped.store(why as u8, Ordering::Relaxed);
        self.mode.store(mode as u8, Ordering::Relaxed);
    }

    /// Whether execs are held.
    pub fn holds(&self) -> bool {
        self.mode.load(Ordering::Relaxed) == FanotifyMode::Hold as u8
    }

    /// From now on everybody is let through at once; the marks follow.
    pub fn drop_hold(&self, why: Drop) {
        if self.holds() {
            self.set_mode(FanotifyMode::Notify, why);
            let _ = rustix::io::write(&self.given_up, &1u64.to_ne_bytes());
        }
    }

    /// Why the mode in force is not the one asked for.
    pub fn dropped(&self) -> Drop {
        let number = self.dropped.load(Ordering::Relaxed);
        Drop::ALL.into_iter().find(|why| *why as u8 == number).unwrap_or(Drop::Not)
    }

    /// Whether a descriptor's number is so high that there may soon be none left.
    pub fn runs_short(&self, number: i32) -> bool {
        number > self.descriptors_max
    }

    /// Lets an opener go on, if nobody has yet, and notes how long it waited.
    pub fn let_go(&self, ticket: Option<&Ticket>) {
        if let Some(ticket) = ticket
            && ticket.allow()
        {
            self.waited(ticket.age_us(clock::now().mono_ns));
        }
    }

    /// An opener was let go after so long.
    fn waited(&self, us: u64) {
        let bucket = (u64::BITS - us.leading_zeros()) as usize;
        if let Some(count) = self.waits.get(bucket.min(BUCKETS - 1)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.longest_us.fetch_max(us, Ordering::Relaxed);
    }

    /// The time within which so many of a thousand waits ended (to the next power of two), and the longest, in
    /// microseconds.
    pub fn waits(&self, thousandths: u64) -> (u64, u64) {
        let counts: Vec<u64> = self.waits.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let longest = self.longest_us.load(Ordering::Relaxed);
        let wanted = counts.iter().sum::<u64>().saturating_mul(thousandths).div_ceil(1000);
        let mut sum = 0;
        let bucket = counts.iter().position(|count| {
            sum += count;
            sum >= wanted
        });
        (bucket.map_or(0, |bucket| (1u64 << bucket).min(longest)), longest)
    }

    /// Somebody was let go late. One execve opens several files, each of which could be late: for a while nobody waits.
    pub fn hurry(&self, now_ns: u64) {
        self.hurry_until_ns.store(now_ns.saturating_add(HURRY_NS), Ordering::Relaxed);
    }

    /// Whether nobody is to wait now.
    pub fn hurries(&self, now_ns: u64) -> bool {
        now_ns < self.hurry_until_ns.load(Ordering::Relaxed)
    }

    /// This process did not run for so long.
    pub fn stood_still(&self, ms: u64) {
        self.stopped_ms.fetch_add(ms, Ordering::Relaxed);
    }

    /// How long this process did not run since the last call, in milliseconds.
    pub fn take_stopped_ms(&self) -> u64 {
        self.stopped_ms.swap(0, Ordering::Relaxed)
    }

    /// Readable once [`HoldState::drop_hold`] has given up holding.
    pub fn given_up_fd(&self) -> BorrowedFd<'_> {
        self.given_up.as_fd()
    }

    /// Readable once [`HoldState::ask_to_stop`] was called.
    pub fn stop_fd(&self) -> BorrowedFd<'_> {
        self.stop.as_fd()
    }

    /// Asks all threads to end.
    pub fn ask_to_stop(&self) {
        let _ = rustix::io::write(&self.stop, &1u64.to_ne_bytes());
    }

    /// Never returns where a test build was asked to hang in this place (TETHERD_DEBUG_HANG).
    pub fn hang_if_asked(&self, place: &str) {
        if cfg!(debug_assertions) && self.hang.as_deref() == Some(place) {
            loop {
                std::thread::park();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_by_share() {
        let state = HoldState::new(FanotifyMode::Hold, 1024).unwrap();
        assert_eq!(state.waits(500), (0, 0));
        (0..99).for_each(|_| state.waited(10));
        state.waited(5000);
        assert_eq!(state.waits(500), (16, 5000));
        assert_eq!(state.waits(999), (5000, 5000));
    }

    #[test]
    fn hold_is_given_up_once_with_its_reason() {
        let state = HoldState::new(FanotifyMode::Hold, 1024).unwrap();
        assert!(state.holds() && !state.runs_short(768) && state.runs_short(769));
        state.drop_hold(Drop::DeadlinesMissed);
        state.drop_hold(Drop::OpenRefused);
        assert_eq!((state.mode(), state.dropped()), (FanotifyMode::Notify, Drop::DeadlinesMissed));
    }
}
