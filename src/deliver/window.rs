//! What was handed over and may have to be sent again.
//!
//! Owns: which records are on their way, up to which everything was accepted, and where to begin again when a
//! connection breaks. Must not own: what accepted means on a transport (`link`), where the cursor is stored.
//!
//! What was accepted only just before a break is sent again as well: the receiver's process had read it, and may have
//! ended before it had done anything with it. This margin is small, and larger than what is on the way at one time: a
//! receiver may hold all that it has read in one buffer, and close the connection in order as it ends.
//!
//! How much that is goes by how quickly the receiver answers: an answer costs a connection (`link`), and one for every 64
//! messages is most of the time that a backlog takes.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::spool::cursor::Cursor;

/// Bytes and messages that may be on their way at first and after a break; then an answer is waited for.
const OPEN_LEAST: (usize, usize) = (64 << 10, 64);
/// How many times as much that may become.
const GROWTH_MAX: usize = 8;
/// A receiver that has accepted all that may be on its way within so long gets twice as much the next time; one that took
/// more than the second, half.
const QUICK: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(400));
/// So many times what may be on its way, of accepted bytes and messages, is sent again after a break.
const MARGIN: usize = 2;
/// How long after its acceptance a record may be sent again.
const MARGIN_TIME: Duration = Duration::from_secs(1);

/// A message that was handed over.
#[derive(Debug)]
struct Item {
    /// The place behind its record, and behind records after it that are not wanted here.
    after: Cursor,
    bytes: usize,
    accepted: Option<Instant>,
}

/// The window of one destination.
#[derive(Debug)]
pub struct Window {
    /// The place before the oldest item.
    base: Cursor,
    items: VecDeque<Item>,
    /// How many at the front are accepted.
    accepted: usize,
    accepted_bytes: usize,
    open_bytes: usize,
    /// Since when there is something on its way.
    open_since: Option<Instant>,
    /// How many times [`OPEN_LEAST`] may be on its way.
    growth: usize,
}

impl Window {
    /// Nothing is on its way; everything before `base` is done with.
    pub fn new(base: Cursor) -> Self {
        Self {
            base,
            items: VecDeque::new(),
            accepted: 0,
            accepted_bytes: 0,
            open_bytes: 0,
            open_since: None,
            growth: 1,
        }
    }

    /// A message of `bytes` was handed over; `after` is the place behind its record.
    pub fn sent(&mut self, after: Cursor, bytes: usize, now: Instant) {
        self.open_since.get_or_insert(now);
        self.open_bytes += bytes;
        self.items.push_back(Item { after, bytes, accepted: None });
    }

    /// A record that is not wanted here: done with as soon as what stands before it.
    pub fn skip(&mut self, after: Cursor) {
        match self.items.back_mut() {
            Some(last) => last.after = after,
            None => self.base = after,
        }
    }

    /// Everything on its way was accepted; how many messages that were.
    pub fn accept(&mut self, now: Instant) -> usize {
        let count = self.open();
        let (took, full) =
            (self.open_since.take().map(|since| now.saturating_duration_since(since)), !self.has_room());
        self.items.iter_mut().skip(self.accepted).for_each(|item| item.accepted = Some(now));
        self.accepted = self.items.len();
        self.accepted_bytes += std::mem::take(&mut self.open_bytes);
        // With the margin of what was on its way now.
        self.forget(now);
        match took {
            Some(took) if full && took <= QUICK.0 => self.growth = (self.growth * 2).min(GROWTH_MAX),
            Some(took) if took > QUICK.1 => self.growth = (self.growth / 2).max(1),
            _ => {}
        }
        count
    }

    /// How many messages are on their way.
    pub fn open(&self) -> usize {
        self.items.len() - self.accepted
    }

    /// Whether another message may be handed over.
    pub fn has_room(&self) -> bool {
        self.open_bytes < OPEN_LEAST.0 * self.growth && self.open() < OPEN_LEAST.1 * self.growth
    }

    /// The place up to which everything is done with.
    pub fn done(&self) -> Cursor {
        match self.accepted.checked_sub(1).and_then(|last| self.items.get(last)) {
            Some(item) => item.after,
            None => self.base,
        }
    }

    /// The connection broke: forgets everything and gives the place to begin again at.
    pub fn rewind(&mut self, now: Instant) -> Cursor {
        self.forget(now);
        *self = Self::new(self.base);
        self.base
    }

