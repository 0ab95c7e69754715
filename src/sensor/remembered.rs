//! What a sweep saw, for the next one.
//!
//! Owns: one small entry for each process, in the order of their ids; and whose child each is, as long as that is known
//! without asking again. Must not own: looking at processes.
//!
//! A process gets another parent only when its parent ends. So whose parent is the same life as a sweep before has the
//! same parent as then.

use std::collections::HashMap;

use crate::model::ids::{Pid, StartTime};

/// One process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its id.
    pub pid: Pid,
    /// Its parent's.
    pub parent: Pid,
    /// The number of its directory in `/proc`.
    pub number: u64,
    /// When it started.
    pub start: StartTime,
    /// What the links of fds 0-2 said; `None`: they may not be read.
    pub print: Option<u64>,
    /// Whether it was tied: has a network socket there, or descends from one that has.
    pub network: bool,
    /// Whether all of them were closed: what one that has ended looks like.
    pub blank: bool,
}

/// All of one sweep.
#[derive(Debug, Default)]
pub struct Remembered {
    list: Vec<Seen>,
}

impl Remembered {
    /// With room for as many as another has, and a few more.
    pub fn like(other: &Self) -> Self {
        Self { list: Vec::with_capacity(other.list.len() + other.list.len() / 16) }
    }

    /// Adds one; they come in the order of their ids.
    pub fn push(&mut self, seen: Seen) {
        self.list.push(seen);
    }

    /// The process that had this id.
    pub fn get(&self, pid: Pid) -> Option<&Seen> {
        let place = self.list.binary_search_by_key(&pid, |seen| seen.pid).ok()?;
        self.list.get(place)
    }

    /// Asks anew whose child each is whose parent may have ended since the sweep before.
    pub fn renew_parents(&mut self, before: &Self, mut ask: impl FnMut(Pid) -> Option<Pid>) {
        let mut last = None;
        for place in 0..self.list.len() {
            let Some(Seen { pid, parent, .. }) = self.list.get(place).copied() else { break };
            // Most are the same few processes' children.
            let holds = match last {
                Some((known, holds)) if known == parent => holds,
                _ => self.is_same_life(before, parent),
            };
            last = Some((parent, holds));
            if !holds
                && let Some(parent) = ask(pid)
                && let Some(seen) = self.list.get_mut(place)
            {
                seen.parent = parent;
            }
        }
    }

    /// Whether a parent has lived all the time since the sweep before. The first process always has; the kernel's own
    /// threads have nothing open, and are the second's.
    fn is_same_life(&self, before: &Self, parent: Pid) -> bool {
        let same = |(then, now): (&Seen, &Seen)| then.start == now.start && (!now.blank || parent.0 == 2);
        parent.0 <= 1 || before.get(parent).zip(self.get(parent)).is_some_and(same)
    }

    /// Everybody's children.
    pub fn children(&self) -> HashMap<Pid, Vec<Pid>> {
        let mut children: HashMap<Pid, Vec<Pid>> = HashMap::new();
        for seen in &self.list {
            children.entry(seen.parent).or_default().push(seen.pid);
        }
        children
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.list.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(pid: u32, parent: u32, start: u64) -> Seen {
        Seen {
            pid: Pid(pid),
            parent: Pid(parent),
            number: 0,
            start: StartTime(start),
            print: Some(1),
            network: false,
            blank: false,
        }
    }

    fn all(list: &[Seen]) -> Remembered {
        Remembered { list: list.to_vec() }
    }

    /// Who is asked again, where everybody who is turns out to be 7's child.
    fn asked(before: &Remembered, now: &mut Remembered) -> Vec<u32> {
        let mut asked = Vec::new();
        now.renew_parents(before, |pid| {
            asked.push(pid.0);
            Some(Pid(7))
        });
        asked
    }

    #[test]
    fn who_has_lost_a_parent_is_asked() {
        let before = all(&[seen(1, 0, 1), seen(7, 1, 5), seen(20, 7, 6), seen(21, 20, 7), seen(22, 20, 8)]);
        let mut as_it_was = all(&before.list);
        assert!(asked(&before, &mut as_it_was).is_empty());
        // The parent has gone; its id belongs to another; it has ended and not been waited for.
        let gone = all(&[seen(1, 0, 1), seen(7, 1, 5), seen(21, 20, 7), seen(22, 20, 8)]);
        let reused = all(&[seen(1, 0, 1), seen(7, 1, 5), seen(20, 1, 99), seen(21, 20, 7), seen(22, 20, 8)]);
        let ended = Seen { blank: true, ..seen(20, 7, 6) };
        let ended = all(&[seen(1, 0, 1), seen(7, 1, 5), ended, seen(21, 20, 7), seen(22, 20, 8)]);
        for mut now in [gone, reused, ended] {
            assert_eq!(asked(&before, &mut now), [21, 22]);
            assert_eq!(now.children()[&Pid(7)].iter().filter(|pid| pid.0 > 20).count(), 2);
            assert!(!now.children().contains_key(&Pid(20)));
        }
    }

    #[test]
    fn threads_of_the_kernel_are_not_asked() {
        let blank = |pid, parent| Seen { blank: true, ..seen(pid, parent, 1) };
        let list = [blank(1, 0), blank(2, 0), blank(3, 2), blank(4, 2), blank(9, 1)];
        assert!(asked(&all(&list), &mut all(&list)).is_empty());
    }

    #[test]
    fn by_id() {
        let list = all(&[seen(3, 1, 1), seen(5, 1, 2)]);
        assert_eq!((list.get(Pid(5)).map(|seen| seen.start), list.get(Pid(4))), (Some(StartTime(2)), None));
    }
}
