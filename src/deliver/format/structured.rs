//! A record as RFC 5424 structured data, and a sentence after it.
//!
//! Owns: the elements and their parameters (RFC 5424 section 6.3), escaping in them. Must not own: the header of the
//! message, the fields (`flat`).
//!
//! Three elements: `meta` with the sequenceId and `origin` with the software, both of IANA's registry (RFC 5424 section
//! 7), and one of our own with the fields of the record, named as in the compact form. The sentence is the record's
//! description, as plain text and without a byte order mark, which receivers show as rubbish.

use std::fmt::Write as _;

use super::flat::{Flat, MESSAGE, text};
use crate::model::finding::Record;
use crate::model::text::visible;

/// Our element's SD-ID. 32473 is the enterprise number that IANA keeps for documentation (RFC 5612): the project has none
/// of its own.
pub const SD_ID: &str = "tetherd@32473";
/// The highest sequenceId; the next one is 1 (RFC 5424 section 7.3.1).
const SEQUENCE_ID_MAX: u64 = 2_147_483_647;

/// `[meta ...][origin ...][tetherd@32473 ...] sentence` in at most `most` bytes (at least 600): what follows the MSGID
/// and a space.
pub fn structured(record: &Record, most: usize) -> String {
    let sequence_id = record.sequence().saturating_sub(1) % SEQUENCE_ID_MAX + 1;
    let version = env!("CARGO_PKG_VERSION");
    Flat::of(record).fit_record(most, |fields| {
        let mut out = format!(r#"[meta sequenceId="{sequence_id}"]"#);
        let _ = write!(out, r#"[origin software="tetherd" swVersion="{version}"][{SD_ID}"#);
        for (key, value) in fields.iter().filter(|(key, _)| *key != MESSAGE) {
            let _ = write!(out, r#" {key}="{}""#, escape(&text(value)));
        }
        out.push(']');
        if let Some(message) = fields.text(MESSAGE) {
            let _ = write!(out, " {}", visible(&message));
        }
        out
    })
}

/// A parameter's value (RFC 5424 section 6.3.3): `"`, `\` and `]` behind a backslash. Control characters are shown as
/// `\xNN` first: receivers replace them, each in its own way.
fn escape(text: &str) -> String {
    let text = visible(text);
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if matches!(c, '"' | '\\' | ']') {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::samples::{any_record, observation, record};
    use super::*;
    use crate::model::finding::property;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    type Elements = Vec<(String, BTreeMap<String, String>)>;

    /// The elements, and what follows; `None` for what RFC 5424 does not allow.
    fn parse(text: &str) -> Option<(Elements, String)> {
        let mut rest = text;
        let mut elements = Vec::new();
        while let Some(inside) = rest.strip_prefix('[') {
            let end = inside.find([' ', ']'])?;
            let (id, mut tail) = inside.split_at(end);
            let mut parameters = BTreeMap::new();
            while let Some(next) = tail.strip_prefix(' ') {
                let (name, value) = next.split_once("=\"")?;
                let good = |c: char| c.is_ascii_graphic() && !"=]\" ".contains(c);
                if name.is_empty() || name.len() > 32 || !name.chars().all(good) {
                    return None;
                }
                let (mut plain, mut chars) = (String::new(), value.char_indices());
                let end = loop {
                    match chars.next()? {
                        (end, '"') => break end,
                        (_, '\\') => plain.push(chars.next().filter(|(_, c)| "\"\\]".contains(*c))?.1),
                        (_, ']') => return None,
                        (_, c) => plain.push(c),
                    }
                };
                tail = value.get(end + 1..)?;
                if parameters.insert(name.to_owned(), plain).is_some() {
                    return None;
                }
            }
            rest = tail.strip_prefix(']')?;
            elements.push((id.to_owned(), parameters));
        }
        Some((elements, rest.to_owned()))
    }

    #[test]
    fn the_shape() {
        let mut record = record();
        let args = serde_json::json!(["sh", "-c", r#"echo "a]\" >x"#]);
        record.finding.source_properties.insert(property::PROCESS_ARGUMENTS.into(), args);
        let text = structured(&record, 7900);
        let start = format!(
            r#"[meta sequenceId="1042"][origin software="tetherd" swVersion="{}"][tetherd@32473 id="a"#,
            env!("CARGO_PKG_VERSION")
        );
        assert!(text.starts_with(&start), "{text}");
        assert!(text.contains(r#" args="sh -c 'echo \"a\]\\\" >x'""#), "{text}");
        let (elements, rest) = parse(&text).unwrap();
        assert_eq!(elements[2].1["args"], r#"sh -c 'echo "a]\" >x'"#);
        assert_eq!(rest, format!(" {}", record.finding.description));
    }

    #[test]
    fn the_sequence_id_wraps() {
        for (sequence, id) in [(1, 1), (SEQUENCE_ID_MAX, SEQUENCE_ID_MAX), (SEQUENCE_ID_MAX + 1, 1)] {
            let mut record = record();
            record.finding.source_properties.insert(property::SEQUENCE.into(), sequence.to_string().into());
            assert!(
                structured(&record, 7900).starts_with(&format!("[meta sequenceId=\"{id}\"]")),
                "{sequence}"
            );
        }
    }

    #[test]
    fn a_record_that_is_no_finding() {
        let (elements, _) = parse(&structured(&observation(), 7900)).unwrap();
        assert_eq!(elements[2].1["losses_kernel_overflow"], "3");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn always_whole_and_short(record in any_record(), most in 600usize..8000) {
            let text = structured(&record, most);
            prop_assert!(text.len() <= most, "{} of {most}: {text}", text.len());
            prop_assert!(!text.contains(char::is_control));
            let (elements, _) = parse(&text).expect("RFC 5424");
            prop_assert_eq!(&elements[2].1["seq"], &record.sequence().to_string());
        }
    }
}