    /// Lets go of what was accepted too long ago or too many bytes ago to be sent again.
    fn forget(&mut self, now: Instant) {
        let most = MARGIN * self.growth;
        while self.accepted > 0
            && let Some(item) = self.items.front()
        {
            let old = item.accepted.is_some_and(|at| now.saturating_duration_since(at) >= MARGIN_TIME);
            if !old && self.accepted_bytes <= OPEN_LEAST.0 * most && self.accepted <= OPEN_LEAST.1 * most {
                break;
            }
            self.base = item.after;
            self.accepted -= 1;
            self.accepted_bytes -= item.bytes;
            self.items.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::segment::Position;
    use proptest::prelude::*;

    fn at(sequence: u64) -> Cursor {
        Cursor { position: Position { segment: 1, offset: sequence * 10 }, sequence }
    }

    #[test]
    fn only_what_is_accepted_is_done_with() {
        let now = Instant::now();
        let mut window = Window::new(at(5));
        window.skip(at(6));
        assert_eq!(window.done(), at(6));
        window.sent(at(7), 1000, now);
        window.skip(at(8));
        assert_eq!((window.done(), window.open()), (at(6), 1));
        assert_eq!(window.accept(now), 1);
        assert_eq!((window.done(), window.open()), (at(8), 0));
        window.skip(at(9));
        assert_eq!(window.done(), at(9));
    }

    #[test]
    fn a_break_goes_back_by_a_small_margin() {
        let now = Instant::now();
        let mut window = Window::new(at(0));
        (1..=100).for_each(|n| window.sent(at(n), 2000, now));
        window.accept(now);
        (101..=110).for_each(|n| window.sent(at(n), 2000, now));
        assert_eq!(window.done(), at(100));
        // 65 of the accepted fit into the margin.
        assert_eq!(window.rewind(now), at(35));
        assert_eq!((window.done(), window.open()), (at(35), 0));

        (36..=235).for_each(|n| window.sent(at(n), 10, now));
        window.accept(now);
        window.growth = 1;
        assert_eq!(window.rewind(now), at(107), "or so many messages");

        (136..=140).for_each(|n| window.sent(at(n), 1000, now));
        window.accept(now);
        window.sent(at(141), 1000, now);
        assert_eq!(window.rewind(now + MARGIN_TIME), at(140));
    }

    #[test]
    fn room_ends_with_what_is_not_accepted() {
        for (bytes, room) in [(2 << 10, 32), (100, 64)] {
            let (mut window, now) = (Window::new(at(0)), Instant::now());
            assert_eq!(fill(&mut window, bytes, now), room);
            assert!(!window.has_room());
            window.accept(now);
            assert!(window.has_room());
        }
    }

    /// Messages until there is no more room.
    fn fill(window: &mut Window, bytes: usize, now: Instant) -> usize {
        let given = (1..).find(|&n| {
            window.sent(at(n), bytes, now);
            !window.has_room()
        });
        given.map_or(0, |n| usize::try_from(n).unwrap())
    }

    #[test]
    fn a_quick_receiver_gets_more_at_a_time() {
        let (mut window, mut now) = (Window::new(at(0)), Instant::now());
        let mut round = |took: Duration| {
            let given = fill(&mut window, 100, now);
            now += took;
            window.accept(now);
            given
        };
        let quick: Vec<usize> = (0..6).map(|_| round(QUICK.0)).collect();
        assert_eq!(quick, [64, 128, 256, 512, 512, 512]);
        assert_eq!([QUICK.1, QUICK.1 * 2, QUICK.0 * 2, QUICK.0].map(&mut round), [512, 512, 256, 256]);
        assert_eq!(round(QUICK.0), 512);
        // What is sent again is more than was on its way.
        assert!(window.items.len() > 512);
        window.rewind(now);
        assert_eq!(fill(&mut window, 100, now), 64, "a break begins anew");
        // One that is not full says nothing of how much more there is room for.
        window.accept(now);
        window.growth = 1;
        window.sent(at(1), 100, now);
        window.accept(now);
        assert_eq!(window.growth, 1);
    }

    proptest! {
        /// Whatever happens, no record is passed over: the place to begin again at is never behind what is not accepted.
        #[test]
        fn nothing_is_passed_over(steps in proptest::collection::vec(0u8..5, 1..300)) {
            let (mut now, mut next, mut accepted) = (Instant::now(), 1, 0);
            let mut window = Window::new(at(0));
            for step in steps {
                match step {
                    0 | 1 => { window.sent(at(next), 7000, now); next += 1; }
                    2 => { window.accept(now); accepted = next - 1; }
                    3 => now += Duration::from_millis(300),
                    _ => {
                        let again = window.rewind(now);
                        prop_assert!(again.sequence <= accepted);
                        next = again.sequence + 1;
                        accepted = again.sequence;
                    }
                }
                prop_assert_eq!(window.done().sequence, accepted);
            }
        }
    }
}
