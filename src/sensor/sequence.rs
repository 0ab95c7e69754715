//! The numbers of connector messages.
//!
//! Owns: the last number of each processor, and what follows where one does not rise. Must not own: gaps: they are what
//! the filter kept back or the kernel dropped, and the socket's drop counter says which.

use std::collections::HashMap;

use crate::model::loss::Loss;
use crate::sensor::wires::Wires;
use crate::stats::Stats;
use crate::sys::cn_proc::Message;

/// The last number of each processor.
#[derive(Debug, Default)]
pub struct Sequences(HashMap<u32, u32>);

impl Sequences {
    /// Takes note of a message. A number that does not rise means that something else than a full buffer is wrong: it
    /// is a loss. Numbers wrap at 2^32.
    pub fn check(&mut self, message: Message, stats: &Stats, wires: &Wires) {
        let Some(before) = self.0.insert(message.cpu, message.sequence) else { return };
        let step = message.sequence.wrapping_sub(before);
        if step == 0 || step > u32::MAX / 2 {
            wires.lose(stats, Loss::SequenceGap, 1);
        }
    }

    /// Forgets everything: another socket, or another kernel's numbers.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use crossbeam_channel::{Receiver, bounded};
    use proptest::prelude::*;

    use super::*;
    use crate::model::event::Event;
    use crate::sensor::sweep::SweepRequest;
    use crate::sys::cn_proc::What;

    struct Script {
        sequences: Sequences,
        stats: Stats,
        wires: Wires,
        events: Receiver<Event>,
        sweeps: Receiver<SweepRequest>,
    }

    impl Script {
        fn new() -> Self {
            let ((events_in, events), (sweeps_in, sweeps)) = (bounded(64), bounded(1));
            let wires = Wires {
                events: events_in,
                orders: bounded(1).1,
                sweeps: sweeps_in,
                suspects: bounded(1).0,
                interest: crate::sensor::suspect::Interest::none(),
                recent: bounded(1).0,
                held: std::sync::Arc::default(),
            };
            Self { sequences: Sequences::default(), stats: Stats::default(), wires, events, sweeps }
        }

        /// Messages of processor and number, in the order in which they arrive; how many losses were counted for them.
        fn hear(&mut self, messages: &[(u32, u32)]) -> u64 {
            let before = self.stats.lost(Loss::SequenceGap);
            for &(cpu, sequence) in messages {
                let message = Message { cpu, sequence, mono_ns: 1, what: What::Other };
                self.sequences.check(message, &self.stats, &self.wires);
            }
            self.stats.lost(Loss::SequenceGap) - before
        }
    }

    #[test]
    fn numbers_that_rise_are_no_loss() {
        let mut script = Script::new();
        // Each processor counts for itself; a gap is what the filter kept back; after the last number comes 0.
        assert_eq!(script.hear(&[(0, 5), (1, 900), (0, 6), (0, 900), (1, 901)]), 0);
        assert_eq!(script.hear(&[(2, u32::MAX - 1), (2, u32::MAX), (2, 0), (2, 7)]), 0);
        assert!(script.events.is_empty() && script.sweeps.is_empty());
    }

    #[test]
    fn each_number_that_does_not_rise_is_counted_told_and_swept() {
        let mut script = Script::new();
        assert_eq!(script.hear(&[(0, 5), (0, 5)]), 1, "the same again");
        assert_eq!(script.hear(&[(1, 900), (1, 3), (1, 4)]), 1, "an older one, and the next rises again");
        assert_eq!(script.hear(&[(2, 0), (2, u32::MAX)]), 1, "older across the wrap");
        let told: Vec<Event> = script.events.try_iter().collect();
        assert_eq!(told.len(), 3);
        for event in told {
            assert!(matches!(event, Event::Lost { loss: Loss::SequenceGap, count: 1, .. }), "{event:?}");
        }
        assert_eq!(script.sweeps.try_recv(), Ok(SweepRequest { everything: true }));
    }

    #[test]
    fn a_new_socket_begins_anew() {
        let mut script = Script::new();
        script.hear(&[(0, 500)]);
        script.sequences.clear();
        assert_eq!(script.hear(&[(0, 1)]), 0);
    }

    proptest! {
        #[test]
        fn only_steps_upwards_are_silent(start: u32, steps in proptest::collection::vec(any::<u32>(), 1..40)) {
            let mut script = Script::new();
            let (mut number, mut numbers) = (start, vec![(7, start)]);
            for step in &steps {
                number = number.wrapping_add(*step);
                numbers.push((7, number));
            }
            let falls = steps.iter().filter(|&&step| step == 0 || step > u32::MAX / 2).count() as u64;
            prop_assert_eq!(script.hear(&numbers), falls);
        }
    }
}
