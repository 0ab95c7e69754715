//! What an earlier daemon recorded of an incident.
//!
//! Owns: keeping it small. A tree of JSON values takes ten times the memory of its text, and a start may take up thousands of
//! incidents, each of which is asked for it again only when it goes on. Must not own: which entries are sound (`enrich`).

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Its processes and its timeline, as JSON text; clones share it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earlier(Option<Arc<str>>);

/// That text, as it is written.
#[derive(Serialize)]
struct Text<'a, P> {
    processes: &'a [P],
    timeline: &'a [Value],
}

/// The same as values.
#[derive(Debug, Default, PartialEq, Deserialize)]
pub struct Entries {
    /// Objects of the `Process` message, oldest first.
    pub processes: Vec<Value>,
    /// Entries of `Timeline`, oldest first.
    pub timeline: Vec<Value>,
}

impl Earlier {
    /// Keeps these.
    pub fn new(processes: &[impl Serialize], timeline: &[Value]) -> Self {
        Self(serde_json::to_string(&Text { processes, timeline }).ok().map(Into::into))
    }

    /// Takes them out again; nothing where there was no earlier daemon.
    pub fn entries(&self) -> Entries {
        self.0.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_put_in_comes_out() {
        assert_eq!(Earlier::default().entries(), Entries::default());
        let (processes, timeline) =
            (vec![json!({"pid": "7", "args": ["\u{1}", "é"]})], vec![json!(1), json!({})]);
        let entries = Earlier::new(&processes, &timeline).entries();
        assert_eq!((entries.processes, entries.timeline), (processes, timeline));
    }
}
