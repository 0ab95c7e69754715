//! Looks taken before an exec is done, until the proc connector says that it was.
//!
//! Owns: the few looks between the two, and which processes are followed, as the thread that sees opens may ask. Must
//! not own: taking looks, or what is made of them. An open for execution is no exec yet: it can fail (no format, text
//! busy, no loader), so a look counts only when the connector's event for that process comes, with a later time. The
//! exec of a process that executes again at once is told apart by that time.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::host::exec_args::ExecArgs;
use crate::host::glance::Sight;
use crate::model::ids::Pid;
use crate::model::lineage::Lineage;
use crate::model::look::{Cause, FileId, Look, Observation};

/// The most looks that wait; more are not kept.
const LOOKS_MAX: usize = 1024;
/// Programs told of that wait to be looked into.
const MISSED_MAX: usize = 16;
/// How long one waits, and how long at most if its thread may still be in execve: on a busy machine it has to wait for
/// its turn.
const WAIT_NS: u64 = 1_000_000_000;
const WAIT_MAX_NS: u64 = 10_000_000_000;
/// Places of the table of followed processes.
const FOLLOWED_PLACES: usize = 8192;

/// What the last file opened was: what the kernel opens after it in the same execve is its interpreter or loader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Begins with `#!`: its interpreter is opened next, and is the program.
    Script,
    /// Anything else: what is opened next is a loader.
    Program,
}

/// A process whose descriptors may lead to somebody else's socket.
#[derive(Debug)]
pub struct HeldChannel {
    /// Bound to that life of it.
    pub process: OwnedFd,
    /// Its fds 0-2, as they will be.
    pub sights: [Sight; 3],
    /// Those above it, with their open files.
    pub lineage: Lineage,
}

/// One look.
#[derive(Debug)]
pub struct HeldLook {
    /// The look, of the process as it will be. Only who runs, unless `whole`.
    pub look: Look,
    /// It has a network socket itself, or is followed: the look is for the engine.
    pub whole: bool,
    /// It is a suspect, for the relay thread.
    pub channel: Option<HeldChannel>,
    /// The thread that executes.
    pub thread: Pid,
    /// The arguments of execve(2).
    pub call: ExecArgs,
    /// What the last file was.
    pub kind: Kind,
}

/// All of them.
#[derive(Debug)]
pub struct HeldLooks {
    count: AtomicUsize,
    looks: Mutex<HashMap<Pid, Vec<HeldLook>>>,
    followed: Box<[AtomicU32]>,
    holding: AtomicBool,
    missed: (Sender<Missed>, Receiver<Missed>),
}

/// A program that was on a socket and had not been held.
type Missed = (FileId, Arc<OwnedFd>);

impl Default for HeldLooks {
    fn default() -> Self {
        Self {
            count: AtomicUsize::new(0),
            looks: Mutex::default(),
            followed: std::iter::repeat_with(AtomicU32::default).take(FOLLOWED_PLACES).collect(),
            holding: AtomicBool::new(false),
            missed: bounded(MISSED_MAX),
        }
    }
}

impl HeldLooks {
    /// Puts a look in, unless there are too many.
    pub fn put(&self, held: HeldLook) -> bool {
        let mut looks = self.lock();
        if self.count.load(Ordering::Relaxed) >= LOOKS_MAX {
            return false;
        }
        looks.entry(held.look.key.pid).or_default().push(held);
        self.count.fetch_add(1, Ordering::Release);
        true
    }

