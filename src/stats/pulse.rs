//! Who goes on.
//!
//! Owns: the number of a thread that others rely on, which changes as long as the thread goes on and says whether it
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
}

impl Stage {
    /// All of them.
    pub const ALL: [Stage; 6] =
        [Stage::Sensor, Stage::Reader, Stage::Sweep, Stage::Relay, Stage::Engine, Stage::Record];

    /// The thread's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sensor => "sensor",
            Self::Reader => "reader",
            Self::Sweep => "sweep",
            Self::Relay => "relay",
            Self::Engine => "engine",
            Self::Record => "record",
        }
    }
}

/// The lowest bit of a number: the thread has something to do.
const AT_WORK: u64 = 1;
/// What a step adds.
const STEP: u64 = 2;

/// The number of one thread. It is written by that thread alone, so that a step is a load and a store.
#[derive(Debug, Default)]
pub struct Pulse(AtomicU64);

impl Pulse {
    /// The thread has something to do, or has done one thing of it.
    pub fn works(&self) {
        let number = self.0.load(Ordering::Relaxed);
        self.0.store((number | AT_WORK).wrapping_add(STEP), Ordering::Relaxed);
    }

    /// It waits for something to do.
    pub fn rests(&self) {
        let number = self.0.load(Ordering::Relaxed);
        self.0.store(number & !AT_WORK, Ordering::Relaxed);
    }
}

/// Those of the stages.
#[derive(Debug, Default)]
pub struct Pulses([Pulse; Stage::ALL.len()]);

impl Pulses {
    /// See [`Pulse::works`].
    pub fn works(&self, stage: Stage) {
        self.0[stage as usize].works();
    }

    /// See [`Pulse::rests`].
    pub fn rests(&self, stage: Stage) {
        self.0[stage as usize].rests();
    }

    /// Each with its thread's name.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Pulse)> {
        Stage::ALL.into_iter().map(|stage| stage.name()).zip(&self.0)
    }
}

/// What was seen of the numbers.
#[derive(Debug, Default)]
pub struct Watch(Vec<(u64, u64)>);

impl Watch {
    /// The thread that has been at one thing for the longest, and for how long in nanoseconds; `None` where each has gone on
    /// since the last look, or has nothing to do. `pulses` are the same in the same order each time. `now_ns`: the monotonic
    /// clock.
    pub fn longest<'a>(
        &mut self,
        pulses: impl IntoIterator<Item = (&'a str, &'a Pulse)>,
        now_ns: u64,
    ) -> Option<(&'a str, u64)> {
        let mut longest = None;
        for (place, (name, pulse)) in pulses.into_iter().enumerate() {
            if self.0.len() <= place {
                self.0.push((0, 0));
            }
            let Some(seen) = self.0.get_mut(place) else { continue };
            let number = pulse.0.load(Ordering::Relaxed);
            if number != seen.0 || number & AT_WORK == 0 {
                *seen = (number, now_ns);
                continue;
            }
            let stood = now_ns.saturating_sub(seen.1);
            if longest.is_none_or(|(_, most)| stood > most) {
                longest = Some((name, stood));
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
        assert_eq!(watch.longest(pulses.all(), 1), None, "nobody has begun");
        pulses.works(Stage::Engine);
        assert_eq!(watch.longest(pulses.all(), 10), None, "it has just gone on");
        assert_eq!(watch.longest(pulses.all(), 15), Some(("engine", 5)));
        pulses.works(Stage::Engine);
        assert_eq!(watch.longest(pulses.all(), 20), None);
        pulses.rests(Stage::Engine);
        assert_eq!(watch.longest(pulses.all(), 30), None);
        assert_eq!(watch.longest(pulses.all(), 99), None, "who waits does not stand still");
    }

    #[test]
    fn the_longest_of_several() {
        let (pulses, mut watch) = (Pulses::default(), Watch::default());
        pulses.works(Stage::Record);
        assert_eq!(watch.longest(pulses.all(), 10), None);
        pulses.works(Stage::Sweep);
        watch.longest(pulses.all(), 20);
        assert_eq!(watch.longest(pulses.all(), 25), Some(("record", 15)));
        pulses.works(Stage::Record);
        watch.longest(pulses.all(), 30);
        assert_eq!(watch.longest(pulses.all(), 31), Some(("sweep", 11)));
        assert_eq!(watch.longest(pulses.all(), 5), Some(("sweep", 0)), "a clock that falls");
    }

    /// Work that begins and ends between two looks is a step as well.
    #[test]
    fn a_step_and_a_rest_are_seen() {
        let (pulses, mut watch) = (Pulses::default(), Watch::default());
        pulses.works(Stage::Relay);
        watch.longest(pulses.all(), 10);
        pulses.rests(Stage::Relay);
        pulses.works(Stage::Relay);
        assert_eq!(watch.longest(pulses.all(), 20), None);
    }
}
