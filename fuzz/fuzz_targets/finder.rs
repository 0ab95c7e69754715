//! Strings that only a shell has, in any file (`host::finder`, for `host::characteristic`).
//!
//! Holds: in one piece or in overlapping ones, what is found is what looking for each string by itself finds.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherd::host::finder::Finder;

fuzz_target!(|bytes: &[u8]| {
    let [step, rest @ ..] = bytes else { return };
    let mut parts = rest.split(|&b| b == 0xff);
    let text = parts.next().unwrap_or_default();
    let strings: Vec<Vec<u8>> = parts.filter(|part| part.len() >= 2).take(12).map(<[u8]>::to_vec).collect();
    let each: Vec<bool> =
        strings.iter().map(|string| text.windows(string.len()).any(|part| part == string)).collect();
    let finder = Finder::new(strings);
    assert_eq!(finder.count(), each.len());
    let mut found = vec![false; each.len()];
    finder.search(text, &mut found);
    assert_eq!(found, each);

    let mut found = vec![false; each.len()];
    let mut piece: Vec<u8> = Vec::new();
    for next in text.chunks(1 + usize::from(*step)) {
        piece.drain(..piece.len().saturating_sub(finder.overlap()));
        piece.extend_from_slice(next);
        finder.search(&piece, &mut found);
    }
    assert_eq!(found, each, "in pieces of {}", 1 + usize::from(*step));
});