    /// Hands the newest look of the thread's process to `change`, where there is one.
    pub fn change<R>(&self, thread: Pid, change: impl FnOnce(&mut HeldLook) -> R) -> Option<R> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut looks = self.lock();
        let key = match looks.get(&thread) {
            Some(_) => thread,
            None => *looks.iter().find(|(_, list)| list.iter().any(|held| held.thread == thread))?.0,
        };
        looks.get_mut(&key)?.last_mut().filter(|held| held.thread == thread).map(change)
    }

    /// The look at the exec that was done at `done_ns`: the newest that is older. Those before it were of execs that
    /// failed; the second number says how many.
    pub fn take(&self, pid: Pid, done_ns: u64) -> Option<(HeldLook, u64)> {
        if self.count.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut looks = self.lock();
        let list = looks.get_mut(&pid)?;
        let place = list.iter().rposition(|held| held.look.at.mono_ns <= done_ns)?;
        let found = list.drain(..=place).next_back()?;
        if list.is_empty() {
            looks.remove(&pid);
        }
        self.count.fetch_sub(place + 1, Ordering::Release);
        Some((found, place as u64))
    }

    /// Takes out what has waited too long. `executes`: whether a thread may still be in execve.
    pub fn expired(&self, now_ns: u64, executes: impl Fn(Pid) -> bool) -> Vec<HeldLook> {
        if self.count.load(Ordering::Acquire) == 0 {
            return Vec::new();
        }
        let mut old = Vec::new();
        let mut looks = self.lock();
        looks.retain(|_, list| {
            let fresh = |held: &HeldLook| {
                let age = now_ns.saturating_sub(held.look.at.mono_ns);
                age < WAIT_NS || (age < WAIT_MAX_NS && executes(held.thread))
            };
            let keep = list.iter().position(fresh).unwrap_or(list.len());
            old.extend(list.drain(..keep));
            !list.is_empty()
        });
        self.count.fetch_sub(old.len(), Ordering::Release);
        old
    }

    /// Shows that a process is followed, or not any more. The table has no room for everybody: one that is pushed out
    /// is not held, but still heard of by the connector.
    pub fn show_followed(&self, pid: Pid, followed: bool) {
        if let Some(place) = self.followed.get(pid.0 as usize % FOLLOWED_PLACES) {
            if followed {
                place.store(pid.0, Ordering::Relaxed);
            } else {
                let _ = place.compare_exchange(pid.0, 0, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
    }

    /// Whether the process is shown as followed.
    pub fn is_followed(&self, pid: Pid) -> bool {
        let place = self.followed.get(pid.0 as usize % FOLLOWED_PLACES);
        pid.0 != 0 && place.is_some_and(|place| place.load(Ordering::Relaxed) == pid.0)
    }

    /// Whether execs are held, so that one that was not is worth telling.
    pub fn set_holding(&self, holding: bool) {
        self.holding.store(holding, Ordering::Relaxed);
    }

    /// Tells of a look that was taken after the exec although execs are held.
    pub fn tell_missed(&self, look: &Look) {
        if self.holding.load(Ordering::Relaxed)
            && look.seen == Observation::Live
            && look.cause == Cause::Exec
            && look.is_direct()
            && let (Some(file), Some(handle)) = (look.exe.file, look.exe.handle.clone())
        {
            // What does not fit is told the next time.
            let _ = self.missed.0.try_send((file, handle));
        }
    }

    /// What was told.
    pub fn take_missed(&self) -> Option<Missed> {
        self.missed.1.try_recv().ok()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Pid, Vec<HeldLook>>> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Moment;
    use crate::model::ids::{ProcessKey, StartTime};

    fn held(pid: u32, at: u64) -> HeldLook {
        let key = ProcessKey { pid: Pid(pid), start: StartTime(7) };
        let at = Moment { mono_ns: at, wall_ns: 0 };
        HeldLook {
            look: Look::blank(key, at, Observation::Held, Cause::Exec),
            whole: true,
            channel: None,
            thread: Pid(pid + 100_000),
            call: ExecArgs::default(),
            kind: Kind::Program,
        }
    }

    #[test]
    fn an_exec_confirms_the_newest_look_before_it() {
        let looks = HeldLooks::default();
        for at in [10, 20, 40] {
            assert!(looks.put(held(5, at)));
        }
        assert!(looks.take(Pid(5), 9).is_none() && looks.take(Pid(6), 99).is_none());
        let (found, failed) = looks.take(Pid(5), 30).unwrap();
        assert_eq!((found.look.at.mono_ns, failed), (20, 1));
        let (found, failed) = looks.take(Pid(5), 40).unwrap();
        assert_eq!((found.look.at.mono_ns, failed), (40, 0));
        assert!(looks.take(Pid(5), u64::MAX).is_none());
        assert_eq!(looks.count.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn nothing_waits_for_ever() {
        let looks = HeldLooks::default();
        looks.put(held(5, 10));
        looks.put(held(5, WAIT_NS));
        looks.put(held(6, 11));
        assert_eq!(looks.expired(WAIT_NS + 10, |_| false).len(), 1);
        assert_eq!(looks.expired(WAIT_NS + 20, |_| false).len(), 1);
        assert_eq!(looks.expired(WAIT_NS + 30, |_| true).len(), 0);
        assert_eq!(looks.expired(u64::MAX, |_| true).len(), 1);
        assert_eq!(looks.count.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn there_is_a_most() {
        let looks = HeldLooks::default();
        assert!((0..LOOKS_MAX as u32).all(|pid| looks.put(held(pid, 1))));
        assert!(!looks.put(held(9_999, 1)));
        assert_eq!(looks.change(Pid(100_005), |held| held.look.key.pid), Some(Pid(5)));
    }

    #[test]
    fn who_is_followed() {
        let looks = HeldLooks::default();
        looks.show_followed(Pid(5), true);
        assert!(looks.is_followed(Pid(5)) && !looks.is_followed(Pid(5 + FOLLOWED_PLACES as u32)));
        looks.show_followed(Pid(5 + FOLLOWED_PLACES as u32), false);
        assert!(looks.is_followed(Pid(5)));
        looks.show_followed(Pid(5), false);
        assert!(!looks.is_followed(Pid(5)) && !looks.is_followed(Pid(0)));
    }
}
