//! What was handed over and may have to be sent again.
//!
//! Owns: which records are on their way, up to which everything was accepted, and where to begin again when a
//! connection breaks. Must not own: what accepted means on a transport (`link`), where the cursor is stored.
//!
//! What was accepted only just before a break is sent again as well: the receiver's process had read it, and may have
//! ended before it had done anything with it. This margin is small, and larger than what is on the way at one time: a
//! receiver may hold all that it has read in one buffer, and close the connection in order as it ends.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::spool::cursor::Cursor;

/// Bytes and messages that may be on their way; then an answer is waited for.
const OPEN_MAX: (usize, usize) = (64 << 10, 64);
/// Accepted bytes, and accepted messages, that are sent again after a break.
const MARGIN: (usize, usize) = (128 << 10, 100);
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
}

impl Window {
    /// Nothing is on its way; everything before `base` is done with.
    pub fn new(base: Cursor) -> Self {
        Self { base, items: VecDeque::new(), accepted: 0, accepted_bytes: 0, open_bytes: 0 }
    }

    /// A message of `bytes` was handed over; `after` is the place behind its record.
    pub fn sent(&mut self, after: Cursor, bytes: usize) {
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
        self.items.iter_mut().skip(self.accepted).for_each(|item| item.accepted = Some(now));
        self.accepted = self.items.len();
        self.accepted_bytes += std::mem::take(&mut self.open_bytes);
        self.forget(now);
        count
    }

    /// How many messages are on their way.
    pub fn open(&self) -> usize {
        self.items.len() - self.accepted
    }

    /// Whether another message may be handed over.
    pub fn has_room(&self) -> bool {
        self.open_bytes < OPEN_MAX.0 && self.open() < OPEN_MAX.1
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
        while self.accepted > 0
            && let Some(item) = self.items.front()
        {
            let old = item.accepted.is_some_and(|at| now.saturating_duration_since(at) >= MARGIN_TIME);
            if !old && self.accepted_bytes <= MARGIN.0 && self.accepted <= MARGIN.1 {
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
        window.sent(at(7), 1000);
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
        (1..=100).for_each(|n| window.sent(at(n), 2000));
        window.accept(now);
        (101..=110).for_each(|n| window.sent(at(n), 2000));
        assert_eq!(window.done(), at(100));
        // 65 of the accepted fit into the margin.
        assert_eq!(window.rewind(now), at(35));
        assert_eq!((window.done(), window.open()), (at(35), 0));

        (36..=235).for_each(|n| window.sent(at(n), 10));
        window.accept(now);
        assert_eq!(window.rewind(now), at(135), "or so many messages");

        (136..=140).for_each(|n| window.sent(at(n), 1000));
        window.accept(now);
        window.sent(at(141), 1000);
        assert_eq!(window.rewind(now + MARGIN_TIME), at(140));
    }

    #[test]
    fn room_ends_with_what_is_not_accepted() {
        let mut window = Window::new(at(0));
        let mut give = |bytes: usize| {
            let given = (1..).find(|&n| {
                window.sent(at(n), bytes);
                !window.has_room()
            });
            window.accept(Instant::now());
            given
        };
        assert_eq!((give(2 << 10), give(100)), (Some(32), Some(64)));
        assert!(window.has_room());
    }

    proptest! {
        /// Whatever happens, no record is passed over: the place to begin again at is never behind what is not accepted.
        #[test]
        fn nothing_is_passed_over(steps in proptest::collection::vec(0u8..5, 1..300)) {
            let (mut now, mut next, mut accepted) = (Instant::now(), 1, 0);
            let mut window = Window::new(at(0));
            for step in steps {
                match step {
                    0 | 1 => { window.sent(at(next), 7000); next += 1; }
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
