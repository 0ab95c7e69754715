//! Everything that runs on one tether, from its first command to its last.
//!
//! Owns: the timeline (capped, counts exact beyond it), when the next record is due, and the snapshot. Must not own:
//! which process belongs to it (`engine`), writing records.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::engine::anchor::Anchor;
use crate::model::clock::{Moment, SECOND};
use crate::model::detection::{Detection, Observations, Row, Severity, State};
use crate::model::earlier::Earlier;
use crate::model::ids::{FindingId, ProcessKey};
use crate::model::look::{Look, Observation};
use crate::model::socket::{Direction, Scope};
use crate::model::stdio::Tether;

/// Two looks at one exec are no further apart, unless one is a later look.
const SAME_EXEC_NS: u64 = SECOND / 10;
/// How long an incident without processes waits for another before it is called ended: a service that runs one
/// command for each line has none in between.
pub const LINGER_NS: u64 = 2 * SECOND;
/// The most bytes of arguments kept of a process that is not the finding's subject.
const SLIM_ARGS_BYTES: usize = 2048;
/// The most sentences of evidence.
const EVIDENCE_MAX: usize = 16;

/// What an earlier daemon's records tell of an incident that may still go on.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// Its name.
    pub id: Option<FindingId>,
    /// How many commands had run.
    pub process_count: u64,
    /// The same by how they were seen.
    pub observations: Observations,
    /// The first of them.
    pub first_seen: Moment,
    /// What the newest record says of its processes.
    pub earlier: Earlier,
    /// Which lives those were: they are not counted again.
    pub known: Vec<ProcessKey>,
    /// Its severity.
    pub severity: Option<Severity>,
}

/// The part of an incident that can change for the worse.
#[derive(Clone, Debug)]
pub struct Judgement {
    /// The row met.
    pub row: Row,
    /// Its severity, after the peer's scope.
    pub severity: Severity,
    /// Why.
    pub evidence: Vec<String>,
    /// The way to the network.
    pub tether: Tether,
}

/// One incident.
#[derive(Clone, Debug)]
pub struct Incident {
    id: FindingId,
    anchor: Anchor,
    judgement: Judgement,
    direction: Direction,
    scope: Scope,
    subject: Arc<Look>,
    head: Vec<Arc<Look>>,
    tail: VecDeque<Arc<Look>>,
    most: usize,
    count: u64,
    observations: Observations,
    first_seen: Moment,
    last_seen: Moment,
    restored: Restored,
    /// Living processes on the tether.
    pub alive: u64,
    /// Going on?
    pub state: State,
    /// Something has changed since the last record.
    pub dirty: bool,
    /// Where the engine has it in its list of what is due.
    pub listed_ns: Option<u64>,
    last_issue_ns: Option<u64>,
    ends_at_ns: Option<u64>,
    excused_by: Option<(String, String)>,
}

impl Incident {
    /// A new incident whose first process is `subject`; [`Incident::join`] puts it on the timeline.
    pub fn new(
        id: FindingId,
        anchor: Anchor,
        judgement: Judgement,
        (direction, scope): (Direction, Scope),
        subject: Arc<Look>,
        restored: Restored,
        most: usize,
    ) -> Self {
        let first_seen = if restored.process_count > 0 { restored.first_seen } else { subject.at };
        Self {
            id,
            anchor,
            judgement,
            direction,
            scope,
            first_seen,
            last_seen: subject.at,
            subject,
            head: Vec::new(),
            tail: VecDeque::new(),
            most: most.max(2),
            count: restored.process_count,
            observations: restored.observations,
            restored,
            alive: 0,
            state: State::Active,
            dirty: true,
            listed_ns: None,
            last_issue_ns: None,
            ends_at_ns: None,
            excused_by: None,
        }
    }

    /// Its name.
    pub fn id(&self) -> FindingId {
        self.id
    }

    /// What it hangs on.
    pub fn anchor(&self) -> Anchor {
        self.anchor
    }

    /// Its severity so far.
    pub fn severity(&self) -> Severity {
        self.judgement.severity
    }

