//! Deciding.
//!
//! Owns: the process table, the memory of one-way sockets, the incidents, and what to follow. Must not own: I/O, a
//! clock, a thread: time comes in the event, the machine through [`Host`]. Talks to: `model` and [`Host`] only, so
//! whole attacks replay from scripts.

pub mod anchor;
pub mod bounded;
pub mod classify;
pub mod client;
pub mod direction;
pub mod disguise;
#[cfg(test)]
mod disguise_tests;
mod due;
pub mod ends;
mod excuse;
#[cfg(test)]
mod excuse_tests;
pub mod incident;
mod lives;
#[cfg(test)]
mod machine;
pub mod policy;
pub mod program;
pub mod relayed;
pub mod resolve;
pub mod search;
pub mod settings;
pub mod table;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use crate::engine::anchor::Anchor;
use crate::engine::bounded::BoundedMap;
use crate::engine::classify::{Verdict, direct_tether, judge};
use crate::engine::excuse::{Excused, Pending};
use crate::engine::incident::{Incident, Judgement, Restored};
use crate::engine::policy::RuleSet;
use crate::engine::program::{Catalog, Program};
use crate::engine::relayed::{Command, Master};
use crate::engine::settings::EngineSettings;
use crate::engine::table::{Life, Table};
use crate::host::Host;
use crate::model::clock::SECOND;
use crate::model::detection::{Detection, Row, State};
use crate::model::event::Event;
use crate::model::ids::{FindingId, Inode, Pid, ProcessKey, SocketCookie};
use crate::model::look::{Cause, Look, Observation};
use crate::model::loss::Loss;
use crate::model::socket::{Scope, Socket};
use crate::model::stdio::Tether;
use crate::model::text;

/// How many processes are asked in one tick whether they still live.
const ALIVE_CHECKS: usize = 256;
/// Program files held open for hashing at one time.
const FILES_MAX: usize = 256;

/// What the sensor is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Hear this process's forks and exit.
    Follow(Pid),
    /// It does not matter after all, as it was then, in nanoseconds of the monotonic clock; what it has executed since may.
    Forget(Pid, u64),
}

/// Totals since the engine was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// One-way uses of network sockets.
    pub one_way: u64,
    /// Commands that a rule excused.
    pub allowed: u64,
    /// Findings withdrawn, because it came out later that a rule excuses them.
    pub withdrawn: u64,
    /// Incidents opened.
    pub incidents: u64,
}

/// What the engine knows of the machine beforehand.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot_id: String,
    /// The host's mount namespace.
    pub mount_namespace: Option<Inode>,
}

/// Row 8's memory of one socket.
#[derive(Clone, Debug)]
struct OneWay {
    cookie: Option<SocketCookie>,
    process: ProcessKey,
    command: String,
    look: Arc<Look>,
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    settings: EngineSettings,
    place: Place,
    catalog: Catalog,
    rules: Arc<RuleSet>,
    table: Table,
    incidents: BoundedMap<FindingId, Incident>,
    by_anchor: HashMap<Anchor, FindingId>,
    /// Row 6's memory of each relay.
    commands: BoundedMap<Master, Vec<Command>>,
    one_way: BoundedMap<Inode, OneWay>,
    due: BTreeSet<(u64, FindingId)>,
    restored: HashMap<FindingId, Restored>,
    late: VecDeque<Arc<Look>>,
    /// Incidents that a rule may excuse yet, and when it is asked again.
    pending: HashMap<FindingId, Pending>,
    ask_at_ns: u64,
    orders: Vec<Order>,
    losses: Vec<(Loss, u64)>,
    tally: Tally,
    hurried: bool,
    checked: usize,
    last_check_ns: u64,
}

impl Engine {
    /// A new engine; `restored` are the incidents that were open when an earlier daemon of this boot ended.
    pub fn new(settings: EngineSettings, place: Place, rules: Arc<RuleSet>, restored: Vec<Restored>) -> Self {
        Self {
            catalog: settings.catalog(),
            table: Table::new(settings.table_max),
            incidents: BoundedMap::new(settings.incidents_max),
            by_anchor: HashMap::new(),
            commands: BoundedMap::new(settings.one_way_max),
            one_way: BoundedMap::new(settings.one_way_max),
            due: BTreeSet::new(),
            restored: restored.into_iter().filter_map(|r| Some((r.id?, r))).collect(),
            late: VecDeque::new(),
            pending: HashMap::new(),
            ask_at_ns: u64::MAX,
            orders: Vec::new(),
            losses: Vec::new(),
            tally: Tally::default(),
            hurried: false,
            checked: 0,
            last_check_ns: 0,
            settings,
            place,
            rules,
        }
    }

