//! Looking after the sensor.
//!
//! Owns: the canary, replacing a sensor that hangs, reporting new losses at a limited rate. Must not own: the sensor's
//! work.

use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;

use crate::daemon::status::Board;
use crate::host::link::bracketed;
use crate::host::stat::Stat;
use crate::model::clock::SECOND;
use crate::model::ids::Inode;
use crate::model::loss::Loss;
use crate::sensor::canary;
use crate::sensor::error::SensorError;
use crate::sensor::proc_events::spawn;
use crate::sensor::settings::SensorSettings;
use crate::sensor::shared::Shared;
use crate::sensor::sweep::SweepRequest;
use crate::sensor::wires::Wires;
use crate::stats::{Count, Stats};
use crate::sys::clock;

/// A sensor that has been at one event for this long hangs.
const STALLED_NS: u64 = SECOND;
/// Canaries unheard in a row before the daemon gives up and lets the service manager start it anew.
const UNHEARD_MAX: u32 = 3;
/// Sensors replaced before the daemon gives up: each leaves a thread behind.
const REPLACED_MAX: u32 = 4;
/// Seconds between two records about losses.
const REPORT_SECONDS: u64 = 30;

/// The main thread's view of the sensor.
#[derive(Debug)]
pub struct Lookout {
    settings: SensorSettings,
    stats: Arc<Stats>,
    wires: Wires,
    slot: Arc<RwLock<Arc<Shared>>>,
    thread: Option<JoinHandle<()>>,
    /// What the sensor was at, and since when it has been seen at it.
    at_one: (u64, u64),
    next_canary_ns: u64,
    unheard: u32,
    replaced: u32,
    reported: [u64; Loss::ALL.len()],
    next_report_ns: u64,
}

impl Lookout {
    /// Starts the sensor and hears its first canary.
    pub fn new(settings: SensorSettings, stats: Arc<Stats>, wires: Wires) -> Result<Self, SensorError> {
        let (shared, thread) = spawn(settings.clone(), stats.clone(), wires.clone())?;
        stats.count(Count::Canaries);
        if canary::sing(&shared).is_none() {
            shared.ask_to_stop();
            let _ = thread.join();
            return Err(SensorError::Deaf);
        }
        if settings.realtime && !shared.realtime.load(Ordering::Relaxed) {
            log::warn!(
                "sensor: no real-time priority (CAP_SYS_NICE); very short processes may be missed under load"
            );
        }
        Ok(Self {
            next_canary_ns: clock::now().mono_ns + settings.canary_seconds * SECOND,
            settings,
            stats,
            wires,
            slot: Arc::new(RwLock::new(shared)),
            thread: Some(thread),
            at_one: (0, 0),
            unheard: 0,
            replaced: 0,
            reported: [0; Loss::ALL.len()],
            next_report_ns: 0,
        })
    }

    /// The sensor that works now.
    pub fn shared(&self) -> Arc<Shared> {
        self.slot.read().map_or_else(|poisoned| poisoned.into_inner().clone(), |shared| shared.clone())
    }

    /// Where the sensor that works now is found.
    pub fn shared_slot(&self) -> Arc<RwLock<Arc<Shared>>> {
        self.slot.clone()
    }

    /// Once a second.
    pub fn tick(&mut self, board: &Board) -> Result<(), SensorError> {
        let now = clock::now().mono_ns;
        if self.hangs(now) {
            self.replace(board)?;
        }
        if now < self.next_canary_ns {
            return Ok(());
        }
        self.next_canary_ns = now + self.settings.canary_seconds * SECOND;
        self.stats.count(Count::Canaries);
        let shared = self.shared();
        if canary::sing(&shared).is_some() {
            self.unheard = 0;
            board.set_canary(clock::now());
            return Ok(());
        }
        // The order to open the socket anew has not even been taken.
        if shared.reopen.load(Ordering::Relaxed) {
            self.next_canary_ns = now;
            return self.replace(board);
        }
        self.unheard += 1;
        log::error!("sensor: no event for a process of our own; the proc connector is opened anew");
        if self.unheard >= UNHEARD_MAX {
            return Err(SensorError::Deaf);
        }
        self.next_canary_ns = now;
        shared.reopen.store(true, Ordering::Relaxed);
        shared.waker.wake();
        Ok(())
    }

