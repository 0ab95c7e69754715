//! Processes that come and go.
//!
//! Owns: forks, exits and ends that were not heard: each life is in the table once, and counts once in each of its
//! incidents. Must not own: what a process's look means.

use crate::engine::table::{INCIDENTS_OF_ONE_MAX, Life};
use crate::engine::{Engine, Order};
use crate::host::Host;
use crate::model::clock::Moment;
use crate::model::detection::Detection;
use crate::model::ids::{Pid, ProcessKey, StartTime};
use crate::model::look::{Cause, Look, Observation};
use crate::model::loss::Loss;

impl Engine {
    pub(super) fn on_fork(&mut self, parent: Pid, child: Pid, start: StartTime, at: Moment) {
        let Some(from) = self.table.current(parent) else { return };
        let life = Life {
            key: ProcessKey { pid: child, start },
            parent,
            incidents: from.incidents.clone(),
            stdio: from.stdio.clone(),
            program: from.program.clone(),
            exec_may_follow: false,
        };
        // A look may have come first: it knows more.
        if self.table.current(child).is_some_and(|known| known.key == life.key && known.program.is_some()) {
            return;
        }
        self.keep(life, at);
    }

    pub(super) fn on_vanished(&mut self, pid: Pid, at: Moment, host: &impl Host, out: &mut Vec<Detection>) {
        let Some(life) = self.table.current(pid) else {
            self.losses.push((Loss::Vanished, 1));
            return;
        };
        // It was come upon as somebody's child after its exec, and counted then.
        if life.exec_may_follow {
            return self.keep(Life { exec_may_follow: false, ..life.clone() }, at);
        }
        let mut look = Look::blank(life.key, at, Observation::Inherited, Cause::Exec);
        look.parent = life.parent;
        look.stdio = life.stdio.clone();
        look.unread.push("all of /proc/PID");
        self.on_look(look, host, out);
    }

    pub(super) fn on_exit(&mut self, pid: Pid, at: Moment) {
        if let Some(life) = self.table.remove(pid) {
            self.left(&life, at);
        }
    }

    /// Puts a life in the table and counts it where it belongs.
    pub(super) fn keep(&mut self, mut life: Life, at: Moment) {
        life.incidents.truncate(INCIDENTS_OF_ONE_MAX);
        let incidents = life.incidents.clone();
        let (earlier, evicted) = self.table.insert(life);
        for id in incidents {
            if let Some(incident) = self.incidents.get_mut(&id) {
                incident.enter();
            }
            self.touch(id, at);
        }
        if let Some(earlier) = earlier {
            self.left(&earlier, at);
        }
        if let Some(evicted) = evicted {
            self.losses.push((Loss::ProcessEvicted, 1));
            self.left(&evicted, at);
        }
    }

    /// A life is no longer in the table.
    pub(super) fn left(&mut self, life: &Life, at: Moment) {
        for id in &life.incidents {
            if let Some(incident) = self.incidents.get_mut(id) {
                incident.leave(at);
            }
            self.touch(*id, at);
        }
    }

    /// Looks after processes whose end was not heard. With `began`, all that started before it; else a few, in turn.
    pub(super) fn bury(&mut self, most: usize, began: Option<Moment>, at: Moment, host: &impl Host) {
        let total = self.table.len();
        let skip = if began.is_some() || total == 0 { 0 } else { self.checked % total };
        let dead: Vec<Pid> = self
            .table
            .iter()
            .skip(skip)
            .take(most)
            .filter(|life| !host.alive(life.key))
            .map(|life| life.key.pid)
            .collect();
        self.checked = if skip.saturating_add(most) >= total { 0 } else { skip + most };
        for pid in dead {
            self.orders.push(Order::Forget(pid, at.mono_ns));
            self.on_exit(pid, at);
        }
    }
}
