//! Processes whose stdin or stdout somebody else holds the other end of.
//!
//! Owns: what the sensor hands on of them, which of them are worth it, and the memory of channels that were found to lead
//! nowhere, which is asked before anything is handed on. Must not own: finding out where they lead.

use std::hash::{BuildHasher, RandomState};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::host::glance::{Glance, Sight};
use crate::model::clock::Moment;
use crate::model::ids::Pid;
use crate::model::lineage::Lineage;
use crate::model::look::{Look, Observation};

/// How many answers are remembered.
const SLOTS: usize = 4096;
/// The part of a slot that is the time; the rest is the question.
const TIME_BITS: u64 = (1 << 24) - 1;
/// Nanoseconds in one step of that time: 67 ms. It comes round after 13 days.
const STEP_SHIFT: u32 = 26;
/// Steps that an answer holds for: about two seconds.
const HOLDS: u64 = 30;

/// A process that executed something with a pipe, a UNIX socket or a pseudo-terminal on fds 0-2, and no network socket.
#[derive(Debug)]
pub struct Suspect {
    /// Who.
    pub pid: Pid,
    /// Bound to that life of it.
    pub process: OwnedFd,
    /// Its fds 0-2.
    pub sights: [Sight; 3],
    /// When they were read.
    pub at: Moment,
    /// How.
    pub seen: Observation,
    /// Who it is, where that was read in time.
    pub who: Option<Box<Look>>,
    /// Those above it, read with that.
    pub lineage: Lineage,
    /// It does not matter, but many come on these descriptors: it pays to find out where they lead.
    pub probe: bool,
}

impl Suspect {
    /// One of which nothing else is known.
    pub fn new(pid: Pid, glance: Glance, at: Moment, seen: Observation) -> Self {
        let Glance { process, sights } = glance;
        Self { pid, process, sights, at, seen, who: None, lineage: Lineage::default(), probe: false }
    }

    /// Whether both its input and its output are with somebody else. What leads nowhere then may lead somewhere a
    /// moment later, for a program that waits for commands.
    pub fn both(sights: &[Sight; 3]) -> bool {
        let [stdin, stdout, stderr] = sights;
        stdin.channel().is_some() && (stdout.channel().is_some() || stderr.channel().is_some())
    }
}

/// A question about a program's name.
pub type Named = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// Which suspects are worth looking into.
#[derive(Clone)]
pub struct Interest {
    /// What was found to lead nowhere.
    pub settled: Arc<Settled>,
    /// Whether what calls itself so right after its exec can matter by its output alone.
    pub matters: Named,
    /// Whether it may wait for commands, so that where its descriptors lead can change.
    pub waits: Named,
}

impl std::fmt::Debug for Interest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interest").finish_non_exhaustive()
    }
}

impl Interest {
    /// In nobody.
    pub fn none() -> Self {
        Self { settled: Arc::default(), matters: Arc::new(|_| false), waits: Arc::new(|_| false) }
    }

    /// Whether one with these descriptors is to be looked into. `is` asks a question about its name, where that decides.
    pub fn wants(&self, sights: &[Sight; 3], now_ns: u64, is: impl FnOnce(&Named) -> bool) -> bool {
        let settled = self.settled.has(sights, now_ns);
        if Suspect::both(sights) { !settled || is(&self.waits) } else { !settled && is(&self.matters) }
    }
}

/// What was found to lead nowhere a short while ago. One word a slot, so that no reader sees half of an answer; the
/// hash is seeded, so that nobody can make two questions share one.
#[derive(Debug)]
pub struct Settled {
    seed: RandomState,
    slots: Vec<AtomicU64>,
    /// How often descriptors came that nothing was asked about.
    unasked: Vec<AtomicU8>,
}

impl Default for Settled {
    fn default() -> Self {
        Self {
            seed: RandomState::new(),
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            unasked: (0..SLOTS).map(|_| AtomicU8::new(0)).collect(),
        }
    }
}

impl Settled {
    /// Whether these descriptors led nowhere a short while ago.
    pub fn has(&self, sights: &[Sight; 3], now_ns: u64) -> bool {
        let (place, word) = self.question(sights);
        let Some(slot) = self.slots.get(place) else { return false };
        let found = slot.load(Ordering::Relaxed);
        let age = step(now_ns).wrapping_sub(found) & TIME_BITS;
        found & !TIME_BITS == word && found != 0 && age < HOLDS
    }

    /// They lead nowhere.
    pub fn settle(&self, sights: &[Sight; 3], now_ns: u64) {
        let (place, word) = self.question(sights);
        if let Some(slot) = self.slots.get(place) {
            slot.store(word | step(now_ns), Ordering::Relaxed);
        }
    }

    /// Counts a process that does not matter whatever its descriptors are. True with every eighth: many come on these
    /// descriptors, and it pays to find out where they lead.
    pub fn is_busy(&self, sights: &[Sight; 3]) -> bool {
        let (place, _) = self.question(sights);
        self.unasked.get(place).is_some_and(|count| count.fetch_add(1, Ordering::Relaxed) % 8 == 7)
    }

    fn question(&self, sights: &[Sight; 3]) -> (usize, u64) {
        let hash = self.seed.hash_one(sights.each_ref().map(Sight::channel));
        (hash as usize % SLOTS, (hash & !TIME_BITS).max(TIME_BITS + 1))
    }
}

fn step(now_ns: u64) -> u64 {
    (now_ns >> STEP_SHIFT) & TIME_BITS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::Inode;

    #[test]
    fn input_and_output() {
        let (pipe, none) = (Sight::Pipe(9, Inode(1)), Sight::Device);
        assert!(Suspect::both(&[pipe.clone(), none.clone(), pipe.clone()]));
        assert!(!Suspect::both(&[none.clone(), pipe.clone(), pipe.clone()]));
        assert!(!Suspect::both(&[pipe, none.clone(), none]));
    }

    #[test]
    fn an_answer_holds_for_a_while() {
        let settled = Settled::default();
        let sights = |inode| [Sight::Pipe(9, Inode(inode)), Sight::Device, Sight::Closed];
        let now = 77_000_000_000;
        assert!(!settled.has(&sights(1), now));
        settled.settle(&sights(1), now);
        assert!(settled.has(&sights(1), now + 500_000_000));
        assert!(!settled.has(&sights(2), now));
        assert!(!settled.has(&sights(1), now + 3_000_000_000));
    }
}
