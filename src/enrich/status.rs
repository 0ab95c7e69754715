//! What a record does not say, and why.
//!
//! Owns: `Enrichment_Status`. Must not own: deciding what is missing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// Why something is not there that may be there in a moment: nobody waits for it any longer.
pub(super) const LATE: &str = "not ready in time";
/// The most things that are named.
const MISSING_MAX: usize = 16;

/// What is missing from one record.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    missing: BTreeMap<String, String>,
    awaits: bool,
}

impl Status {
    /// `what` is not in the record, because of `why`. The first reason for one thing is kept.
    pub(super) fn miss(&mut self, what: &str, why: &str) {
        self.awaits |= why == LATE;
        if self.missing.len() < MISSING_MAX {
            self.missing.entry(what.to_owned()).or_insert_with(|| why.to_owned());
        }
    }

    /// Something that is missing may come.
    pub(super) fn await_more(&mut self) {
        self.awaits = true;
    }

    /// Whether something that is missing may come in a moment.
    pub(super) fn awaits(&self) -> bool {
        self.awaits
    }

    /// `{"complete": bool, "missing": ["what: why", ...]}`.
    pub(super) fn value(&self) -> Value {
        let missing: Vec<String> = self.missing.iter().map(|(what, why)| format!("{what}: {why}")).collect();
        json!({ "complete": missing.is_empty(), "missing": missing })
    }
}
