//! When an incident's next record is due.
//!
//! Owns: the list of what is due, issuing it, and forgetting incidents that ended long ago. Must not own: what a record
//! says (`incident`).

use crate::engine::Engine;
use crate::engine::incident::Incident;
use crate::model::clock::{Moment, SECOND};
use crate::model::detection::Detection;
use crate::model::ids::FindingId;

/// How long an ended incident is remembered, so that it goes on under its name and count if its socket is used again.
const REMEMBER_NS: u64 = 60 * SECOND;

impl Engine {
    pub(super) fn forget_ended(&mut self, now: Moment) {
        let old: Vec<FindingId> = self
            .incidents
            .iter()
            .filter(|(_, incident)| incident.ended_before(now, REMEMBER_NS))
            .map(|(id, _)| *id)
            .collect();
        for id in old {
            if let Some(incident) = self.incidents.remove(&id) {
                self.unlist(&incident);
            }
        }
    }

    pub(super) fn unlist(&mut self, incident: &Incident) {
        self.pending.remove(&incident.id());
        let anchor = incident.anchor();
        if self.by_anchor.get(&anchor) == Some(&incident.id()) {
            self.by_anchor.remove(&anchor);
        }
        if let Some(at) = incident.listed_ns {
            self.due.remove(&(at, incident.id()));
        }
    }

    /// Puts an incident where its next record is due.
    pub(super) fn touch(&mut self, id: FindingId, now: Moment) {
        let reissue = self.settings.reissue_seconds.saturating_mul(SECOND);
        let Some(incident) = self.incidents.get_mut(&id) else { return };
        let next = incident.due_ns(reissue).map(|at| at.max(now.mono_ns));
        if let Some(at) = std::mem::replace(&mut incident.listed_ns, next) {
            self.due.remove(&(at, id));
        }
        self.due.extend(next.map(|at| (at, id)));
    }

    pub(super) fn issue_due(&mut self, now: Moment, out: &mut Vec<Detection>) {
        let reissue = self.settings.reissue_seconds.saturating_mul(SECOND);
        while let Some((at, id)) = self.due.first().copied() {
            if at > now.mono_ns {
                break;
            }
            self.due.pop_first();
            let Some(incident) = self.incidents.get_mut(&id) else { continue };
            out.extend(incident.issue(now, reissue));
            incident.listed_ns = incident.due_ns(reissue).map(|at| at.max(now.mono_ns + 1));
            self.due.extend(incident.listed_ns.map(|at| (at, id)));
        }
    }
}
