//! What a record does not say, and why.
//!
//! Owns: `Enrichment_Status`. Must not own: deciding what is missing.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The most things that are named.
const MISSING_MAX: usize = 16;

/// What is missing from one record.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    missing: BTreeMap<String, String>,
}

impl Status {
    /// `what` is not in the record, because of `why`. The first reason for one thing is kept.
    pub(super) fn miss(&mut self, what: &str, why: &str) {
        if self.missing.len() < MISSING_MAX {
            self.missing.entry(what.to_owned()).or_insert_with(|| why.to_owned());
        }
    }

    /// `{"complete": bool, "missing": ["what: why", ...]}`.
    pub(super) fn value(&self) -> Value {
        let missing: Vec<String> = self.missing.iter().map(|(what, why)| format!("{what}: {why}")).collect();
        json!({ "complete": missing.is_empty(), "missing": missing })
    }
}
