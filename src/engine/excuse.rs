//! Asking the allow rules, also later.
//!
//! Owns: what is asked of the rules, and incidents that a rule may yet excuse because the runtime has not said yet what
//! container that is. Must not own: matching (`policy`), finding out about containers (the host).
//!
//! A rule that asks for what is not known excuses nothing, and nothing waits for it: the finding is recorded as any other.
//! When the answer comes and every command on the tether that met a row turns out to be excused, the finding is withdrawn:
//! one more record says so, and names the rule.

use std::sync::Arc;

use crate::engine::policy::{Candidate, Excuse, Rule, RuleSet};
use crate::engine::{Engine, direction};
use crate::host::Host;
use crate::model::clock::{MILLISECOND, Moment, SECOND};
use crate::model::detection::{Detection, Row};
use crate::model::ids::FindingId;
use crate::model::look::Look;
use crate::model::relay::Relay;
use crate::model::socket::{Direction, Socket};
use crate::model::stdio::TetherKind;
use crate::model::text::escape;

/// How many incidents may be in doubt at one time; further ones stay findings.
const PENDING_MAX: usize = 256;
/// How many commands of one incident may be; with more it stays a finding.
const PLEAS_MAX: usize = 16;
/// How long an incident is in doubt; then it stays a finding.
const PENDING_NS: u64 = 30 * SECOND;
/// How often the host is asked again: first, and after a second.
const ASK_NS: (u64, u64) = (20 * MILLISECOND, SECOND / 2);

/// What the rules are asked about.
#[derive(Clone, Debug)]
pub(super) struct Plea {
    look: Arc<Look>,
    row: Row,
    socket: Arc<Socket>,
    relay: Option<Arc<Relay>>,
    direction: Direction,
}

/// What they say.
#[derive(Debug)]
pub(super) enum Excused {
    Yes,
    No,
    /// This rule may, when more is known of the container.
    Later(String, Plea),
}

/// An incident that may be excused yet.
#[derive(Debug)]
pub(super) struct Pending {
    pleas: Vec<Plea>,
    since: Moment,
}

impl Engine {
    /// Whether a rule excuses what would be a finding.
    pub(super) fn excused(
        &self,
        look: &Arc<Look>,
        row: Row,
        socket: &Arc<Socket>,
        relay: Option<&Arc<Relay>>,
        host: &impl Host,
    ) -> Excused {
        let holder = relay.map_or(look.key.pid, |relay| relay.process.key.pid);
        let (direction, _) = direction::direction(socket, look, holder, host);
        let plea = Plea { look: look.clone(), row, socket: socket.clone(), relay: relay.cloned(), direction };
        match self.plead(&self.rules, &plea, !self.hurried, host) {
            Excuse::Yes(rule) => {
                rule.count_hit();
                Excused::Yes
            }
            Excuse::No => Excused::No,
            Excuse::Later(rule) => Excused::Later(rule.name.clone(), plea),
        }
    }

    fn plead<'a>(&self, rules: &'a RuleSet, plea: &Plea, wait: bool, host: &impl Host) -> Excuse<'a> {
        let Plea { look, row, socket, relay, direction } = plea;
        let candidate = Candidate {
            look,
            row: *row,
            socket,
            direction: *direction,
            scope: socket.scope(),
            kind: if relay.is_some() { TetherKind::Relayed } else { TetherKind::Direct },
            relay: relay.as_deref(),
            on_host: self.place.mount_namespace.is_some()
                && look.namespaces.mnt == self.place.mount_namespace
                && look.root == b"/",
            host_mount_namespace: self.place.mount_namespace,
        };
        rules.excuse(&candidate, look.at.wall_ns, || host.contained(look, wait))
    }

    /// Whether any of these incidents is a finding whatever the rules say of what joins it.
    pub(super) fn is_firm(&self, incidents: impl IntoIterator<Item = FindingId>) -> bool {
        incidents.into_iter().any(|id| !self.pending.contains_key(&id))
    }

    /// Notes what the rules say of one more command on an incident's tether.
    pub(super) fn note_excuse(&mut self, id: FindingId, excused: Excused, is_new: bool, now: Moment) {
        match excused {
            Excused::Yes => {}
            Excused::No => drop(self.pending.remove(&id)),
            Excused::Later(rule, plea) => {
                if is_new && self.pending.len() < PENDING_MAX {
                    self.pending.insert(id, Pending { pleas: Vec::new(), since: now });
                    self.ask_at_ns = self.ask_at_ns.min(now.mono_ns + ASK_NS.0);
                }
                let Some(pending) = self.pending.get_mut(&id) else { return };
                pending.pleas.push(plea);
                if pending.pleas.len() > PLEAS_MAX {
                    self.pending.remove(&id);
                }
                if let Some(incident) = self.incidents.get_mut(&id) {
                    incident.explain(format!(
                        "when it was judged, it was not known whether the allow rule {} excuses it: the runtime had not \
                         said yet what container that is",
                        escape(rule.as_bytes())
                    ));
                }
            }
        }
    }

    /// What joins an incident that is in doubt by its socket alone is judged as if it had made one.
    pub(super) fn doubt(
        &mut self,
        id: FindingId,
        look: &Arc<Look>,
        (row, socket): (Row, &Arc<Socket>),
        relay: Option<&Arc<Relay>>,
        host: &impl Host,
    ) {
        if self.pending.contains_key(&id) {
            let excused = self.excused(look, row, socket, relay, host);
            self.note_excuse(id, excused, false, look.at);
        }
    }

    /// Asks again for the incidents that are in doubt.
    pub(super) fn ask_rules_again(&mut self, now: Moment, host: &impl Host, out: &mut Vec<Detection>) {
        if self.pending.is_empty() || now.mono_ns < self.ask_at_ns {
            return;
        }
        let rules = self.rules.clone();
        let ids: Vec<FindingId> = self.pending.keys().copied().collect();
        for id in ids {
            let Some(pending) = self.pending.get(&id) else { continue };
            let answers: Vec<Excuse<'_>> =
                pending.pleas.iter().map(|plea| self.plead(&rules, plea, false, host)).collect();
            let over = now.since(pending.since) > PENDING_NS;
            let by: Option<Vec<&Rule>> = answers.iter().map(Excuse::rule).collect();
            if let Some(by) = by {
                self.withdraw(id, &by, out);
            } else if over || answers.iter().any(|answer| matches!(answer, Excuse::No)) {
                self.pending.remove(&id);
            }
        }
        let young = self.pending.values().any(|pending| now.since(pending.since) < SECOND);
        let next = if young { ASK_NS.0 } else { ASK_NS.1 };
        self.ask_at_ns = if self.pending.is_empty() { u64::MAX } else { now.mono_ns + next };
    }

    /// What had been found is excused by these rules, one for each command; the first is named.
    fn withdraw(&mut self, id: FindingId, rules: &[&Rule], out: &mut Vec<Detection>) {
        let Some((first, mut incident)) = rules.first().zip(self.incidents.remove(&id)) else { return };
        rules.iter().for_each(|rule| rule.count_hit());
        self.unlist(&incident);
        self.tally.withdrawn += 1;
        out.push(incident.withdraw(first.name.clone(), first.reason.clone()));
    }
}
