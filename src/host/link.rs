//! What `/proc/PID/fd/N` says a descriptor is.
//!
//! Owns: reading the link's text (proc_pid_fd(5)). Must not own: anything that needs another system call.

use crate::model::ids::Inode;
use crate::model::stdio::Backing;

/// What a link names, before sockets are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// `socket:[N]`: of some family.
    Socket(Inode),
    /// Everything else is what it is.
    Settled(Backing),
}

/// Reads a link's text.
pub fn parse(text: &[u8]) -> Link {
    if let Some(inode) = bracketed(text, b"socket:[") {
        return Link::Socket(inode);
    }
    Link::Settled(match text {
        b"/dev/null" => Backing::Null,
        b"/dev/console" | b"/dev/tty" => Backing::Tty(text.to_vec()),
        _ if text.starts_with(b"pipe:[") => {
            bracketed(text, b"pipe:[").map_or_else(|| Backing::Other(text.to_vec()), Backing::Pipe)
        }
        _ if text.starts_with(b"/dev/pts/") => {
            let index = text.get(9..).and_then(number).and_then(|n| u32::try_from(n).ok());
            index.map_or_else(|| Backing::File(text.to_vec()), Backing::PtySlave)
        }
        _ if text.starts_with(b"/dev/tty") => Backing::Tty(text.to_vec()),
        [b'/', ..] => Backing::File(text.to_vec()),
        _ => Backing::Other(text.to_vec()),
    })
}

/// Whether a link can lead to a network by itself: the question of the hot path.
pub fn is_socket(text: &[u8]) -> bool {
    text.starts_with(b"socket:[")
}

/// The inode of `prefix` N `]`.
pub fn bracketed(text: &[u8], prefix: &[u8]) -> Option<Inode> {
    number(text.strip_prefix(prefix)?.strip_suffix(b"]")?).map(Inode)
}

/// A decimal number of at most 20 digits, and nothing else.
pub fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 20 {
        return None;
    }
    digits.iter().try_fold(0u64, |value, digit| {
        let digit = char::from(*digit).to_digit(10)?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_kinds() {
        assert_eq!(parse(b"socket:[123]"), Link::Socket(Inode(123)));
        for (text, backing) in [
            (&b"pipe:[7]"[..], Backing::Pipe(Inode(7))),
            (b"/dev/pts/12", Backing::PtySlave(12)),
            (b"/dev/null", Backing::Null),
            (b"/dev/tty1", Backing::Tty(b"/dev/tty1".to_vec())),
            (b"/tmp/socket:[1]", Backing::File(b"/tmp/socket:[1]".to_vec())),
            (b"anon_inode:[eventfd]", Backing::Other(b"anon_inode:[eventfd]".to_vec())),
            (b"socket:[x]", Backing::Other(b"socket:[x]".to_vec())),
        ] {
            assert_eq!(parse(text), Link::Settled(backing));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(&bytes);
        }
    }
}
