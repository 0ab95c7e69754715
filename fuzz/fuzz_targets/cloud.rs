//! What a cloud's metadata server answers (`enrich::cloud`).
//!
//! Holds: a text that a record takes over is bounded and of characters that a resource's name may have; of an answer
//! that is cut or refused nothing is taken.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherd::enrich::texts_of_cloud;

/// A resource's name of three values.
const TEXT_MAX: usize = 100 + 3 * 256;

fn hold(answer: &[u8]) {
    let texts = texts_of_cloud(answer);
    assert!(texts.is_empty() || answer.starts_with(b"HTTP/1."));
    for text in texts {
        let proper = |b: u8| b.is_ascii_alphanumeric() || b"-_./:=+@()".contains(&b);
        assert!(!text.is_empty() && text.len() <= TEXT_MAX && text.bytes().all(proper), "{text:?}");
    }
}

fuzz_target!(|bytes: &[u8]| {
    hold(bytes);
    hold(&[b"HTTP/1.0 200 OK\r\nMetadata-Flavor: Google\r\n\r\n", bytes].concat());
    let refused = [b"HTTP/1.1 404 Not Found\r\n\r\n", bytes].concat();
    assert!(texts_of_cloud(&refused).is_empty());
});
