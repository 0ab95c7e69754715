//! The processes that matter, and what they descend from.
//!
//! Owns: one entry for each life of a followed process, with a separate index by process id; lineage is handed on at
//! fork, so it outlives setsid, double forks and reparenting. Must not own: incidents themselves.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::bounded::BoundedMap;
use crate::model::ids::{FindingId, Pid, ProcessKey, StartTime};
use crate::model::look::Look;
use crate::model::stdio::Backing;

/// The most incidents that one process hangs on.
pub const INCIDENTS_OF_ONE_MAX: usize = 4;

/// A program that runs: its path and arguments.
pub type Running = (Vec<u8>, Vec<Vec<u8>>);

/// One life of a followed process.
#[derive(Clone, Debug)]
pub struct Life {
    /// Which.
    pub key: ProcessKey,
    /// Whose child, as far as known.
    pub parent: Pid,
    /// The incidents it is part of.
    pub incidents: Vec<FindingId>,
    /// Its fds 0-2, its own or, before its first exec, its parent's.
    pub stdio: [Backing; 3],
    /// What it runs: path and arguments, its own or, before its first exec, its parent's; `None` where that is not known.
    pub program: Option<Arc<Running>>,
    /// It was come upon as somebody's child; the event of its exec may still follow.
    pub exec_may_follow: bool,
}

impl Life {
    /// Whether a look shows what is known already.
    pub fn is_as(&self, look: &Look) -> bool {
        self.runs(look) && self.stdio == look.stdio
    }

    /// Whether it runs the program that a look shows.
    pub fn runs(&self, look: &Look) -> bool {
        self.program.as_deref().is_some_and(|(exe, args)| *exe == look.exe.path && *args == look.args.list)
    }
}

/// All followed lives.
#[derive(Clone, Debug)]
pub struct Table {
    lives: BoundedMap<ProcessKey, Life>,
    by_pid: HashMap<Pid, ProcessKey>,
}

impl Table {
    /// An empty table for at most `most` lives.
    pub fn new(most: usize) -> Self {
        Self { lives: BoundedMap::new(most), by_pid: HashMap::new() }
    }

    /// The life that holds this process id now.
    pub fn current(&self, pid: Pid) -> Option<&Life> {
        self.lives.get(self.by_pid.get(&pid)?)
    }

    /// Takes out the life that holds this process id.
    pub fn remove(&mut self, pid: Pid) -> Option<Life> {
        self.lives.remove(&self.by_pid.remove(&pid)?)
    }

    /// Puts a life in. What leaves for it: an earlier life with its process id, and the oldest if the table is full.
    pub fn insert(&mut self, life: Life) -> (Option<Life>, Option<Life>) {
        let earlier = self.remove(life.key.pid);
        self.by_pid.insert(life.key.pid, life.key);
        let evicted = self.lives.insert(life.key, life).map(|(_, life)| life);
        if let Some(evicted) = &evicted {
            self.by_pid.remove(&evicted.key.pid);
        }
        (earlier, evicted)
    }

    /// Takes out the life of a process if it is the same life: an unknown start time fits any.
    pub fn take_same(&mut self, key: ProcessKey) -> Option<Life> {
        let known = self.by_pid.get(&key.pid)?.start;
        let same = known == key.start || known == StartTime(0) || key.start == StartTime(0);
        if same { self.remove(key.pid) } else { None }
    }

    /// All lives, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Life> {
        self.lives.iter().map(|(_, life)| life)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.lives.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lives.is_empty()
    }
}
