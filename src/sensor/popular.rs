//! Which programs are executed so often that they are worth being ignored.
//!
//! Owns: a small table of counts, one row for each place, without allocation; and telling from a program's content that
//! it may be a shell. Must not own: the ignore marks (`marks`).

use std::os::fd::OwnedFd;

use rustix::io::pread;

/// Rows of the table.
const ROWS: usize = 256;
/// After so many opens by processes that do not matter, a program is looked at, and again after each so many.
const DUE: u32 = 32;
/// The largest program that is read to be judged.
const PROGRAM_BYTES_MAX: u64 = 64 << 20;
/// How much of it at once.
const CHUNK: usize = 64 * 1024;

/// What no shell is without: the names of variables that POSIX gives it, or its own name. A program that has one of these
/// and is no shell is held like a shell, and nothing is lost.
const SHELL_MARKS: [&[u8]; 8] =
    [b"OPTIND", b"PS1", b"BusyBox", b"Toybox", b"toybox", b"fish_", b".cshrc", b"HISTFILE"];
/// The longest of these, less one: so much of a chunk is looked at again with the next.
const OVERLAP: usize = 7;

#[derive(Clone, Copy, Debug, Default)]
struct Row {
    device: u64,
    inode: u64,
    count: u32,
}

/// The table.
#[derive(Debug)]
pub struct Popular {
    rows: Box<[Row]>,
}

impl Default for Popular {
    fn default() -> Self {
        Self { rows: vec![Row::default(); ROWS].into() }
    }
}

impl Popular {
    /// Counts an open of this file; whether it is due to be looked at.
    pub fn is_due(&mut self, file: &OwnedFd) -> bool {
        rustix::fs::fstat(file).is_ok_and(|found| self.count(found.st_dev, found.st_ino))
    }

    fn count(&mut self, device: u64, inode: u64) -> bool {
        let hash = (inode ^ device.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56;
        let Some(row) = self.rows.get_mut(hash as usize % ROWS) else { return false };
        if (row.device, row.inode) != (device, inode) {
            // Whoever is executed more often gets the row in the end.
            if row.count > 0 {
                row.count -= 1;
                return false;
            }
            *row = Row { device, inode, count: 0 };
        }
        row.count = row.count.saturating_add(1);
        let due = row.count >= DUE;
        if due {
            row.count = 0;
        }
        due
    }
}

/// Whether the content may be a shell's, under whatever name, or is a script's, or cannot be told. Reads the file.
pub fn may_be_shell(file: &OwnedFd, size: u64) -> bool {
    if size > PROGRAM_BYTES_MAX {
        return true;
    }
    let mut buffer = vec![0u8; OVERLAP + CHUNK];
    let (mut offset, mut kept) = (0u64, 0usize);
    loop {
        let Some(space) = buffer.get_mut(kept..kept + CHUNK) else { return true };
        let Ok(length) = pread(file, space, offset) else { return true };
        let Some(part) = buffer.get(..kept + length) else { return true };
        if length == 0 {
            return offset == 0;
        }
        if offset == 0 && part.starts_with(b"#!") || has_mark(part) {
            return true;
        }
        offset += length as u64;
        let end = kept + length;
        let keep_from = end.saturating_sub(OVERLAP);
        buffer.copy_within(keep_from..end, 0);
        kept = end - keep_from;
    }
}

fn has_mark(part: &[u8]) -> bool {
    // Few bytes begin a mark: only there are marks compared.
    part.iter().enumerate().any(|(at, byte)| {
        matches!(byte, b'O' | b'P' | b'B' | b'T' | b't' | b'f' | b'.' | b'H')
            && SHELL_MARKS.iter().any(|mark| part.get(at..).is_some_and(|rest| rest.starts_with(mark)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn judged(content: &[u8]) -> bool {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        may_be_shell(&file.into(), content.len() as u64)
    }

    #[test]
    fn shells_by_their_content() {
        for shell in
            ["/bin/sh", "/bin/bash", "/bin/busybox", "/usr/bin/zsh", "/usr/bin/fish", "/usr/bin/mksh"]
        {
            if let Ok(content) = std::fs::read(shell) {
                assert!(judged(&content), "{shell}");
            }
        }
        for other in ["/bin/true", "/bin/ls", "/lib64/ld-linux-x86-64.so.2"] {
            if let Ok(content) = std::fs::read(other) {
                assert!(!judged(&content), "{other}");
            }
        }
        assert!(judged(b"") && judged(b"#!/bin/sh\n") && !judged(b"\x7fELF"));
    }

    #[test]
    fn a_mark_across_two_chunks() {
        for before in CHUNK - OVERLAP - 2..CHUNK + 2 {
            let mut content = vec![b'-'; before];
            content.extend(b"HISTFILE");
            content.extend([b'-'; 100]);
            assert!(judged(&content), "{before}");
        }
        assert!(!judged(&vec![b'P'; 3 * CHUNK]));
        assert!(SHELL_MARKS.iter().all(|mark| mark.len() <= OVERLAP + 1));
    }

    #[test]
    fn what_is_executed_often_is_due() {
        let mut popular = Popular::default();
        let rounds: Vec<u32> = (1..=100).filter(|_| popular.count(1, 2)).collect();
        assert_eq!(rounds, [32, 64, 96]);
        // Others on the same row push it out only when they are more.
        let others = (0..1000u64).filter(|inode| popular.count(9, *inode)).count();
        assert_eq!(others, 0);
    }
}
