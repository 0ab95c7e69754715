//! Who goes on.
//!
//! Owns: one number for each thread that others rely on, which changes as long as the thread goes on and says whether it
//! has something to do; and telling from two looks at them who stands still. Must not own: what follows from that (`daemon`).

use std::sync::atomic::{AtomicU64, Ordering};

/// A thread that others rely on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// First looks.
    Sensor,
    /// The rest of what was seen.
    Reader,
    /// Goes through `/proc`.
    Sweep,
    /// Searches for the other end.
    Relay,
    /// Decides.
    Engine,
    /// Enriches and stores.
    Record,
    /// Delivers to the destination `syslog`.
    Syslog,
}

impl Stage {
    /// All of them.
    pub const ALL: [Stage; 7] = [
        Stage::Sensor,
        Stage::Reader,
        Stage::Sweep,
        Stage::Relay,
        Stage::Engine,
        Stage::Record,
        Stage::Syslog,
    ];

    /// The thread's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sensor => "sensor",
            Self::Reader => "reader",
            Self::Sweep => "sweep",
            Self::Relay => "relay",
            Self::Engine => "engine",
            Self::Record => "record",
            Self::Syslog => "syslog",
        }
    }
}

/// The lowest bit of a number: the thread has something to do.
const AT_WORK: u64 = 1;
/// What a step adds.
const STEP: u64 = 2;

/// The numbers. Each is written by its own thread alone, so that a step is a load and a store.
#[derive(Debug, Default)]
pub struct Pulses([AtomicU64; Stage::ALL.len()]);

impl Pulses {
    /// The thread has something to do, or has done one thing of it.
    pub fn works(&self, stage: Stage) {
        let number = self.0[stage as usize].load(Ordering::Relaxed);
        self.0[stage as usize].store((number | AT_WORK).wrapping_add(STEP), Ordering::Relaxed);
    }

    /// It waits for something to do.
    pub fn rests(&self, stage: Stage) {
        let number = self.0[stage as usize].load(Ordering::Relaxed);
        self.0[stage as usize].store(number & !AT_WORK, Ordering::Relaxed);
    }
}

/// What was seen of the numbers.
#[derive(Debug, Default)]
pub struct Watch([(u64, u64); Stage::ALL.len()]);

impl Watch {
    /// The thread that has been at one thing for the longest, and for how long in nanoseconds; `None` where each has gone on
    /// since the last look, or has nothing to do. `now_ns`: the monotonic clock.
    pub fn longest(&mut self, pulses: &Pulses, now_ns: u64) -> Option<(Stage, u64)> {
        let mut longest = None;
        for ((stage, seen), pulse) in Stage::ALL.into_iter().zip(&mut self.0).zip(&pulses.0) {
            let number = pulse.load(Ordering::Relaxed);
            if number != seen.0 || number & AT_WORK == 0 {
                *seen = (number, now_ns);
                continue;
            }
            let stood = now_ns.saturating_sub(seen.1);
            if longest.is_none_or(|(_, most)| stood > most) {
                longest = Some((stage, stood));
            }
        }
        longest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_has_something_to_do_stands_still() {
        let (pulses, mut watch) = (Pulses::default(), Watch::default());
        assert_eq!(watch.longest(&pulses, 1), None, "nobody has begun");
        pulses.works(Stage::Engine);
        assert_eq!(watch.longest(&pulses, 10), None, "it has just gone on");
        assert_eq!(watch.longest(&pulses, 15), Some((Stage::Engine, 5)));
        pulses.works(Stage::Engine);
        assert_eq!(watch.longest(&pulses, 20), None);
        pulses.rests(Stage::Engine);
        assert_eq!(watch.longest(&pulses, 30), None);
        assert_eq!(watch.longest(&pulses, 99), None, "who waits does not stand still");
    }

    #[test]
    fn the_longest_of_several() {
        let (pulses, mut watch) = (Pulses::default(), Watch::default());
        pulses.works(Stage::Record);
        assert_eq!(watch.longest(&pulses, 10), None);
        pulses.works(Stage::Sweep);
        watch.longest(&pulses, 20);
        assert_eq!(watch.longest(&pulses, 25), Some((Stage::Record, 15)));
        pulses.works(Stage::Record);
        watch.longest(&pulses, 30);
        assert_eq!(watch.longest(&pulses, 31), Some((Stage::Sweep, 11)));
        assert_eq!(watch.longest(&pulses, 5), Some((Stage::Sweep, 0)), "a clock that falls");
    }

    /// Work that begins and ends between two looks is a step as well.
    #[test]
    fn a_step_and_a_rest_are_seen() {
        let (pulses, mut watch) = (Pulses::default(), Watch::default());
        pulses.works(Stage::Relay);
        watch.longest(&pulses, 10);
        pulses.rests(Stage::Relay);
        pulses.works(Stage::Relay);
        assert_eq!(watch.longest(&pulses, 20), None);
    }
}