    /// Takes new settings and rules; what is open stays open.
    pub fn reload(&mut self, settings: EngineSettings, rules: Arc<RuleSet>) {
        self.catalog = settings.catalog();
        self.rules = rules;
        self.settings = settings;
    }

    /// Whether more waits than can be waited for: then no answer of the host's is.
    pub fn hurry(&mut self, hurried: bool) {
        self.hurried = hurried;
    }

    /// Takes one event; returns what is to be recorded now.
    pub fn handle(&mut self, event: Event, host: &impl Host) -> Vec<Detection> {
        let now = event.at();
        let mut out = Vec::new();
        self.ask_rules_again(now, host, &mut out);
        match event {
            Event::Look(look) => self.on_look(*look, host, &mut out),
            Event::Forked { parent, child, start, at } => self.on_fork(parent, child, start, at),
            Event::Vanished { pid, at } => self.on_vanished(pid, at, host, &mut out),
            Event::Exited { pid, at } => self.on_exit(pid, at),
            Event::Swept { began, at, complete } => {
                if complete {
                    self.bury(usize::MAX, Some(began), at, host);
                }
            }
            Event::Lost { .. } => {}
            Event::Tick { at } => {
                if at.mono_ns.saturating_sub(self.last_check_ns) > 5 * SECOND {
                    self.last_check_ns = at.mono_ns;
                    self.bury(ALIVE_CHECKS, None, at, host);
                    self.forget_ended(at);
                }
            }
        }
        self.settle(now, host, &mut out);
        self.issue_due(now, &mut out);
        out
    }

    /// When the next record is due, in nanoseconds of the monotonic clock.
    pub fn next_due_ns(&self) -> Option<u64> {
        let due = self.due.first().map_or(u64::MAX, |(at, _)| *at).min(self.ask_at_ns);
        (due < u64::MAX).then_some(due)
    }

