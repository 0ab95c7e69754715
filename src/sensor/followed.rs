//! Whose forks and exits are heard.
//!
//! Owns: the set of followed processes and the kernel filter that follows from it. Must not own: who belongs in it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::ids::Pid;
use crate::sensor::held::HeldLooks;
use crate::sys::cn_filter::{LISTED_MAX, Scope};

/// The most processes followed; beyond it children are still heard, because everybody is.
const FOLLOWED_MAX: usize = 65_536;

/// Two changes of the filter closer than this are one too many: the kernel compiles each.
const CALM_NS: u64 = 20_000_000;
/// How long everybody is heard after that.
const BUSY_NS: u64 = 500_000_000;

/// The set.
#[derive(Debug, Default)]
pub struct Followed {
    /// Each with when it was last seen to matter, in nanoseconds of the monotonic clock.
    set: HashMap<Pid, u64>,
    changed: bool,
    applied_ns: u64,
    /// Until then everybody is heard, whoever comes and goes.
    busy_until_ns: u64,
    shown: Arc<HeldLooks>,
}

impl Followed {
    /// An empty set that shows itself to those who hold execs.
    pub fn shown_in(shown: Arc<HeldLooks>) -> Self {
        Self { shown, ..Self::default() }
    }

    /// Adds a process that matters since then; whether it is new.
    pub fn add(&mut self, pid: Pid, since_ns: u64) -> bool {
        if let Some(known_ns) = self.set.get_mut(&pid) {
            *known_ns = since_ns.max(*known_ns);
            return false;
        }
        if self.set.len() >= FOLLOWED_MAX {
            return false;
        }
        self.set.insert(pid, since_ns);
        self.changed = true;
        self.shown.show_followed(pid, true);
        true
    }

    /// Takes a process out that did not matter then; what was seen of it later stays. A shell may execute another program
    /// before the first was judged.
    pub fn forget(&mut self, pid: Pid, then_ns: u64) {
        if self.set.get(&pid).is_some_and(|since_ns| *since_ns <= then_ns) {
            self.remove(pid);
        }
    }

    /// Takes a process out; whether it was there.
    pub fn remove(&mut self, pid: Pid) -> bool {
        let there = self.set.remove(&pid).is_some();
        self.changed |= there;
        if there {
            self.shown.show_followed(pid, false);
        }
        there
    }

    /// Whether it is followed.
    pub fn contains(&self, pid: Pid) -> bool {
        self.set.contains_key(&pid)
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

    /// Whether the filter may have to be another.
    pub fn has_changed(&self) -> bool {
        self.changed
    }

    /// Whether everybody is heard because much comes and goes.
    pub fn is_busy(&self) -> bool {
        self.busy_until_ns > self.applied_ns
    }

    /// Hands the scope that the filter should have to `apply`, if it changed since the last time. Where it changes with
    /// each command of a burst, everybody is heard for a while, and nothing has to be changed.
    pub fn apply<E>(&mut self, now_ns: u64, apply: impl FnOnce(Scope<'_>) -> Result<(), E>) -> Result<(), E> {
        if !self.changed || now_ns < self.busy_until_ns {
            return Ok(());
        }
        self.changed = false;
        let hurried = now_ns.saturating_sub(self.applied_ns) < CALM_NS;
        self.applied_ns = now_ns;
        if hurried && !self.set.is_empty() {
            self.busy_until_ns = now_ns.saturating_add(BUSY_NS);
            // Who is in the set when it is over has to be listed then.
            self.changed = true;
            return apply(Scope::Everybody);
        }
        if self.set.is_empty() {
            return apply(Scope::Nobody);
        }
        if self.is_wide() {
            return apply(Scope::Everybody);
        }
        let listed: Vec<Pid> = self.set.keys().copied().collect();
        apply(Scope::Listed(&listed))
    }

    /// Makes the next [`Followed::apply`] apply: a new socket knows nothing.
    pub fn apply_again(&mut self) {
        self.changed = true;
        self.busy_until_ns = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(followed: &mut Followed, now_ms: u64) -> Option<String> {
        let mut seen = None;
        let applied: Result<(), ()> = followed.apply(now_ms * 1_000_000, |scope| {
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
        assert_eq!(scope(&mut followed, 1_000), None);
        followed.add(Pid(1), 0);
        assert_eq!(scope(&mut followed, 1_000).as_deref(), Some("1 listed"));
        assert_eq!(scope(&mut followed, 2_000), None);
        (2..4000).for_each(|pid| {
            followed.add(Pid(pid), 0);
        });
        assert_eq!(scope(&mut followed, 2_000).as_deref(), Some("everybody"));
        (1..4000).for_each(|pid| {
            followed.remove(Pid(pid));
        });
        assert_eq!(scope(&mut followed, 3_000).as_deref(), Some("nobody"));
    }

    #[test]
    fn what_was_seen_later_is_not_forgotten() {
        let mut followed = Followed::default();
        followed.add(Pid(1), 100);
        followed.add(Pid(1), 200);
        followed.forget(Pid(1), 100);
        assert!(followed.contains(Pid(1)));
        followed.forget(Pid(1), 200);
        assert!(followed.is_empty());
    }

    #[test]
    fn a_burst_changes_it_once() {
        let mut followed = Followed::default();
        followed.add(Pid(1), 0);
        assert_eq!(scope(&mut followed, 1_000).as_deref(), Some("1 listed"));
        let changes: Vec<String> = (1..300)
            .filter_map(|ms| {
                followed.add(Pid(ms + 1), 0);
                followed.remove(Pid(ms));
                scope(&mut followed, 1_000 + u64::from(ms))
            })
            .collect();
        assert_eq!(changes, ["everybody"]);
        assert_eq!(scope(&mut followed, 1_600).as_deref(), Some("1 listed"), "when it is over");
    }
}
