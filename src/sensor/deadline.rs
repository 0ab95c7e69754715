//! The thread that lets openers go when nobody else has.
//!
//! Owns: the time, and giving up holding when it is needed too often. Must not own: looking. It sleeps, compares
//! numbers and writes answers; it allocates nothing, locks nothing, opens nothing but what the kernel opens for it with
//! an event.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::model::clock::SECOND;
use crate::model::loss::Loss;
use crate::sensor::hold_state::{Drop, HoldState};
use crate::sensor::rank::Rank;
use crate::sensor::waiters::Waiters;
use crate::stats::Stats;
use crate::sys::clock;
use crate::sys::fanotify::Taken;

/// How often it looks.
const TICK: Duration = Duration::from_millis(10);
/// The same while the reader hangs: one execve opens several files.
const HASTE: Duration = Duration::from_millis(1);
/// The longest wait that is not late. With the tick and the time to be scheduled, nobody waits for 50 ms.
pub const LIMIT_NS: u64 = 30_000_000;
/// The most late answers within a minute.
const MISSES_MAX: usize = 3;
/// A tick that comes so late means that this process was stopped, or the machine.
const STOOD_STILL_NS: u64 = 300_000_000;
/// The minute.
const WINDOW_NS: u64 = 60 * SECOND;
/// The most events drained in one tick, so that waiters are looked at meanwhile.
const DRAIN_MAX: u32 = 4096;

/// The thread's state.
#[derive(Debug)]
pub struct Deadline {
    waiters: Arc<Waiters>,
    state: Arc<HoldState>,
    stats: Arc<Stats>,
    misses: Misses,
    rank: Rank,
    progress: u64,
    was_readable: bool,
    is_stuck: bool,
}

impl Deadline {
    /// Looks after these waiters.
    pub fn new(waiters: Arc<Waiters>, state: Arc<HoldState>, stats: Arc<Stats>) -> Self {
        Self {
            waiters,
            state,
            stats,
            misses: Misses::default(),
            rank: Rank::default(),
            progress: 0,
            was_readable: false,
            is_stuck: false,
        }
    }

    /// As long as the process lives.
    pub fn run(mut self) {
        let waiters = self.waiters.clone();
        let state = self.state.clone();
        let mut last = clock::now().mono_ns;
        loop {
            std::thread::sleep(if self.is_stuck { HASTE } else { TICK });
            let now = clock::now().mono_ns;
            let stood_still = now.saturating_sub(last) > STOOD_STILL_NS;
            if stood_still {
                state.stood_still(now.saturating_sub(last) / 1_000_000);
            }
            last = now;
            let late = waiters.let_go(now, LIMIT_NS);
            let waits = self.is_readable();
            self.rank.tick(&waiters.answering, now, waits);
            let unread = self.drain_if_stuck(waits);
            if late + unread > 0 {
                self.stats.lose(Loss::DeadlineMissed, late + unread);
                state.hurry(now);
                // What piled up while this process was stopped says nothing about its answers.
                if !stood_still && self.misses.add(now, late + unread) {
                    state.drop_hold(Drop::DeadlinesMissed);
                }
            }
        }
    }

    /// Whether there is something to be taken.
    fn is_readable(&self) -> bool {
        let mut queue = [PollFd::new(self.waiters.group(), PollFlags::IN)];
        let no_wait = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut queue, Some(&no_wait)).is_ok_and(|n| n > 0)
    }

    /// Where the reader has taken nothing since the last tick although there is something: takes everything, and lets
    /// everybody go. How many that were.
    fn drain_if_stuck(&mut self, readable: bool) -> u64 {
        let group = self.waiters.group();
        let progress = self.waiters.progress.load(Ordering::Relaxed);
        let stuck = readable && (self.was_readable || self.is_stuck) && progress == self.progress;
        self.was_readable = readable;
        self.is_stuck = stuck || (self.is_stuck && progress == self.progress);
        self.progress = progress;
        if !stuck {
            return 0;
        }
        let mut drained = 0;
        for _ in 0..DRAIN_MAX {
            match group.take() {
                Ok(Some(Taken::Opened { token, .. })) => {
                    if let Some(token) = token {
                        self.waiters.answer(token);
                    }
                    drained += 1;
                }
                Ok(Some(Taken::Overflow)) => self.stats.lose(Loss::OpensOverflow, 1),
                Ok(Some(Taken::Unknown)) => {}
                Ok(None) => break,
                Err(_) => self.stats.lose(Loss::OpenRefused, 1),
            }
        }
        drained
    }
}

/// The times of the last few misses.
#[derive(Debug, Default)]
struct Misses {
    times: [u64; MISSES_MAX],
    next: usize,
}

impl Misses {
    /// Adds `count` misses at this time; whether there are now more than the most within the window.
    fn add(&mut self, now_ns: u64, count: u64) -> bool {
        let mut over = false;
        for _ in 0..count.min(MISSES_MAX as u64 + 1) {
            let Some(oldest) = self.times.get_mut(self.next) else { return true };
            over |= *oldest != 0 && now_ns.saturating_sub(*oldest) < WINDOW_NS;
            *oldest = now_ns.max(1);
            self.next = (self.next + 1) % MISSES_MAX;
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_in_a_minute_are_too_many() {
        let mut misses = Misses::default();
        let start = 1_000 * SECOND;
        assert!(!misses.add(start, 3));
        assert!(!misses.add(start + WINDOW_NS, 1));
        assert!(!misses.add(start + WINDOW_NS + 1, 2));
        assert!(misses.add(start + 2 * WINDOW_NS - 1, 1));
        assert!(Misses::default().add(start, 4) && Misses::default().add(start, 1_000_000));
        assert!((1..100).all({
            let mut misses = Misses::default();
            move |minute| !misses.add(minute * WINDOW_NS, 3)
        }));
    }
}
