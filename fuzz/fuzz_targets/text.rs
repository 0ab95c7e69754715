//! Showing, cutting, times (`model::text`, `model::clock`).
//!
//! Holds: an escaped text is one printable line from which the bytes can be had back; a cut text is a prefix; a time is
//! read back as it was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherd::model::clock::{parse_rfc3339, rfc3339};
use tetherd::model::ids::FindingId;
use tetherd::model::text;

/// Undoes `text::escape`.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let (kind, after) = after.split_at(1);
        rest = after;
        match kind {
            "n" => bytes.push(b'\n'),
            "t" => bytes.push(b'\t'),
            "r" => bytes.push(b'\r'),
            "\\" => bytes.push(b'\\'),
            "x" => {
                bytes.push(u8::from_str_radix(&rest[..2], 16).expect("two digits"));
                rest = &rest[2..];
            }
            "u" => {
                let (digits, after) = rest[1..].split_once('}').expect("a brace");
                let code = u32::from_str_radix(digits, 16).expect("digits");
                bytes.extend(char::from_u32(code).expect("a character").to_string().bytes());
                rest = after;
            }
            other => panic!("\\{other}"),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fuzz_target!(|bytes: &[u8]| {
    let shown = text::escape(bytes);
    assert!(!shown.contains(|c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c)));
    assert_eq!(unescape(&shown), bytes);

    let (lossy, replaced) = text::lossy(bytes);
    assert_eq!(replaced, std::str::from_utf8(bytes).is_err());
    for length in [0, 1, 7, 32] {
        let cut = text::cut(&lossy, length);
        assert!(lossy.starts_with(cut) && cut.len() <= length && cut.len() + 4 > length.min(lossy.len()));
    }
    if let Some(at) = parse_rfc3339(&lossy) {
        assert_eq!(parse_rfc3339(&rfc3339(at)), Some(at));
    }
    if let Ok(id) = lossy.parse::<FindingId>() {
        assert_eq!(id.to_string(), lossy.to_ascii_lowercase());
    }
});