    /// The inode of its socket.
    pub fn socket(&self) -> &crate::model::socket::Socket {
        &self.judgement.tether.socket
    }

    /// A command ran on the tether.
    pub fn join(&mut self, look: &Arc<Look>) {
        self.state = State::Active;
        self.last_seen = look.at;
        // Who is known to be gone does not enter.
        self.ends_unless_alive(look.at);
        if self.restored.known.contains(&look.key) && look.key.start.0 > 0 {
            return;
        }
        self.dirty = true;
        self.count += 1;
        self.observations.add(look.seen);
        let entry = if Arc::ptr_eq(look, &self.subject) { look.clone() } else { Arc::new(slim(look)) };
        if self.head.len() < self.most / 2 {
            self.head.push(entry);
        } else {
            self.tail.push_back(entry);
            if self.tail.len() > self.most - self.most / 2 {
                self.tail.pop_front();
            }
        }
    }

    /// An exec that is counted already was read while it waited: whoever was counted live was that.
    pub fn was_held(&mut self, look: &Look) {
        let same = |entry: &&mut Arc<Look>| {
            entry.key == look.key && entry.seen == Observation::Live && entry.args.list == look.args.list
        };
        if let Some(entry) = self.head.iter_mut().chain(&mut self.tail).rev().find(same) {
            Arc::make_mut(entry).seen = Observation::Held;
            self.observations.live = self.observations.live.saturating_sub(1);
            self.observations.held += 1;
            self.dirty = true;
        }
    }

    /// Whether this very exec is on the timeline: the relay thread looks at what the sensor has looked at, and later.
    pub fn has(&self, look: &Look) -> bool {
        self.head.iter().chain(&self.tail).any(|entry| is_same_exec(entry, look))
    }

    /// What a relayed look is as the subject: if its exec is on the timeline, with that entry's time and sight, and in its
    /// place. Else it would stand in the record a second time.
    fn placed(&mut self, look: &Arc<Look>) -> Arc<Look> {
        let mut entries = self.head.iter_mut().chain(&mut self.tail);
        match entries.find(|entry| look.relayed.is_some() && is_same_exec(entry, look)) {
            Some(entry) => {
                *entry = Arc::new(Look { at: entry.at, seen: entry.seen, ..Look::clone(look) });
                entry.clone()
            }
            None => look.clone(),
        }
    }

    /// A process met a row: it becomes the subject if that is worse than what was known.
    pub fn raise(&mut self, judgement: Judgement, subject: &Arc<Look>) {
        // A shell says more than the command that the tool executed to start it.
        let shell = (self.judgement.row, judgement.row) == (Row::RelayedByTool, Row::RelayedShell)
            && judgement.severity == self.judgement.severity;
        if shell || judgement.severity > self.judgement.severity {
            self.judgement = judgement;
            self.subject = self.placed(subject);
            self.dirty = true;
        }
    }

    /// Whether this process gave the severity.
    pub fn is_about(&self, look: &Look) -> bool {
        self.subject.key == look.key
    }

    /// A living process is on the tether, a new one or one that was thought to have left.
    pub fn enter(&mut self) {
        self.alive += 1;
        self.ends_at_ns = None;
        if self.state != State::Active {
            self.state = State::Active;
            self.dirty = true;
        }
    }

    /// One process on the tether has ended.
    pub fn leave(&mut self, at: Moment) {
        self.alive = self.alive.saturating_sub(1);
        if self.alive == 0 && self.state == State::Active {
            self.last_seen = at;
            self.ends_unless_alive(at);
        }
    }

    /// Without processes it lingers, and ends.
    fn ends_unless_alive(&mut self, at: Moment) {
        self.ends_at_ns = (self.alive == 0).then(|| at.mono_ns.saturating_add(LINGER_NS));
    }

