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

/// The budget of one thread.
#[derive(Debug)]
pub struct Budget {
    realtime: bool,
    policy: Policy,
    account: Account,
}

impl Budget {
    /// Asks for real-time priority for the calling thread, if wanted. A refusal is counted, and the thread goes on.
    pub fn new(wanted: bool, stats: &Stats) -> Self {
        let budget = Self::second(wanted);
        stats.set(Count::RealtimeRefused, u64::from(wanted && !budget.realtime));
        budget
    }

    /// The same for a thread beside that one: what it may was found out by then.
    pub fn second(wanted: bool) -> Self {
        let realtime = wanted && set_policy(Policy::Fifo).is_ok();
        let policy = if realtime { Policy::Fifo } else { Policy::Other };
        Self { realtime, policy, account: Account::default() }
    }

    /// Whether real-time priority was granted.
    pub fn is_realtime(&self) -> bool {
        self.realtime
    }

    /// Work begins: after a wake-up, before the first event.
    pub fn begin(&mut self) {
        let wanted = self.account.begin(clock::now().mono_ns);
        self.take(wanted);
    }

    /// A batch is done.
    pub fn spend(&mut self, stats: &Stats) {
        if !self.realtime {
            return;
        }
        let wanted = self.account.spend(clock::now().mono_ns);
        if self.take(wanted) && self.policy == Policy::Other {
            stats.count(Count::RealtimeYields);
        }
    }

    /// Takes a priority; whether it is another than before.
    fn take(&mut self, wanted: Policy) -> bool {
        let change = self.realtime && self.policy != wanted && set_policy(wanted).is_ok();
        if change {
            self.policy = wanted;
        }
        change
    }
}

/// The arithmetic. Time is handed in.
#[derive(Debug, Default)]
struct Account {
    window_ends_ns: u64,
    spent_ns: u64,
    work_began_ns: u64,
}

impl Account {
    /// Work begins; the first of it after the end of a window opens the next.
    fn begin(&mut self, now: u64) -> Policy {
        self.work_began_ns = now;
        if now >= self.window_ends_ns {
            self.window_ends_ns = now.saturating_add(WINDOW_NS);
            self.spent_ns = 0;
        }
        self.policy()
    }

    /// Work has gone on from the last call until now, and goes on.
    fn spend(&mut self, now: u64) -> Policy {
        self.spent_ns = self.spent_ns.saturating_add(now.saturating_sub(self.work_began_ns));
        self.begin(now)
    }

    fn policy(&self) -> Policy {
        if self.spent_ns > SPENT_MAX_NS { Policy::Other } else { Policy::Fifo }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn a_thread_that_never_rests_has_seventy_percent() {
        let (mut account, mut now, mut realtime) = (Account::default(), 5 * MS, 0);
        let mut policy = account.begin(now);
        let batch = MS / 10;
        for _ in 0..100_000 {
            now += batch;
            realtime += if policy == Policy::Fifo { batch } else { 0 };
            policy = account.spend(now);
        }
        // Ten seconds: 500 windows, each with 14 ms and the batch that crosses the line.
        assert_eq!(realtime, 500 * (SPENT_MAX_NS + batch));
    }

    #[test]
    fn a_window_is_left_at_its_end() {
        let mut account = Account::default();
        assert_eq!(account.begin(MS), Policy::Fifo);
        assert_eq!(account.spend(15 * MS), Policy::Fifo, "all of it, and not more");
        assert_eq!(account.spend(15 * MS + 1), Policy::Other);
        assert_eq!(account.begin(20 * MS), Policy::Other, "a rest does not give back what is spent");
        assert_eq!(account.begin(21 * MS - 1), Policy::Other);
        assert_eq!(account.begin(21 * MS), Policy::Fifo, "20 ms after the first work");
        assert_eq!(account.spend(34 * MS), Policy::Fifo, "nothing is carried over");
    }

    #[test]
    fn waiting_costs_nothing() {
        let (mut account, mut now) = (Account::default(), 0);
        for _ in 0..1_000 {
            account.begin(now);
            assert_eq!(account.spend(now + MS), Policy::Fifo);
            now += 2 * MS;
        }
    }

    #[test]
    fn a_clock_that_stands_or_falls_takes_nothing_away() {
        let mut account = Account::default();
        account.begin(100 * MS);
        assert_eq!(account.spend(100 * MS), Policy::Fifo);
        assert_eq!(account.spend(40 * MS), Policy::Fifo);
        assert_eq!(account.begin(u64::MAX), Policy::Fifo);
        assert_eq!(account.spend(u64::MAX), Policy::Fifo);
    }

    proptest! {
        /// However work and rest alternate: in no window is more spent at real-time priority than the share and the
        /// one batch that crosses the line; so in no time of any length more than that in each window it touches.
        #[test]
        fn no_window_has_more_than_its_share(turns in proptest::collection::vec((0u64..3 * MS, 0u64..30 * MS, 1u8..6), 1..60)) {
            let (mut account, mut now) = (Account::default(), 0);
            let (mut window, mut realtime, mut longest) = (0, 0, 0);
            for (batch, rest, batches) in turns {
                let mut policy = account.begin(now);
                for _ in 0..batches {
                    if account.window_ends_ns != window {
                        (window, realtime, longest) = (account.window_ends_ns, 0, 0);
                    }
                    now += batch;
                    longest = longest.max(batch);
                    realtime += if policy == Policy::Fifo { batch } else { 0 };
                    prop_assert!(realtime <= SPENT_MAX_NS + longest, "{realtime} ns at real-time priority");
                    policy = account.spend(now);
                }
                now += rest;
            }
        }
    }
}
