//! What can be told of a record without reading all of it.
//!
//! Owns: the few fields that numbering, chaining and choosing go by. Must not own: the rest (`model::finding::Record`).
//!
//! Taking a line of five thousand bytes apart costs far more than handing it on as it stands. Words that are not known (a
//! spool of a newer version) are left out rather than taken for damage: what is handed on is the line.

use std::borrow::Cow;

use serde::Deserialize;

use super::segment::SEQUENCE_MAX;
use crate::model::detection::Severity;

/// The few fields of a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Its number in its spool.
    pub sequence: u64,
    /// Its category.
    pub category: String,
    /// How bad; observations have none.
    pub severity: Option<Severity>,
    /// When it was written (RFC 3339).
    pub create_time: String,
    /// Its pod's namespace.
    pub namespace: Option<String>,
    /// The SHA-256 of the line before it.
    pub previous_sha256: Option<String>,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    finding: Finding<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Finding<'a> {
    #[serde(borrow)]
    category: Cow<'a, str>,
    #[serde(borrow, default)]
    severity: Option<Cow<'a, str>>,
    #[serde(borrow)]
    create_time: Cow<'a, str>,
    #[serde(borrow)]
    source_properties: Properties<'a>,
}

#[derive(Deserialize)]
struct Properties<'a> {
    #[serde(borrow, rename = "Sequence")]
    sequence: Cow<'a, str>,
    #[serde(borrow, default, rename = "Pod_Namespace")]
    namespace: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "Previous_Record_Sha256")]
    previous_sha256: Option<Cow<'a, str>>,
}

impl Summary {
    /// Of a line; `None` where it is no record that a writer has numbered.
    pub fn of(line: &[u8]) -> Option<Self> {
        let Finding { category, severity, create_time, source_properties } =
            serde_json::from_slice::<Line<'_>>(line).ok()?.finding;
        let sequence = source_properties.sequence.parse().ok()?;
        (1..=SEQUENCE_MAX).contains(&sequence).then(|| Self {
            sequence,
            category: category.into_owned(),
            severity: severity.and_then(|word| word.parse().ok()),
            create_time: create_time.into_owned(),
            namespace: source_properties.namespace.map(Cow::into_owned),
            previous_sha256: source_properties.previous_sha256.map(Cow::into_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::property;
    use crate::spool::lines::parse;
    use proptest::prelude::*;

    const LINE: &str = r#"{"finding":{"name":"f","category":"C","severity":"HIGH","createTime":"T","more":[{"a":"\u00e4"}],
        "sourceProperties":{"Sequence":"7","Pod_Namespace":"sh\u006fp","Previous_Record_Sha256":"ab","Other":{"Sequence":"9"}}}}"#;

    #[test]
    fn the_fields() {
        let summary = Summary::of(LINE.as_bytes()).unwrap();
        assert_eq!((summary.sequence, summary.severity), (7, Some(Severity::High)));
        assert_eq!(summary.namespace.as_deref(), Some("shop"));
        assert_eq!((summary.category.as_str(), summary.previous_sha256.as_deref()), ("C", Some("ab")));
    }

    #[test]
    fn what_is_no_record_and_what_is_only_newer() {
        for (from, to) in [
            (r#""Sequence":"7""#, r#""Sequence":"0""#),
            (r#""Sequence":"7""#, r#""Sequence":"x""#),
            (r#""category":"C","#, ""),
            ("}]", "]"),
        ] {
            assert!(LINE.contains(from) && Summary::of(LINE.replace(from, to).as_bytes()).is_none(), "{to}");
        }
        assert_eq!(Summary::of(LINE.replace("HIGH", "DIRE").as_bytes()).unwrap().severity, None);
    }

    /// What the whole record says, of any record that a writer makes.
    #[test]
    fn it_is_the_records() {
        let now = crate::model::clock::Moment { mono_ns: 1, wall_ns: 1_795_492_217_123_456_789 };
        let properties = [
            (property::SEQUENCE.to_owned(), "42".into()),
            (property::PREVIOUS_SHA256.to_owned(), "ef".into()),
        ];
        let record = crate::spool::record::observation("Tetherd: Ä", "x", properties.into(), now, "boot");
        let line = serde_json::to_vec(&record).unwrap();
        let (summary, whole) = (Summary::of(&line).unwrap(), parse(&line).unwrap());
        assert_eq!((summary.sequence, &summary.category), (whole.sequence(), &whole.finding.category));
        assert_eq!((summary.severity, &summary.create_time), (None, &whole.finding.create_time));
        assert_eq!(summary.previous_sha256.as_deref(), whole.text(property::PREVIOUS_SHA256));
    }

    proptest! {
        #[test]
        fn anything_may_stand_there(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Summary::of(&bytes);
        }
    }
}
