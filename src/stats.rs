//! Counters by outcome and by loss.
//!
//! Owns: one atomic counter for each [`Loss`] and each [`Count`], shared by all threads, and each thread's [`pulse`]. Must
//! not own: deciding what a loss is, showing them.

pub mod pulse;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::loss::Loss;
use crate::stats::pulse::Pulses;

/// What else is counted: the outcomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Exec events received.
    Execs,
    /// Fork events received (of followed processes).
    Forks,
    /// Exit events received (of followed processes).
    Exits,
    /// First looks that found nothing that could matter.
    LooksNothing,
    /// Looks that found a socket of a harmless family, and nothing else.
    LooksLocalSocket,
    /// Looks that found a pipe, a UNIX socket or a terminal that had led nowhere a moment before.
    LooksSettled,
    /// Processes with a pipe, a UNIX socket or a terminal, handed to the relay thread.
    Suspects,
    /// Searches for whoever holds the network socket at the other end.
    Searches,
    /// Ways to a network socket that were found.
    Ways,
    /// Lists of everybody's channels that searches needed.
    ChannelLists,
    /// Microseconds of processor time that making them took.
    ChannelListMicroseconds,
    /// Second looks, a short time after the first.
    SecondLooks,
    /// Looks handed to the engine.
    LooksHandedOn,
    /// Processes looked at by sweeps.
    Swept,
    /// Sweeps.
    Sweeps,
    /// One-way uses of a network socket that are remembered and not reported (row 8).
    OneWay,
    /// Commands excused by an allow rule.
    Allowed,
    /// Findings withdrawn, because it came out later that an allow rule excuses them.
    Withdrawn,
    /// Incidents opened.
    Incidents,
    /// Records written to the spool.
    Records,
    /// Times that the spool could not be written; the records wait.
    SpoolRefusals,
    /// Records handed to syslog.
    SyslogSent,
    /// Times that syslog could not be reached.
    SyslogFailures,
    /// Times the sensor gave up real-time priority for the rest of a window, to leave the CPU to others.
    RealtimeYields,
    /// Real-time priority was refused (0 or 1).
    RealtimeRefused,
    /// Canary processes started.
    Canaries,
    /// Programs that fanotify saw opened for execution.
    Opens,
    /// Looks taken before the exec was done, and confirmed by it.
    Held,
    /// Looks taken before an exec that then failed.
    HeldUnconfirmed,
    /// Programs that fanotify was told to ignore.
    ProgramsIgnored,
    /// Configuration reloads that took effect.
    Reloads,
    /// Configuration reloads that were refused.
    ReloadsRefused,
    /// Containers whose runtime's files were looked for: each once, for records and rules together, and again where
    /// something was missing.
    ContainerLookups,
    /// Containers that a runtime's socket was asked for.
    ContainerQuestions,
}

impl Count {
    /// All of them, in the order of the counters.
    pub const ALL: [Count; 34] = [
        Count::Execs,
        Count::Forks,
        Count::Exits,
        Count::LooksNothing,
        Count::LooksLocalSocket,
        Count::LooksSettled,
        Count::Suspects,
        Count::Searches,
        Count::Ways,
        Count::ChannelLists,
        Count::ChannelListMicroseconds,
        Count::SecondLooks,
        Count::LooksHandedOn,
        Count::Swept,
        Count::Sweeps,
        Count::OneWay,
        Count::Allowed,
        Count::Withdrawn,
        Count::Incidents,
        Count::Records,
        Count::SpoolRefusals,
        Count::SyslogSent,
        Count::SyslogFailures,
        Count::RealtimeYields,
        Count::RealtimeRefused,
        Count::Canaries,
        Count::Opens,
        Count::Held,
        Count::HeldUnconfirmed,
        Count::ProgramsIgnored,
        Count::Reloads,
        Count::ReloadsRefused,
        Count::ContainerLookups,
        Count::ContainerQuestions,
    ];

    /// Its name in status and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Execs => "execs",
            Self::Forks => "forks",
            Self::Exits => "exits",
            Self::LooksNothing => "looks_nothing",
            Self::LooksLocalSocket => "looks_local_socket",
            Self::LooksSettled => "looks_settled",
            Self::Suspects => "suspects",
            Self::Searches => "searches",
            Self::Ways => "ways",
            Self::ChannelLists => "channel_lists",
            Self::ChannelListMicroseconds => "channel_list_microseconds",
            Self::SecondLooks => "second_looks",
            Self::LooksHandedOn => "looks_handed_on",
            Self::Swept => "swept",
            Self::Sweeps => "sweeps",
            Self::OneWay => "one_way",
            Self::Allowed => "allowed",
            Self::Withdrawn => "withdrawn",
            Self::Incidents => "incidents",
            Self::Records => "records",
            Self::SpoolRefusals => "spool_refusals",
            Self::SyslogSent => "syslog_sent",
            Self::SyslogFailures => "syslog_failures",
            Self::RealtimeYields => "realtime_yields",
            Self::RealtimeRefused => "realtime_refused",
            Self::Canaries => "canaries",
            Self::Opens => "opens",
            Self::Held => "held",
            Self::HeldUnconfirmed => "held_unconfirmed",
            Self::ProgramsIgnored => "programs_ignored",
            Self::Reloads => "reloads",
            Self::ReloadsRefused => "reloads_refused",
            Self::ContainerLookups => "container_lookups",
            Self::ContainerQuestions => "container_questions",
        }
    }
}

/// All counters of the daemon. Counting is one relaxed atomic addition.
#[derive(Debug)]
pub struct Stats {
    counts: [AtomicU64; Count::ALL.len()],
    losses: [AtomicU64; Loss::ALL.len()],
    pulses: Pulses,
}

impl Default for Stats {
    fn default() -> Self {
        let zero = |_| AtomicU64::new(0);
        Self {
            counts: std::array::from_fn(zero),
            losses: std::array::from_fn(zero),
            pulses: Pulses::default(),
        }
    }
}

impl Stats {
    /// Who goes on.
    pub fn pulses(&self) -> &Pulses {
        &self.pulses
    }

    /// Counts one.
    pub fn count(&self, what: Count) {
        self.add(what, 1);
    }

    /// Counts `n`.
    pub fn add(&self, what: Count, n: u64) {
        self.counts[what as usize].fetch_add(n, Ordering::Relaxed);
    }

    /// Sets a counter that belongs to one owner, who knows its whole value.
    pub fn set(&self, what: Count, value: u64) {
        self.counts[what as usize].store(value, Ordering::Relaxed);
    }

    /// Counts `n` of a loss.
    pub fn lose(&self, loss: Loss, n: u64) {
        self.losses[loss.index()].fetch_add(n, Ordering::Relaxed);
    }

    /// A counter's value.
    pub fn get(&self, what: Count) -> u64 {
        self.counts[what as usize].load(Ordering::Relaxed)
    }

    /// A loss's value.
    pub fn lost(&self, loss: Loss) -> u64 {
        self.losses[loss.index()].load(Ordering::Relaxed)
    }
}
