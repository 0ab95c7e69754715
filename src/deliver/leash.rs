//! What holds a destination's thread.
//!
//! Owns: asking whether it is time to stop, and showing by that that the thread goes on. Must not own: what a thread does.
//!
//! Everything that waits for a receiver waits in slices, and asks in between. So a thread that waits for another machine, for as
//! long as its deadlines say, is seen to go on; one that hangs in a call is not.

use crossbeam_channel::{Receiver, TryRecvError};

use crate::stats::pulse::Pulse;

/// The signal to stop, and the number that says that the thread goes on.
#[derive(Clone, Copy, Debug)]
pub struct Leash<'a> {
    stop: &'a Receiver<()>,
    pulse: &'a Pulse,
}

impl<'a> Leash<'a> {
    /// It is time to stop when the sender of `stop` is gone.
    pub fn new(stop: &'a Receiver<()>, pulse: &'a Pulse) -> Self {
        Self { stop, pulse }
    }

    /// Whether it is time to stop. Asking is a sign of life.
    pub fn is_over(self) -> bool {
        self.pulse.works();
        self.stop.try_recv() == Err(TryRecvError::Disconnected)
    }

    /// The thread waits for something to do.
    pub fn rests(self) {
        self.pulse.rests();
    }

    /// What tells at once that it is time to stop.
    pub fn stop(self) -> &'a Receiver<()> {
        self.stop
    }
}