    /// What the sensor is to do.
    pub fn take_orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.orders)
    }

    /// What was lost since the last call.
    pub fn take_losses(&mut self) -> Vec<(Loss, u64)> {
        std::mem::take(&mut self.losses)
    }

    /// Restored incidents that no living process took up; after the first sweep these have ended.
    pub fn take_unclaimed(&mut self) -> Vec<FindingId> {
        self.restored.drain().map(|(id, _)| id).collect()
    }

    /// Totals.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Open incidents, followed processes, remembered one-way sockets.
    pub fn sizes(&self) -> (usize, usize, usize) {
        let open = self.incidents.iter().filter(|(_, incident)| incident.state == State::Active).count();
        (open, self.table.len(), self.one_way.len())
    }

    fn on_look(&mut self, mut look: Look, host: &impl Host, out: &mut Vec<Detection>) {
        let own = self.table.take_same(look.key);
        let known = |own: &&Life| match look.cause {
            // Come upon once more as somebody's child, it still runs what it did.
            Cause::Fork => own.runs(&look),
            Cause::Sweep if look.relayed.is_none() => own.is_as(&look),
            _ => own.exec_may_follow && own.is_as(&look),
        };
        // Found by way of its parent in the moment between its exec and the event of that.
        let held = |own: &&Life| look.seen == Observation::Held && own.exec_may_follow && own.runs(&look);
        for id in own.as_ref().filter(held).iter().flat_map(|own| &own.incidents) {
            if let Some(incident) = self.incidents.get_mut(id) {
                incident.was_held(&look);
            }
        }
        if let Some(mut own) = own.as_ref().filter(known).cloned() {
            own.exec_may_follow &= look.cause == Cause::Fork;
            // A sensor that took over from one that hung follows nobody yet.
            self.orders.push(Order::Follow(own.key.pid));
            self.left(&own, look.at);
            self.keep(own, look.at);
            return;
        }
        if look.cause == Cause::Fork && self.is_only_fork(&look) {
            let start = look.key.start;
            // Come upon in the midst of an execve that is known already: nothing has changed.
            return match own {
                // Its place is free: nobody leaves for it.
                Some(own) => drop(self.table.insert(own)),
                None => self.on_fork(look.parent, look.key.pid, start, look.at),
            };
        }
        let lineage = match &own {
            Some(own) => own.incidents.clone(),
            None => {
                self.table.current(look.parent).map(|parent| parent.incidents.clone()).unwrap_or_default()
            }
        };
        // Found to be relayed only after its look had been handed on, or swept with other descriptors than it had: it is
        // counted already where it was. A fork that has executed nothing is no command at all.
        let later = look.relayed.is_some() || look.cause == Cause::Sweep;
        let same = own.as_ref().filter(|own| later && own.runs(&look));
        let again = same.map(|own| own.incidents.clone()).unwrap_or_default();
        if let Some(own) = own {
            self.left(&own, look.at);
        }
        let (program, late) = self.identify(&look, host);
        if self.due.len() > FILES_MAX {
            look.exe.handle = None;
        }
        let look = Arc::new(look);
        if late {
            self.ask_again(&look);
        }
        let mut joins: Vec<FindingId> =
            lineage.into_iter().filter(|id| self.incidents.get(id).is_some()).collect();
        match judge(&look, &program) {
            Verdict::Nothing => {}
            Verdict::OneWay(socket) => {
                if let Some(id) = self.one_way_use(&look, &program, &socket, host, out) {
                    push_new(&mut joins, id);
                }
            }
            Verdict::Met(row, socket) => {
                let anchor = Anchor::of_socket(&socket);
                let open = self.incident_at(anchor, &socket);
                let excused = if self.is_firm(joins.iter().copied().chain(open)) {
                    Excused::No
                } else {
                    self.excused(&look, row, &socket, None, host)
                };
                if open.is_none() && matches!(excused, Excused::Yes) {
                    self.tally.allowed += 1;
                    if joins.is_empty() {
                        self.orders.push(Order::Forget(look.key.pid, look.at.mono_ns));
                        return;
                    }
                } else {
                    let judgement = self.judgement(&look, &program, row, direct_tether(&look, &socket));
                    let id = self.open_or_raise(open, judgement, anchor, (&program, &look), host, out);
                    self.note_excuse(id, excused, open.is_none(), look.at);
                    push_new(&mut joins, id);
                }
            }
        }
        self.on_relayed(&look, &program, host, &mut joins, out);
        if joins.is_empty() {
            self.orders.push(Order::Forget(look.key.pid, look.at.mono_ns));
            return;
        }
        for id in joins.iter().filter(|id| !again.contains(id)) {
            let Some(incident) = self.incidents.get_mut(id) else { continue };
            if look.relayed.is_none() || !incident.has(&look) {
                incident.join(&look);
            } else if look.seen == Observation::Held {
                incident.was_held(&look);
            }
        }
        let life = Life {
            key: look.key,
            parent: look.parent,
            incidents: joins,
            stdio: look.stdio.clone(),
            program: Some(Arc::new((look.exe.path.clone(), look.args.list.clone()))),
            exec_may_follow: look.cause == Cause::Fork,
        };
        // A process that is known to be gone holds nothing open.
        if look.seen == Observation::Inherited {
            for id in life.incidents {
                self.touch(id, look.at);
            }
        } else {
            // The sensor follows what it has seen by itself; of the rest it has to be told.
            if look.cause == Cause::Sweep || look.relayed.is_some() {
                self.orders.push(Order::Follow(look.key.pid));
            }
            self.keep(life, look.at);
        }
    }

    /// Whether a process found by way of its parent runs what its parent runs: it has executed nothing yet.
    fn is_only_fork(&self, look: &Look) -> bool {
        // In the midst of execve the arguments are not there yet: then the event of it is still to come.
        look.args.list.is_empty() || self.table.current(look.parent).is_some_and(|parent| parent.runs(look))
    }

    /// Row 8: remembers the socket, or finds that another command used it before.
    fn one_way_use(
        &mut self,
        look: &Arc<Look>,
        program: &Program,
        socket: &Arc<Socket>,
        host: &impl Host,
        out: &mut Vec<Detection>,
    ) -> Option<FindingId> {
        let anchor = Anchor::of_socket(socket);
        if let Some(id) = self.incident_at(anchor, socket) {
            self.doubt(id, look, (Row::SecondOneWay, socket), None, host);
            return Some(id);
        }
        self.tally.one_way += 1;
        let earlier = self.one_way.get(&socket.inode).filter(|earlier| earlier.cookie == socket.cookie);
        let second = earlier.filter(|e| e.process != look.key && e.command != program.name).cloned();
        let Some(first) = second else {
            if earlier.is_none_or(|earlier| earlier.process == look.key) {
                let mut kept = Look::clone(look);
                kept.exe.handle = None;
                let memory = OneWay {
                    cookie: socket.cookie,
                    process: look.key,
                    command: program.name.clone(),
                    look: Arc::new(kept),
                };
                if self.one_way.insert(socket.inode, memory).is_some() {
                    self.losses.push((Loss::MemoryEvicted, 1));
                }
            }
            return None;
        };
        let excused = self.excused(look, Row::SecondOneWay, socket, None, host);
        if matches!(excused, Excused::Yes) {
            self.tally.allowed += 1;
            return None;
        }
        self.one_way.remove(&socket.inode);
        let mut judgement = self.judgement(look, program, Row::SecondOneWay, direct_tether(look, socket));
        judgement.evidence.push(format!(
            "{} (pid {}) used the same socket before",
            text::escape(first.command.as_bytes()),
            first.process.pid
        ));
        let id = self.open(judgement, anchor, look, host, out);
        self.note_excuse(id, excused, true, look.at);
        if let Some(incident) = self.incidents.get_mut(&id) {
            incident.join(&first.look);
        }
        Some(id)
    }

    fn open_or_raise(
        &mut self,
        open: Option<FindingId>,
        judgement: Judgement,
        anchor: Anchor,
        (program, look): (&Program, &Arc<Look>),
        host: &impl Host,
        out: &mut Vec<Detection>,
    ) -> FindingId {
        let Some(id) = open else { return self.open(judgement, anchor, look, host, out) };
        self.raise(id, judgement, program, look);
        id
    }

    fn raise(&mut self, id: FindingId, judgement: Judgement, program: &Program, look: &Arc<Look>) {
        if let Some(incident) = self.incidents.get_mut(&id) {
            incident.raise(judgement, look);
            disguise::explain(incident, program, look);
        }
    }

    fn judgement(&self, look: &Look, program: &Program, row: Row, tether: Tether) -> Judgement {
        let mut evidence = vec![format!("row {}: {}", row.number(), row.meaning())];
        let mut severity = row.severity();
        if tether.socket.scope() == Scope::Loopback && self.settings.loopback_lowers {
            severity = severity.lowered();
            evidence.push("the peer is on loopback, which lowers the severity by one step".into());
        }
        for launcher in &program.launchers {
            evidence.push(format!("started through {}", text::escape(launcher.as_bytes())));
        }
        if let Some(multicall) = &program.multicall {
            let (applet, whole) = (text::escape(program.name.as_bytes()), text::escape(multicall.as_bytes()));
            evidence.push(format!("{applet} is an applet of {whole}"));
        }
        evidence.extend(program.evidence.iter().cloned());
        if look.exe.is_memfd() {
            evidence.push("the program runs from anonymous memory (memfd)".into());
        } else if look.exe.deleted {
            evidence.push("the program's file has been deleted".into());
        }
        Judgement { row, severity, evidence, tether }
    }

    /// The incident on this anchor. Of a socket it must be this very one: inodes are used again, cookies are not.
    fn incident_at(&self, anchor: Anchor, socket: &Socket) -> Option<FindingId> {
        let id = *self.by_anchor.get(&anchor)?;
        if !matches!(anchor, Anchor::Socket(_)) {
            return self.incidents.get(&id).map(|_| id);
        }
        let known = self.incidents.get(&id)?.socket();
        let same = known.cookie.is_none() || socket.cookie.is_none() || known.cookie == socket.cookie;
        same.then_some(id)
    }

    fn open(
        &mut self,
        mut judgement: Judgement,
        anchor: Anchor,
        look: &Arc<Look>,
        host: &impl Host,
        out: &mut Vec<Detection>,
    ) -> FindingId {
        let socket = judgement.tether.socket.clone();
        let id = anchor.name(&self.place.boot_id, &socket);
        let holder = judgement.tether.hops.last().map_or(look.key.pid, |hop| hop.process.pid);
        let (direction, why) = direction::direction(&socket, look, holder, host);
        judgement.evidence.extend(why.map(str::to_owned));
        let restored = self.restored.remove(&id).unwrap_or_default();
        let most = self.settings.processes_max;
        let incident =
            Incident::new(id, anchor, judgement, (direction, socket.scope()), look.clone(), restored, most);
        self.tally.incidents += 1;
        self.by_anchor.insert(anchor, id);
        if let Some((_, mut evicted)) = self.incidents.insert(id, incident) {
            self.losses.push((Loss::IncidentEvicted, 1));
            self.unlist(&evicted);
            if evicted.state == State::Active {
                out.push(evicted.close("closed early: more incidents are open than the table holds"));
            }
        }
        id
    }
}

fn push_new(list: &mut Vec<FindingId>, id: FindingId) {
    if !list.contains(&id) {
        // The newest tether is the one that children most likely use: it comes first.
        list.insert(0, id);
    }
}
