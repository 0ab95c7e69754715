//! How much of a processor the real-time thread may take.
//!
//! Owns: the share, and giving up real-time priority for the rest of a window when it is used up. Must not own: the
//! work itself. The thread goes on meanwhile as any other thread does, so nothing is lost that the machine has time
//! for, and nothing else starves.

use crate::stats::{Count, Stats};
use crate::sys::clock;
use crate::sys::sched::{Policy, set_policy};

/// Length of a window, in nanoseconds.
const WINDOW_NS: u64 = 20_000_000;
/// How much of a window may be spent at real-time priority.
const SPENT_MAX_NS: u64 = 14_000_000;

/// The account of one thread.
#[derive(Debug)]
pub struct Budget {
    realtime: bool,
    policy: Policy,
    window_ends_ns: u64,
    spent_ns: u64,
    work_began_ns: u64,
}

impl Budget {
    /// Asks for real-time priority for the calling thread, if wanted. A refusal is counted, and the thread goes on.
    pub fn new(wanted: bool, stats: &Stats) -> Self {
        let realtime = wanted && set_policy(Policy::Fifo).is_ok();
        stats.set(Count::RealtimeRefused, u64::from(wanted && !realtime));
        let policy = if realtime { Policy::Fifo } else { Policy::Other };
        Self { realtime, policy, window_ends_ns: 0, spent_ns: 0, work_began_ns: 0 }
    }

    /// Whether real-time priority was granted.
    pub fn is_realtime(&self) -> bool {
        self.realtime
    }

    /// Work begins: after a wake-up, before the first event.
    pub fn begin(&mut self) {
        let now = clock::now().mono_ns;
        self.work_began_ns = now;
        if now >= self.window_ends_ns {
            self.window_ends_ns = now.saturating_add(WINDOW_NS);
            self.spent_ns = 0;
            if self.realtime && self.policy == Policy::Other && set_policy(Policy::Fifo).is_ok() {
                self.policy = Policy::Fifo;
            }
        }
    }

    /// A batch is done.
    pub fn spend(&mut self, stats: &Stats) {
        if !self.realtime {
            return;
        }
        let now = clock::now().mono_ns;
        self.spent_ns = self.spent_ns.saturating_add(now.saturating_sub(self.work_began_ns));
        self.work_began_ns = now;
        if self.policy == Policy::Fifo && self.spent_ns > SPENT_MAX_NS && set_policy(Policy::Other).is_ok() {
            self.policy = Policy::Other;
            stats.count(Count::RealtimeYields);
        }
        if now >= self.window_ends_ns {
            self.begin();
        }
    }
}