    /// When there will be something to report, in nanoseconds of the monotonic clock.
    pub fn due_ns(&self, reissue_ns: u64) -> Option<u64> {
        let Some(last) = self.last_issue_ns else { return Some(0) };
        let earliest = last.saturating_add(reissue_ns);
        let change = self.dirty.then_some(earliest);
        let end = self.ends_at_ns.map(|end| end.max(earliest));
        change.into_iter().chain(end).min()
    }

    /// The record that is due now, if one is.
    pub fn issue(&mut self, now: Moment, reissue_ns: u64) -> Option<Detection> {
        if self.due_ns(reissue_ns)? > now.mono_ns {
            return None;
        }
        if self.ends_at_ns.is_some_and(|end| end <= now.mono_ns) {
            self.state = State::Inactive;
            self.ends_at_ns = None;
        }
        self.dirty = false;
        self.last_issue_ns = Some(now.mono_ns);
        let detection = self.snapshot();
        self.release_files();
        Some(detection)
    }

    /// Ends the incident before its time.
    pub fn close(&mut self, why: &str) -> Detection {
        self.state = State::Inactive;
        self.explain(why.to_owned());
        self.snapshot()
    }

    /// Takes it back: this rule excuses it, for this reason.
    pub fn withdraw(&mut self, rule: String, reason: String) -> Detection {
        self.state = State::Inactive;
        self.excused_by = Some((rule, reason));
        self.snapshot()
    }

    /// Whether it ended at least `ns` ago.
    pub fn ended_before(&self, now: Moment, ns: u64) -> bool {
        self.state == State::Inactive && now.since(self.last_seen) > ns
    }

    /// Adds a sentence to the evidence.
    pub fn explain(&mut self, sentence: String) {
        let evidence = &mut self.judgement.evidence;
        if evidence.len() < EVIDENCE_MAX && !evidence.contains(&sentence) {
            evidence.push(sentence);
            self.dirty = true;
        }
    }

    fn snapshot(&self) -> Detection {
        Detection {
            id: self.id,
            state: self.state,
            severity: self.judgement.severity.max(self.restored.severity.unwrap_or(Severity::Low)),
            row: self.judgement.row,
            evidence: self.judgement.evidence.clone(),
            tether: self.judgement.tether.clone(),
            direction: self.direction,
            scope: self.scope,
            subject: self.subject.clone(),
            processes: self.head.iter().chain(&self.tail).cloned().collect(),
            process_count: self.count,
            observations: self.observations,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
            excused_by: self.excused_by.clone(),
            earlier: self.restored.earlier.clone(),
        }
    }

    /// Program files are held open until their first record, so that they can be hashed; then they are let go. The
    /// subject stays the same entry as its place on the timeline.
    fn release_files(&mut self) {
        let subject = self.subject.clone();
        if subject.exe.handle.is_some() {
            self.subject = without_file(&subject);
        }
        for entry in self.head.iter_mut().chain(&mut self.tail) {
            if Arc::ptr_eq(entry, &subject) {
                *entry = self.subject.clone();
            } else if entry.exe.handle.is_some() {
                *entry = without_file(entry);
            }
        }
    }
}

/// Whether a look shows the exec that an entry is of.
fn is_same_exec(entry: &Look, look: &Look) -> bool {
    entry.key == look.key
        && entry.exe.path == look.exe.path
        && entry.args.list == look.args.list
        && (look.seen == Observation::Swept || entry.at.mono_ns.abs_diff(look.at.mono_ns) < SAME_EXEC_NS)
}

fn without_file(look: &Look) -> Arc<Look> {
    let mut look = look.clone();
    look.exe.handle = None;
    Arc::new(look)
}

/// What the timeline keeps of a process that is not the subject.
fn slim(look: &Look) -> Look {
    let mut look = look.clone();
    look.ancestors = Vec::new();
    let mut room = SLIM_ARGS_BYTES;
    let fits = look.args.list.iter().take_while(|arg| {
        let fits = arg.len() <= room;
        room = room.saturating_sub(arg.len());
        fits
    });
    let keep = fits.count();
    if keep < look.args.list.len() {
        look.args.list.truncate(keep);
        look.args.truncated = true;
    }
    look
}
