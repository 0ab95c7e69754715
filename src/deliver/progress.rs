//! How far each destination has got, for all who ask.
//!
//! Owns: the counters of one destination and what last went wrong with it. Must not own: showing them (`daemon`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::deliver::settings::Destination;
use crate::stats::pulse::Pulse;

/// What one number of a destination counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tally {
    /// Records handed over for the first time since the start.
    Sent,
    /// Records handed over again, because they may have been lost on the way.
    Resent,
    /// Records that its filter keeps back.
    Filtered,
    /// Records that were gone from the spool before they could be sent.
    Skipped,
    /// Records that the receiver refused as too long even when shortened.
    Refused,
    /// Connections that were made after one had broken.
    Reconnects,
    /// Attempts and connections that failed.
    Failures,
}

impl Tally {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Sent,
        Self::Resent,
        Self::Filtered,
        Self::Skipped,
        Self::Refused,
        Self::Reconnects,
        Self::Failures,
    ];

    /// Its name in status and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Resent => "resent",
            Self::Filtered => "filtered",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
            Self::Reconnects => "reconnects",
            Self::Failures => "failures",
        }
    }
}

/// How a destination stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Switched off.
    #[default]
    Off,
    /// Everything that is in the spool was accepted.
    Idle,
    /// Records are on their way.
    Sending,
    /// It takes nothing, or does not answer.
    Stalled,
    /// It cannot be reached.
    Failing,
}

impl State {
    /// Its name in status.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Idle => "idle",
            Self::Sending => "sending",
            Self::Stalled => "stalled",
            Self::Failing => "failing",
        }
    }
}

/// What last went wrong, and since when it does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Situation {
    /// How it stands.
    pub state: State,
    /// One sentence; empty where nothing went wrong yet. Stays when it works again.
    pub error: String,
    /// When that was, in nanoseconds after 1970.
    pub error_ns: u64,
}

/// One destination as others see it.
#[derive(Debug)]
pub struct Progress {
    /// Its name.
    pub name: String,
    /// Its transport's name.
    pub transport: &'static str,
    /// Its address.
    pub address: String,
    /// The name of its messages' form.
    pub format: &'static str,
    tallies: [AtomicU64; Tally::ALL.len()],
    done: AtomicU64,
    on_the_way: AtomicU64,
    pulse: Pulse,
    situation: Mutex<Situation>,
}

impl Progress {
    /// Of a destination that has done nothing yet.
    pub fn new(destination: &Destination) -> Self {
        Self {
            name: destination.name.clone(),
            transport: destination.transport().name(),
            address: destination.address.clone(),
            format: destination.format().name(),
            tallies: Default::default(),
            done: AtomicU64::new(0),
            on_the_way: AtomicU64::new(0),
            pulse: Pulse::default(),
            situation: Mutex::default(),
        }
    }

    /// Counts `n`.
    pub fn add(&self, what: Tally, n: u64) {
        self.tallies[what as usize].fetch_add(n, Ordering::Relaxed);
    }

    /// What was counted.
    pub fn get(&self, what: Tally) -> u64 {
        self.tallies[what as usize].load(Ordering::Relaxed)
    }

    /// The number of the last record that is done with, and how many messages are on their way.
    pub fn reached(&self, sequence: u64, on_the_way: usize) {
        self.done.store(sequence, Ordering::Relaxed);
        self.on_the_way.store(on_the_way as u64, Ordering::Relaxed);
    }

    /// The number of the last record that is done with.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// How many messages are on their way.
    pub fn on_the_way(&self) -> u64 {
        self.on_the_way.load(Ordering::Relaxed)
    }

    /// Whether its thread goes on.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// How it stands now.
    pub fn set_state(&self, state: State) {
        self.situation.lock().unwrap_or_else(PoisonError::into_inner).state = state;
    }

    /// Something went wrong.
    pub fn set_error(&self, state: State, error: &str, now_ns: u64) {
        *self.situation.lock().unwrap_or_else(PoisonError::into_inner) =
            Situation { state, error: error.to_owned(), error_ns: now_ns };
    }

    /// How it stands, and what last went wrong.
    pub fn situation(&self) -> Situation {
        self.situation.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
