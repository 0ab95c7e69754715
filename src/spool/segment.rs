//! How segments are named, and places in them.
//!
//! Owns: the name and [`Position`]. Must not own: files.

use serde::{Deserialize, Serialize};

/// A place in the spool, between two lines.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// The segment, by the first sequence number, which is in its name.
    pub segment: u64,
    /// Bytes from its beginning.
    pub offset: u64,
}

/// The name of the segment whose first record has the number `first`: 12 digits, more where 12 do not suffice.
pub fn name(first: u64) -> String {
    format!("findings-{first:012}.jsonl")
}

/// The highest number that is believed. What is higher is damage: a machine does not write so many records.
pub const SEQUENCE_MAX: u64 = 1 << 60;

/// The inverse of [`name`]; `None` for every other name, and for numbers over [`SEQUENCE_MAX`].
pub fn parse_name(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("findings-")?.strip_suffix(".jsonl")?;
    let first = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok()).flatten()?;
    (first <= SEQUENCE_MAX && name(first) == text).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_our_names() {
        for bad in [
            "",
            "findings-1.jsonl",
            "findings-0000000000001.jsonl",
            "findings-+00000000001.jsonl",
            "findings-000000000001.jsonl.gz",
            "findings-99999999999999999999999.jsonl",
            ".findings-000000000001.jsonl",
        ] {
            assert_eq!(parse_name(bad), None, "{bad}");
        }
        assert_eq!(parse_name("findings-000000000001.jsonl"), Some(1));
    }

    proptest! {
        #[test]
        fn round_trip(first in 0..=SEQUENCE_MAX, text in ".{0,40}") {
            prop_assert_eq!(parse_name(&name(first)), Some(first));
            let _ = parse_name(&text);
        }
    }
}
