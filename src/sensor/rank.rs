//! How the thread that answers openers is scheduled.
//!
//! Owns: when it is a real-time thread. Must not own: the ticks (`deadline` has them).
//!
//! An opener goes to sleep and the thread that answers wakes. An ordinary thread at the highest priority is woken where the
//! opener sleeps, on a processor that is awake and free; a real-time thread where it ran before, which often means another
//! processor that has to be woken first. Where somebody waits unanswered when a tick looks, processors are short, and then
//! real time is what keeps the waits short.

use std::sync::atomic::{AtomicI32, Ordering};

use crate::model::clock::SECOND;
use crate::sys::sched::{Policy, set_policy_of};

/// How long a thread stays a real-time thread after somebody was found waiting.
const URGENT_NS: u64 = SECOND;
/// The highest priority of an ordinary thread (setpriority(2)).
const NICE: i32 = -20;
/// The real-time priority: above those that read, below the deadline's.
pub const PRIORITY: u8 = 3;

/// The thread that answers, when it has told which it is.
#[derive(Debug, Default)]
pub struct Answering(AtomicI32);

impl Answering {
    /// Called by the thread itself, which is a real-time thread by now: it may be made an ordinary one at times. Where the
    /// kernel refuses it the priority it stays what it is.
    pub fn begin(&self) {
        if rustix::process::setpriority_process(None, NICE).is_ok() {
            self.0.store(rustix::thread::gettid().as_raw_nonzero().get(), Ordering::Release);
        }
    }
}

/// What the thread is now.
#[derive(Debug, Default)]
pub struct Rank {
    urgent_until_ns: u64,
    ordinary: bool,
}

impl Rank {
    /// One tick: `waits`: somebody waits unanswered at this very moment.
    pub fn tick(&mut self, answering: &Answering, now_ns: u64, waits: bool) {
        let thread = answering.0.load(Ordering::Acquire);
        if thread == 0 {
            return;
        }
        if let Some(policy) = self.change(now_ns, waits)
            && set_policy_of(thread, policy).is_err()
        {
            // Never again: what it is then it stays.
            answering.0.store(0, Ordering::Release);
        }
    }

    /// What the thread is to become, if anything.
    fn change(&mut self, now_ns: u64, waits: bool) -> Option<Policy> {
        if waits {
            self.urgent_until_ns = now_ns.saturating_add(URGENT_NS);
        }
        let ordinary = now_ns >= self.urgent_until_ns;
        if ordinary == self.ordinary {
            return None;
        }
        self.ordinary = ordinary;
        Some(if ordinary { Policy::Other } else { Policy::FifoAt(PRIORITY) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn real_time_while_somebody_waits_and_a_second_longer() {
        let mut rank = Rank::default();
        assert_eq!(rank.change(1, false), Some(Policy::Other), "a calm machine");
        assert_eq!(rank.change(2, false), None);
        assert_eq!(rank.change(10, true), Some(Policy::FifoAt(PRIORITY)));
        assert_eq!(rank.change(SECOND / 2, true), None);
        assert_eq!(rank.change(SECOND + 10, false), None, "the last who waited was later");
        assert_eq!(rank.change(2 * SECOND, false), Some(Policy::Other));
    }
}
