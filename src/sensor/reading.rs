//! The reader's thread: the rest of what was seen, in order.
//!
//! Owns: a queue behind the sensor through which everything for the engine goes, and reading the rest of a process on
//! its way. A first look takes ten microseconds and cannot wait; the rest takes ten times as long and may. Must not own:
//! first looks, whom to follow. Talks to: `host::reader`, the engine's channel.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, TrySendError};

use crate::host::glance::Glance;
use crate::host::proc_dir::{ProcDir, file_id};
use crate::host::reader::Reader;
use crate::model::clock::Moment;
use crate::model::event::Event;
use crate::model::ids::{Pid, StartTime};
use crate::model::look::{Cause, Look, Observation};
use crate::model::loss::Loss;
use crate::model::stdio::Backing;
use crate::sensor::budget::Budget;
use crate::sensor::shared::Shared;
use crate::sensor::suspect::Suspect;
use crate::sensor::sweep::SweepRequest;
use crate::sensor::wires::Wires;
use crate::stats::pulse::Stage;
use crate::stats::{Count, Stats};

/// The most that waits to be read; each may hold a descriptor.
pub const WAITING_MAX: usize = 4096;

/// What goes through the queue.
#[derive(Debug)]
pub enum Item {
    /// A process that had its first look.
    Seen(Seen),
    /// One whose descriptors may lead to somebody else's socket, on its way to the relay thread.
    Suspect(Suspect),
    /// Anything else: it must not overtake what was seen before it.
    Event(Event),
}

/// A process that had its first look.
#[derive(Debug)]
pub struct Seen {
    /// Who.
    pub pid: Pid,
    /// How far that look went.
    pub how: How,
    /// When.
    pub at: Moment,
    /// Why.
    pub cause: Cause,
}

/// How far a first look went.
#[derive(Debug)]
pub enum How {
    /// Fds 0-2 were asked.
    Glance(Glance),
    /// They were read by their links.
    Links(ProcDir, [Backing; 3]),
    /// Not even that: only that it is there.
    Heard,
}

/// The thread's state.
#[derive(Debug)]
pub struct Reading {
    /// Reads processes.
    pub reader: Reader,
    /// Where looks go to.
    pub wires: Wires,
    /// What the sensor's threads show.
    pub shared: Arc<Shared>,
    /// Counters.
    pub stats: Arc<Stats>,
    /// Asks for real-time priority.
    pub realtime: bool,
    /// Its end is this thread's.
    pub ends: Sender<()>,
}

