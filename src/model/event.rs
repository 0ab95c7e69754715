//! What the sensors tell the engine.
//!
//! Owns: the event. Must not own: where it came from, what follows from it.

use super::clock::Moment;
use super::ids::{Pid, StartTime};
use super::look::Look;
use super::loss::Loss;

/// One thing that happened, with its time.
#[derive(Clone, Debug)]
pub enum Event {
    /// A process was looked at: it executed something, or a sweep found it.
    Look(Box<Look>),
    /// A followed process forked. Every child of a followed process is followed.
    Forked {
        /// The process that forked.
        parent: Pid,
        /// Its new child.
        child: Pid,
        /// When the child started, if it lived long enough to be asked.
        start: StartTime,
        /// When.
        at: Moment,
    },
    /// A followed process executed something and was gone before it could be looked at.
    Vanished {
        /// Who.
        pid: Pid,
        /// When.
        at: Moment,
    },
    /// A followed process ended.
    Exited {
        /// Who.
        pid: Pid,
        /// When.
        at: Moment,
    },
    /// A sweep has been through /proc. What it did not find alive had ended before.
    Swept {
        /// When it began: processes that started later were not its business.
        began: Moment,
        /// When it ended.
        at: Moment,
        /// Whether it got through.
        complete: bool,
    },
    /// Something may have been missed.
    Lost {
        /// Why.
        loss: Loss,
        /// How many.
        count: u64,
        /// When it was noticed.
        at: Moment,
    },
    /// Time has passed.
    Tick {
        /// The time.
        at: Moment,
    },
}

impl Event {
    /// When it happened or was noticed.
    pub fn at(&self) -> Moment {
        match self {
            Self::Look(look) => look.at,
            Self::Forked { at, .. }
            | Self::Vanished { at, .. }
            | Self::Exited { at, .. }
            | Self::Swept { at, .. }
            | Self::Lost { at, .. }
            | Self::Tick { at } => *at,
        }
    }
}
