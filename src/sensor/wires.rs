//! What goes in and out of the sensor's thread.
//!
//! Owns: its channels, and what a loss on the way sets off. Must not own: the thread (`proc_events`).

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender};

use crate::model::event::Event;
use crate::model::ids::Pid;
use crate::model::loss::Loss;
use crate::sensor::held::HeldLooks;
use crate::sensor::suspect::{Interest, Suspect};
use crate::sensor::sweep::SweepRequest;
use crate::stats::Stats;
use crate::sys::clock;

/// What the engine asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowOrder {
    /// Hear this process's forks and exit.
    Follow(Pid),
    /// It does not matter after all, as it was then, in nanoseconds of the monotonic clock.
    Forget(Pid, u64),
}

/// The channels of a sensor thread.
#[derive(Clone)]
pub struct Wires {
    /// Events, to the engine.
    pub events: Sender<Event>,
    /// Orders, from the engine.
    pub orders: Receiver<FollowOrder>,
    /// Requests, to the sweep.
    pub sweeps: Sender<SweepRequest>,
    /// Processes that somebody else may tie to the network, to the relay thread.
    pub suspects: Sender<Suspect>,
    /// Which of them.
    pub interest: Interest,
    /// Processes to look at again, with the time of their exec, to the relay thread.
    pub recent: Sender<(Pid, u64)>,
    /// Looks taken before execs were done.
    pub held: Arc<HeldLooks>,
}

impl std::fmt::Debug for Wires {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wires").finish_non_exhaustive()
    }
}

impl Wires {
    /// Counts a loss, tells the engine of it, and asks for a sweep.
    pub fn lose(&self, stats: &Stats, loss: Loss, count: u64) {
        stats.lose(loss, count);
        let _ = self.events.try_send(Event::Lost { loss, count, at: clock::now() });
        let _ = self.sweeps.try_send(SweepRequest { everything: true });
    }
}
