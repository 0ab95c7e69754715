//! A record as one flat object, short enough for syslog.
//!
//! Owns: the form of the `@cee:` object. Must not own: its fields, cutting them to size (`flat`).

use super::flat::Flat;
use crate::model::finding::Record;
use crate::model::text::escape_json;

/// What marks JSON for rsyslog's mmjsonparse and its kin (Common Event Expression).
pub const COOKIE: &str = "@cee: ";

/// The flat object of a record, with `@cee: ` before it, in at most `most` bytes (at least 600).
pub fn compact(record: &Record, most: usize) -> String {
    Flat::of(record).fit_record(most, |fields| {
        // Strings and numbers: writing them cannot fail.
        let json = serde_json::to_string(fields).unwrap_or_default();
        // What a terminal or a line reader could take for an end of line is escaped too.
        format!("{COOKIE}{}", escape_json(json))
    })
}

#[cfg(test)]
mod tests {
    use super::super::samples::{any_record, observation, record};
    use super::*;
    use crate::model::finding::property;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn parse(message: &str) -> Value {
        serde_json::from_str(message.strip_prefix(COOKIE).unwrap()).unwrap()
    }

    #[test]
    fn a_full_record_fits_the_smallest_message() {
        let mut full = record();
        full.finding.description = "d".repeat(500);
        for key in
            [property::BOOT_ID, property::POD_UID, property::CONTAINER_ID, property::PROCESS_BINARY_FULLPATH]
        {
            full.finding.source_properties.insert(key.into(), "4f1c9d0e".repeat(8).into());
        }
        // Nothing of ours, but a spool can hold it.
        let list: Value = std::iter::repeat_n("x", 1000).collect();
        full.finding.source_properties.insert(property::TETHER_KIND.into(), list);
        let message = compact(&full, 600);
        assert!(message.len() <= 600, "{}: {message}", message.len());
        let json = parse(&message);
        assert_eq!((&json["id"], &json["truncated"]), (&json!("a".repeat(32)), &json!(true)));
    }

    #[test]
    fn what_matters_most_comes_first() {
        let message = compact(&record(), 7900);
        assert!(message.starts_with(r#"@cee: {"id":"aaaa"#), "{message}");
        let place = |key: &str| message.find(&format!("\"{key}\":")).unwrap_or(usize::MAX);
        assert!(place("seq") < place("severity") && place("severity") < place("msg"), "{message}");
        assert!(place("msg") < place("evidence"), "{message}");
    }

    #[test]
    fn a_record_that_is_no_finding_tells_all_it_has() {
        let json = parse(&compact(&observation(), 7900));
        assert_eq!((&json["losses_kernel_overflow"], &json["first_sequence"]), (&json!(3), &json!("17")));
        assert_eq!(json["seq"], 1042);
        assert_eq!(json.get("severity"), None);
        assert_eq!(json.get("padding"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn always_json_and_short(record in any_record(), most in 600usize..8000) {
            let message = compact(&record, most);
            prop_assert!(message.len() <= most, "{} of {most}: {message}", message.len());
            prop_assert!(!message.contains(char::is_control));
            prop_assert_eq!(parse(&message)["seq"].as_u64().unwrap(), record.sequence());
        }
    }
}
