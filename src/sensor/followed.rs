//! Whose forks and exits are heard.
//!
//! Owns: the set of followed processes and the kernel filter that follows from it. Must not own: who belongs in it.

use std::collections::HashSet;
use std::sync::Arc;

use crate::model::ids::Pid;
use crate::sensor::held::HeldLooks;
use crate::sys::cn_filter::{LISTED_MAX, Scope};

/// The most processes followed; beyond it children are still heard, because everybody is.
const FOLLOWED_MAX: usize = 65_536;

/// The set.
#[derive(Debug, Default)]
pub struct Followed {
    set: HashSet<Pid>,
    changed: bool,
    shown: Arc<HeldLooks>,
}

impl Followed {
    /// An empty set that shows itself to those who hold execs.
    pub fn shown_in(shown: Arc<HeldLooks>) -> Self {
        Self { shown, ..Self::default() }
    }

    /// Adds a process; whether it is new.
    pub fn add(&mut self, pid: Pid) -> bool {
        let new = self.set.len() < FOLLOWED_MAX && self.set.insert(pid);
        self.changed |= new;
        if new {
            self.shown.show_followed(pid, true);
        }
        new
    }

    /// Takes a process out; whether it was there.
    pub fn remove(&mut self, pid: Pid) -> bool {
        let there = self.set.remove(&pid);
        self.changed |= there;
        if there {
            self.shown.show_followed(pid, false);
        }
        there
    }

    /// Whether it is followed.
    pub fn contains(&self, pid: Pid) -> bool {
        self.set.contains(&pid)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.set.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty()
    }

    /// Whether more are followed than a filter can list.
    pub fn is_wide(&self) -> bool {
        self.set.len() > LISTED_MAX
    }

    /// Hands the scope that the filter should have to `apply`, if it changed since the last time.
    pub fn apply<E>(&mut self, apply: impl FnOnce(Scope<'_>) -> Result<(), E>) -> Result<(), E> {
        if !std::mem::take(&mut self.changed) {
            return Ok(());
        }
        if self.set.is_empty() {
            return apply(Scope::Nobody);
        }
        if self.is_wide() {
            return apply(Scope::Everybody);
        }
        let listed: Vec<Pid> = self.set.iter().copied().collect();
        apply(Scope::Listed(&listed))
    }

    /// Makes the next [`Followed::apply`] apply: a new socket knows nothing.
    pub fn apply_again(&mut self) {
        self.changed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(followed: &mut Followed) -> Option<String> {
        let mut seen = None;
        let applied: Result<(), ()> = followed.apply(|scope| {
            seen = Some(match scope {
                Scope::Nobody => "nobody".into(),
                Scope::Listed(pids) => format!("{} listed", pids.len()),
                Scope::Everybody => "everybody".into(),
            });
            Ok(())
        });
        applied.unwrap();
        seen
    }

    #[test]
    fn the_filter_follows_the_set() {
        let mut followed = Followed::default();
        assert_eq!(scope(&mut followed), None);
        followed.add(Pid(1));
        assert_eq!(scope(&mut followed).as_deref(), Some("1 listed"));
        assert_eq!(scope(&mut followed), None);
        (2..400).for_each(|pid| {
            followed.add(Pid(pid));
        });
        assert_eq!(scope(&mut followed).as_deref(), Some("everybody"));
        (1..400).for_each(|pid| {
            followed.remove(Pid(pid));
        });
        assert_eq!(scope(&mut followed).as_deref(), Some("nobody"));
    }
}
