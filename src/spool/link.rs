//! What of a line the chain is made of.
//!
//! Owns: reading just that, whatever version wrote the rest. Must not own: whether it fits (`verify`), the whole record
//! (`lines::parse`).

use serde::Deserialize;
use serde_json::Value;

use super::segment::SEQUENCE_MAX;
use crate::model::finding::{SCHEMA_VERSION, property};

/// The longest name and time that are kept.
const TEXT_MAX: usize = 200;

/// The chain's part of a record.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Link {
    finding: Finding,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Finding {
    name: String,
    category: String,
    create_time: String,
    source_properties: serde_json::Map<String, Value>,
}

impl Link {
    /// Of a line; `None` where it has no number, or one that no writer gives.
    pub(super) fn of(line: &[u8]) -> Option<Self> {
        let link: Self = serde_json::from_slice(line).ok()?;
        (1..=SEQUENCE_MAX).contains(&link.sequence()).then_some(link)
    }

    /// Its number; 0 for none.
    pub(super) fn sequence(&self) -> u64 {
        self.number(property::SEQUENCE)
    }

    /// The hash that it names as that of the line before it.
    pub(super) fn previous(&self) -> &str {
        self.text(property::PREVIOUS_SHA256)
    }

    /// `finding.name`, cut at 200 bytes.
    pub(super) fn name(&self) -> &str {
        crate::model::text::cut(&self.finding.name, TEXT_MAX)
    }

    /// `finding.createTime`, cut at 200 bytes.
    pub(super) fn time(&self) -> &str {
        crate::model::text::cut(&self.finding.create_time, TEXT_MAX)
    }

    /// `finding.category`.
    pub(super) fn category(&self) -> &str {
        &self.finding.category
    }

    /// A property that is a text; empty where there is none.
    pub(super) fn text(&self, key: &str) -> &str {
        self.finding.source_properties.get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// A property that is a number or a text of digits; 0 where there is none.
    pub(super) fn number(&self, key: &str) -> u64 {
        match self.finding.source_properties.get(key) {
            Some(Value::String(text)) => text.parse().unwrap_or(0),
            Some(value) => value.as_u64().unwrap_or(0),
            None => 0,
        }
    }

    /// Whether a later version than this one wrote it.
    pub(super) fn is_newer(&self) -> bool {
        let own: u64 = SCHEMA_VERSION.parse().unwrap_or(0);
        self.number(property::SCHEMA_VERSION) > own
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_else_the_line_says() {
        let line = br#"{"finding":{"name":"a/findings/b","colour":7,"sourceProperties":{"Sequence":"5",
            "Schema_Version":"2","Previous_Record_Sha256":"ab","More":{"x":[]}}},"planet":"mars"}"#;
        let link = Link::of(line).unwrap();
        assert_eq!((link.sequence(), link.previous(), link.is_newer()), (5, "ab", true));
        for bad in [
            &b""[..],
            b"{}",
            b"[]",
            b"\xff",
            br#"{"finding":{}}"#,
            br#"{"finding":{"sourceProperties":{"Sequence":"0"}}}"#,
            br#"{"finding":{"sourceProperties":{"Sequence":"18446744073709551615"}}}"#,
            br#"{"finding":{"sourceProperties":{"Sequence":["1"]}}}"#,
        ] {
            assert!(Link::of(bad).is_none(), "{bad:?}");
        }
    }
}