impl Reading {
    /// Starts the thread. It ends when the sensor has.
    pub fn spawn(self, items: Receiver<Item>) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("reader".into()).spawn(move || self.run(&items))
    }

    fn run(self, items: &Receiver<Item>) {
        self.shared.reading_thread.store(Shared::own_thread(), Ordering::Relaxed);
        let mut budget = Budget::second(self.realtime);
        while let Ok(item) = items.recv() {
            budget.begin();
            self.take(item);
            for item in items.try_iter() {
                self.take(item);
                budget.spend(&self.stats);
            }
            budget.spend(&self.stats);
            self.stats.pulses().rests(Stage::Reader);
        }
    }

    fn take(&self, item: Item) {
        self.stats.pulses().works(Stage::Reader);
        match item {
            Item::Event(event) => self.send(event),
            Item::Suspect(suspect) => self.identify(suspect),
            Item::Seen(seen) => {
                self.shared.reading_since_ns.store(seen.at.mono_ns.max(1), Ordering::Relaxed);
                self.read(seen);
                self.shared.reading_since_ns.store(0, Ordering::Relaxed);
            }
        }
    }

    /// A single command lives for about a millisecond: who it is has to be read here. Of one with an output alone only
    /// some commands matter, and the name tells enough at a tenth of the cost.
    fn identify(&self, mut suspect: Suspect) {
        if let Some(who) = &mut suspect.who {
            // It waited in execve to be read; what the exec has changed is taken over while it lives.
            if !self.reader.refresh(who) {
                return self.stats.count(Count::HeldUnconfirmed);
            }
            return self.hand_on(suspect);
        }
        let Some(dir) = ProcDir::of(suspect.pid, &suspect.process) else {
            return self.stats.lose(Loss::SuspectVanished, 1);
        };
        let interest = &self.wires.interest;
        let both = Suspect::both(&suspect.sights);
        let settled = both && interest.settled.has(&suspect.sights, suspect.at.mono_ns);
        let name = if !both || settled { dir.read(c"comm", 64).ok() } else { None };
        let name = name.as_ref().map(|(name, _)| name.trim_ascii_end());
        if settled && name.is_some_and(|name| !(interest.waits)(name)) {
            return self.stats.count(Count::LooksSettled);
        }
        if !both && name.is_some_and(|name| !(interest.matters)(name)) {
            self.stats.count(Count::LooksSettled);
            if !interest.settled.is_busy(&suspect.sights) {
                return;
            }
            suspect.probe = true;
        } else {
            let who = self.reader.who(&dir, suspect.at, suspect.seen, Cause::Exec);
            if let Some(who) = &who {
                suspect.lineage = self.reader.lineage(who.parent, &suspect.sights);
            }
            suspect.who = who.map(Box::new);
        }
        self.hand_on(suspect);
    }

    fn hand_on(&self, suspect: Suspect) {
        match self.wires.suspects.try_send(suspect) {
            Ok(()) => self.stats.count(Count::Suspects),
            Err(_) => self.stats.lose(Loss::SuspectDropped, 1),
        }
    }

    fn read(&self, seen: Seen) {
        let Seen { pid, how, at, cause } = seen;
        let (dir, stdio, direct) = match how {
            How::Glance(glance) => {
                let dir = ProcDir::of(pid, &glance.process);
                let stdio = self.reader.stdio_after(dir.as_ref(), &glance.sights);
                (dir, stdio, glance.is_direct())
            }
            How::Links(dir, stdio) => (Some(dir), stdio, true),
            How::Heard => {
                let Ok(dir) = ProcDir::open(pid) else { return self.vanished(pid, at, cause) };
                let (stdio, unresolved) = self.reader.stdio(&dir);
                if unresolved {
                    self.stats.lose(Loss::SocketUnresolved, 1);
                }
                (Some(dir), stdio, false)
            }
        };
        let look = match dir {
            Some(dir) => {
                let mut look = self.reader.rest(&dir, stdio, at, Observation::Live, cause);
                let now = || dir.exe_handle().ok().and_then(|handle| file_id(&handle).ok());
                // It executed something while it was read: half of this is from before it, and its event is to come.
                if cause == Cause::Fork && now() != look.exe.file {
                    look.args.list.clear();
                }
                look
            }
            None => Look::unread(pid, stdio, at, Observation::Live, cause),
        };
        let gone = look.key.start == StartTime(0);
        // Of one that is followed for its parents' sake, and has gone, its parents know more.
        if gone && !direct {
            return self.vanished(pid, at, cause);
        }
        self.stats.count(Count::LooksHandedOn);
        self.wires.held.tell_missed(&look);
        self.send(Event::Look(Box::new(look)));
        if gone {
            self.send(Event::Exited { pid, at });
        }
    }

    /// Who was come upon as somebody's child, and has gone, may have executed nothing: of an exec there is an event.
    fn vanished(&self, pid: Pid, at: Moment, cause: Cause) {
        if cause == Cause::Exec {
            self.send(Event::Vanished { pid, at });
        }
    }

    fn send(&self, event: Event) {
        if let Err(TrySendError::Full(_)) = self.wires.events.try_send(event) {
            self.stats.lose(Loss::ChannelFull, 1);
            let _ = self.wires.sweeps.try_send(SweepRequest { everything: true });
        }
    }
}
