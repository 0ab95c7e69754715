//! Links of descriptors (`host::link`).
//!
//! Holds: nothing but the kernel's own form is a socket, a pipe or a pty; every other text is kept as it is.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherd::host::link::{self, Link};
use tetherd::model::stdio::Backing;

fuzz_target!(|bytes: &[u8]| {
    let value = |digits: &[u8]| {
        let digits = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
        digits.filter(|d| d.len() <= 20).and_then(|d| d.parse::<u64>().ok())
    };
    assert_eq!(link::number(bytes), value(bytes));
    let inner =
        |prefix: &[u8]| bytes.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(b"]")).and_then(value);
    match link::parse(bytes) {
        Link::Socket(inode) => {
            assert!(link::is_socket(bytes), "the first look would have passed it over");
            assert_eq!(Some(inode.0), inner(b"socket:["));
        }
        Link::Settled(Backing::Pipe(inode)) => assert_eq!(Some(inode.0), inner(b"pipe:[")),
        Link::Settled(Backing::PtySlave(index)) => {
            assert_eq!(bytes.strip_prefix(b"/dev/pts/").and_then(value), Some(u64::from(index)));
        }
        Link::Settled(Backing::Null) => assert_eq!(bytes, b"/dev/null"),
        Link::Settled(Backing::File(text)) => assert!(text == bytes && bytes[0] == b'/'),
        Link::Settled(Backing::Tty(text) | Backing::Other(text)) => assert_eq!(text, bytes),
        Link::Settled(other) => panic!("{other:?} from a link's text alone"),
    }
    let socket = [b"socket:[", bytes, b"]"].concat();
    assert_eq!(matches!(link::parse(&socket), Link::Socket(_)), value(bytes).is_some());
});
