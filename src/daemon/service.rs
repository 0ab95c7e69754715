//! What the service manager is told, and the watchdog.
//!
//! Owns: when it hears that the daemon is ready, reads its configuration again, ends; and that it lives, which is said only as
//! long as no thread with something to do stands still. Must not own: the socket (`sys::notify`), the threads' numbers
//! (`stats::pulse`). A thread that hangs in the kernel cannot be ended from within: the manager ends the process, and starts it
//! anew.

use std::sync::Arc;
use std::time::Duration;

use crate::deliver::progress::Progress;
use crate::model::text::escape;
use crate::stats::pulse::{Pulses, Watch};
use crate::sys::notify::Notify;

/// The main thread's way to the manager.
#[derive(Debug)]
pub struct Service {
    notify: Notify,
    watch: Watch,
    next_ns: u64,
    /// The thread that stands still.
    stands: Option<String>,
}

impl Service {
    /// As the environment says.
    pub fn from_environment() -> Self {
        Self { notify: Notify::from_environment(), watch: Watch::default(), next_ns: 0, stands: None }
    }

    /// The daemon listens.
    pub fn ready(&self) {
        self.notify.tell("READY=1\nSTATUS=listening");
    }

    /// The configuration is about to be read again. `now_ns`: the monotonic clock.
    pub fn reloading(&self, now_ns: u64) {
        self.notify.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", now_ns / 1000));
    }

    /// It was; or why everything stays as it was.
    pub fn reloaded(&self, refused: Option<&str>) {
        match refused {
            None => self.notify.tell("READY=1\nSTATUS=listening"),
            Some(why) => {
                let why = escape(why.lines().next().unwrap_or_default().as_bytes());
                self.notify.tell(&format!("READY=1\nSTATUS=listening; the last reload was refused: {why}"));
            }
        }
    }

    /// The daemon ends.
    pub fn stopping(&self) {
        self.notify.tell("STOPPING=1\nSTATUS=storing what is under way");
    }

    /// Once a second: says that the daemon lives, if it does. A thread may be at one thing for half of the time that the manager
    /// waits: then nothing is said until it goes on, and the manager's time runs.
    /// Each destination of `deliveries` has a thread.
    pub fn tick(&mut self, pulses: &Pulses, deliveries: &[Arc<Progress>], now_ns: u64) {
        let Some(every) = self.notify.watchdog() else { return };
        let destinations = deliveries.iter().map(|progress| (progress.name.as_str(), progress.pulse()));
        match self.watch.longest(pulses.all().chain(destinations), now_ns) {
            Some((thread, stood)) if stood > nanoseconds(every / 2) => {
                if self.stands.as_deref() != Some(thread) {
                    self.stands = Some(thread.to_owned());
                    log::error!(
                        "watchdog: the thread {thread} has been at one thing for {} s; if it does not go on, tetherd is ended and \
                         started anew",
                        stood / 1_000_000_000
                    );
                }
            }
            _ => {
                if let Some(thread) = self.stands.take() {
                    log::info!("watchdog: the thread {thread} goes on");
                }
                if now_ns >= self.next_ns {
                    self.next_ns = now_ns.saturating_add(nanoseconds(every / 4));
                    self.notify.tell("WATCHDOG=1");
                }
            }
        }
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
