//! What a container runtime answers on its socket (`enrich::metadata::cri`).
//!
//! Holds: whatever it says, a text that a record takes over stands in the answer or is a time, is bounded, and cannot move a cursor;
//! labels and annotations are as many as are wanted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherd::enrich::texts_of_answer;
use tetherd::model::clock::{parse_rfc3339, rfc3339};

const LABELS_MAX: usize = 8;
/// What one record takes at most: names, images and ids, when it was made, labels, annotations.
const BYTES_MAX: usize = 64 + 2 * (4 * 256 + 2 * 1024 + 32) + 4096 + 2 * 2 * (256 + 317);

fuzz_target!(|answer: &[u8]| {
    let wanted = ["a".to_owned(), "kubernetes.io/config.source".to_owned()];
    let texts = texts_of_answer(answer, LABELS_MAX, &wanted);
    assert!(texts.iter().map(String::len).sum::<usize>() <= BYTES_MAX, "{texts:?}");
    assert!(texts.len() <= 1 + 2 * 7 + 2 * LABELS_MAX + 2 * 2 * wanted.len());
    for text in &texts {
        assert!(!text.contains(char::is_control), "{text:?}");
        let time = parse_rfc3339(text).is_some_and(|at| rfc3339(at) == *text);
        let stands =
            text.is_empty() || time || answer.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(stands, "{text:?} is not in the answer");
    }
    assert!(texts_of_answer(answer, 0, &[]).len() <= 1 + 2 * 7);
});
