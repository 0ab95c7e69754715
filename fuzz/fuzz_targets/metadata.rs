//! What runtimes and the kubelet leave in files about containers (`enrich::metadata::{forms, account}`).
//!
//! Holds: whatever a file says, a text that a record takes over is bounded, and cannot move a cursor.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherd::enrich::texts_of_file;

const TEXT_MAX: usize = 1024;
/// Three of each form, eight texts each, and a token's.
const TEXTS_MAX: usize = 4 * 8 + 2 * 64 * 2 + 3;

fuzz_target!(|bytes: &[u8]| {
    let id = "a".repeat(64);
    for id in [id.as_str(), "a", ""] {
        let texts = texts_of_file(bytes, id);
        assert!(texts.len() <= TEXTS_MAX, "{}", texts.len());
        for text in &texts {
            assert!(text.len() <= TEXT_MAX && !text.contains(char::is_control), "{text:?}");
        }
    }
});
