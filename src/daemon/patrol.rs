//! Shells that wait for commands on channels that lead nowhere.
//!
//! Owns: keeping them, and when it is whose turn to be looked at again: what they hang on may connect hours after they
//! started, and nothing that they do tells of it. Must not own: the look.

use std::collections::VecDeque;

use crate::model::clock::SECOND;
use crate::model::ids::Pid;

/// How long from the end of one round to the next at least.
const REST_MIN_NS: u64 = 15 * SECOND;
/// And at least this many times as long as the processor time of a round: a third of one per cent of a processor.
const REST: u64 = 300;
/// But after this time there is one all the same.
const REST_MAX_NS: u64 = 300 * SECOND;
/// Of that, where something on these channels was found to lead to a network meanwhile.
const HURRIED: u64 = 10;
/// The most that are kept.
const MOST: usize = 4096;

/// Whoever waits, in the order of their turns.
#[derive(Debug)]
pub struct Patrol<T> {
    waiting: VecDeque<(Pid, T)>,
    /// How many have not had their turn in this round.
    left: usize,
    /// When the next round begins.
    next_ns: u64,
    /// When this one began, or the last one ended.
    since_ns: u64,
    /// Processor time of this round, or of the last.
    took_ns: u64,
}

impl<T> Default for Patrol<T> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), left: 0, next_ns: 0, since_ns: 0, took_ns: 0 }
    }
}

impl<T> Patrol<T> {
    /// Keeps one, in place of what is known by the same process id; false where another had to go for it.
    pub fn keep(&mut self, pid: Pid, what: T) -> bool {
        let same = self.waiting.iter().position(|(known, _)| *known == pid);
        let room = same.is_some() || self.waiting.len() < MOST;
        if let Some(at) = same.or((!room).then_some(0)) {
            self.waiting.remove(at);
            self.left -= usize::from(at < self.left);
        }
        self.waiting.push_back((pid, what));
        room
    }

    /// Whose turn it is. Whoever is kept again is behind those of this round.
    pub fn turn(&mut self, now_ns: u64) -> Option<T> {
        if self.left == 0 {
            if now_ns < self.next_ns || self.waiting.is_empty() {
                return None;
            }
            (self.left, self.since_ns, self.took_ns) = (self.waiting.len(), now_ns, 0);
        }
        self.left -= 1;
        self.waiting.pop_front().map(|(_, what)| what)
    }

    /// Some turns took so much processor time.
    pub fn took(&mut self, cpu_ns: u64, now_ns: u64) {
        self.took_ns = self.took_ns.saturating_add(cpu_ns);
        if self.left == 0 {
            self.since_ns = now_ns;
            self.next_ns = now_ns.saturating_add(self.rest_ns());
        }
    }

    /// Somebody's channels lead to a network by now: the next round comes sooner.
    pub fn hurry(&mut self) {
        if self.left == 0 {
            self.next_ns = self.next_ns.min(self.since_ns.saturating_add(self.rest_ns() / HURRIED));
        }
    }

    fn rest_ns(&self) -> u64 {
        self.took_ns.saturating_mul(REST).clamp(REST_MIN_NS, REST_MAX_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Everybody whose turn it is at a moment; all are kept.
    fn turns(patrol: &mut Patrol<u32>, now_ns: u64, cpu_ns: u64) -> Vec<u32> {
        let mut found = Vec::new();
        while let Some(what) = patrol.turn(now_ns) {
            found.push(what);
            patrol.keep(Pid(what), what);
            patrol.took(cpu_ns, now_ns);
        }
        found
    }

    #[test]
    fn everybody_has_a_turn_in_a_round() {
        let mut patrol = Patrol::default();
        assert_eq!(turns(&mut patrol, 0, 0), Vec::<u32>::new());
        for what in [1, 2, 3] {
            assert!(patrol.keep(Pid(what), what));
        }
        assert_eq!(turns(&mut patrol, SECOND, 1), [1, 2, 3]);
        assert_eq!(turns(&mut patrol, 15 * SECOND, 1), Vec::<u32>::new());
        assert_eq!(turns(&mut patrol, 16 * SECOND, 1), [1, 2, 3]);
    }

    #[test]
    fn a_dear_round_makes_the_next_ones_rare() {
        let mut patrol = Patrol::default();
        patrol.keep(Pid(1), 1);
        assert_eq!(turns(&mut patrol, 0, SECOND / 5), [1]);
        assert_eq!(turns(&mut patrol, 59 * SECOND, SECOND), Vec::<u32>::new());
        assert_eq!(turns(&mut patrol, 60 * SECOND, 100 * SECOND), [1]);
        // But not without end.
        assert_eq!(turns(&mut patrol, 360 * SECOND, 0), [1]);
    }

    #[test]
    fn a_hint_brings_a_round_forward_but_no_storm() {
        let mut patrol = Patrol::default();
        patrol.keep(Pid(1), 1);
        assert_eq!(turns(&mut patrol, 0, 0), [1]);
        patrol.hurry();
        assert_eq!(turns(&mut patrol, SECOND, 0), Vec::<u32>::new());
        assert_eq!(turns(&mut patrol, 2 * SECOND, 0), [1]);
        patrol.hurry();
        assert_eq!(turns(&mut patrol, 3 * SECOND, 0), Vec::<u32>::new());
    }

    #[test]
    fn the_oldest_goes_where_there_are_too_many() {
        let mut patrol = Patrol::default();
        for what in 0..MOST as u32 {
            assert!(patrol.keep(Pid(what), what));
        }
        assert_eq!(patrol.turn(0), Some(0));
        assert!(patrol.keep(Pid(7777), 7777));
        // Another life of the same process id.
        assert!(patrol.keep(Pid(7777), 7778));
        assert!(!patrol.keep(Pid(8888), 8888));
        let rest = turns(&mut patrol, 0, 0);
        assert_eq!((rest.first(), rest.len()), (Some(&2), MOST - 2));
    }
}
