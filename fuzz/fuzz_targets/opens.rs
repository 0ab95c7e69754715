//! What an opener of a program is about to execute: fanotify's events, `/proc/PID/syscall`, a script's first line
//! (`sys::fanotify`, `host::exec_args`).
//!
//! Holds: an event as the kernel lays it out is read back exactly, a cut one not at all; a call's arguments are its own;
//! an interpreter's arguments are parts of the line, the path, and the rest of argv in its order.
#![no_main]

use libfuzzer_sys::arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use tetherd::host::exec_args::{interpreted, parse};
use tetherd::model::look::Args;
use tetherd::sys::fanotify;

/// Linux `include/uapi/linux/fanotify.h`, `struct fanotify_event_metadata`.
fn event(mask: u64, number: i32, thread: i32) -> Vec<u8> {
    let mut bytes = 24_u32.to_ne_bytes().to_vec();
    bytes.extend_from_slice(&[3, 0]);
    bytes.extend_from_slice(&24_u16.to_ne_bytes());
    bytes.extend_from_slice(&mask.to_ne_bytes());
    bytes.extend_from_slice(&number.to_ne_bytes());
    bytes.extend_from_slice(&thread.to_ne_bytes());
    bytes
}

fuzz_target!(|bytes: &[u8]| {
    if let Some(raw) = fanotify::parse(bytes) {
        let again = event(raw.mask, raw.number, raw.thread);
        // The sixth byte is reserved.
        assert_eq!((&bytes[..5], &bytes[6..24]), (&again[..5], &again[6..]));
    }
    let _ = parse(bytes);
    let mut parts = bytes.split(|&b| b == 0xff);
    let [line, path] = [(); 2].map(|()| parts.next().unwrap_or_default());
    let list: Vec<Vec<u8>> = parts.map(<[u8]>::to_vec).collect();
    let args = Args { list: list.clone(), truncated: false };
    if let Some(found) = interpreted(line, path, &args) {
        assert!(line.starts_with(b"#!"));
        let own = found.list.len() - list.len().saturating_sub(1);
        assert!((2..=3).contains(&own) && found.list[own - 1] == path);
        assert_eq!(&found.list[own..], list.get(1..).unwrap_or_default());
        for part in &found.list[..own - 1] {
            assert!(!part.is_empty() && !part.contains(&b'\n'));
            assert!(line.windows(part.len()).any(|window| window == part));
        }
        assert!(!found.list[0].contains(&b' '));
    }

    let mut unstructured = Unstructured::new(bytes);
    let Ok((mask, number, thread, pointers)) = <(u64, i32, i32, [u64; 2])>::arbitrary(&mut unstructured)
    else {
        return;
    };
    let whole = event(mask, number, thread);
    let raw = fanotify::parse(&whole).expect("a whole event is read");
    assert_eq!((raw.mask, raw.number, raw.thread), (mask, number, thread));
    assert_eq!(
        fanotify::parse(&whole[..usize::from(bytes.first().copied().unwrap_or_default()) % whole.len()]),
        None
    );
    let [path, argv] = pointers;
    // Of execve and execveat on x86-64 (59, 322), and in the generic table (221, 281).
    for (number, before) in [(59, ""), (322, "0x3 "), (221, ""), (281, "0x3 ")] {
        let text = format!("{number} {before}{path:#x} {argv:#x} 0x1 0x0 0x0 0x0 0x7ffe 0x7f0f\n");
        if let Some(call) = parse(text.as_bytes()) {
            assert_eq!((call.path, call.argv, call.pointer), (path, argv, 8));
        }
    }
});