    /// Whether the sensor is at the very same thing as at an earlier tick, more than a second ago. What it is at may be
    /// of long ago by itself, when the sensor is behind.
    fn hangs(&mut self, now: u64) -> bool {
        let shared = self.shared();
        // Of the two threads the one that has been at its thing for longer: each is 0 while it waits for something to do.
        let both =
            [(&shared.busy_since_ns, &shared.thread), (&shared.reading_since_ns, &shared.reading_thread)];
        let both =
            both.map(|(since, thread)| (since.load(Ordering::Relaxed), thread.load(Ordering::Relaxed)));
        let longest = both.into_iter().filter(|(at, _)| *at != 0).min_by_key(|(at, _)| *at);
        let (at, thread) = longest.unwrap_or((0, 0));
        if at == 0 || at != self.at_one.0 {
            self.at_one = (at, now);
        }
        at != 0 && now.saturating_sub(self.at_one.1) > STALLED_NS && !only_waits_its_turn(thread)
    }

    /// A thread that waits in the kernel cannot be ended: another takes its place.
    fn replace(&mut self, board: &Board) -> Result<(), SensorError> {
        self.replaced += 1;
        if self.replaced > REPLACED_MAX {
            return Err(SensorError::Deaf);
        }
        log::error!("sensor: its thread hangs; another takes over");
        let old = self.shared();
        old.ask_to_stop();
        let (shared, thread) = spawn(self.settings.clone(), self.stats.clone(), self.wires.clone())?;
        board.set_sensor(shared.clone());
        if let Ok(mut slot) = self.slot.write() {
            *slot = shared;
        }
        self.thread = Some(thread);
        self.stats.lose(Loss::SensorStalled, 1);
        let _ = self.wires.sweeps.try_send(SweepRequest { everything: true });
        Ok(())
    }

    /// What was lost since the last report; empty until the next one is due.
    pub fn new_losses(&mut self) -> Vec<(Loss, u64)> {
        let now = clock::now().mono_ns;
        if now < self.next_report_ns {
            return Vec::new();
        }
        let mut new = Vec::new();
        for (loss, reported) in Loss::ALL.into_iter().zip(&mut self.reported) {
            let total = self.stats.lost(loss);
            if total > *reported {
                new.push((loss, total - *reported));
                *reported = total;
            }
        }
        if !new.is_empty() {
            self.next_report_ns = now + REPORT_SECONDS * SECOND;
            for (loss, count) in &new {
                log::warn!("lost: {} {}: {}", count, loss.name(), loss.meaning());
            }
        }
        new
    }

    /// Ends the sensor; IGNORE goes to the kernel.
    pub fn stop(mut self) {
        self.shared().finish.store(true, Ordering::Relaxed);
        self.shared().ask_to_stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Whether a thread of ours could go on, and has not been let by the scheduler: a fork bomb beside it can take seconds of
/// its time. Another in its place would get no more.
fn only_waits_its_turn(thread: u32) -> bool {
    let stat = std::fs::read(format!("/proc/self/task/{thread}/stat")).unwrap_or_default();
    Stat::parse(&stat).is_some_and(|stat| stat.state == b'R')
}

/// The mount namespace of pid 1, which is the host's.
pub fn host_mount_namespace() -> Option<Inode> {
    let link =
        ["/proc/1/ns/mnt", "/proc/self/ns/mnt"].iter().find_map(|path| std::fs::read_link(path).ok())?;
    bracketed(link.as_os_str().as_encoded_bytes(), b"mnt:[")
}
