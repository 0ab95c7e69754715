//! Lines of a segment, of bounded length.
//!
//! Owns: cutting a file that may hold anything into lines, what counts as a record, the hash of a line. Must not own:
//! what to do about damage. Memory is bounded by [`LINE_MAX`] and one read, whatever the file holds.

use std::fs::File;
use std::io::{self, BufRead};
use std::os::unix::fs::FileExt;

use sha2::{Digest, Sha256};

use super::segment::SEQUENCE_MAX;
use crate::model::finding::{LINE_MAX, Record};

/// What a record carries as the hash of the one before it when there is none.
pub(super) const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Bytes asked for in one read.
const CHUNK: usize = 64 << 10;

/// What stands next in a file.
#[derive(Debug)]
pub(super) enum Raw {
    /// A line, without its newline.
    Line { offset: u64, next: u64, bytes: Vec<u8> },
    /// A line longer than a record may be.
    Long { offset: u64, next: u64 },
    /// Nothing more for now; `unfinished` bytes without a newline.
    End { unfinished: bool },
}

/// The lines of one file from an offset on. May be asked again after [`Raw::End`], to follow a growing file.
#[derive(Debug)]
pub(super) struct Lines {
    file: File,
    /// Where `buffer` begins in the file.
    offset: u64,
    buffer: Vec<u8>,
    /// What of `buffer` has been given out.
    taken: usize,
    /// Where a line began that is already known to be too long.
    long_from: Option<u64>,
}

impl Lines {
    pub(super) fn new(file: File, offset: u64) -> Self {
        Self { file, offset, buffer: Vec::new(), taken: 0, long_from: None }
    }

    /// The same from another offset on.
    pub(super) fn from(self, offset: u64) -> Self {
        Self::new(self.file, offset)
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// After [`Raw::End`]: what stands there without a newline; empty where it is too long for a line.
    pub(super) fn unfinished(&self) -> &[u8] {
        if self.long_from.is_some() { &[] } else { &self.buffer }
    }

    /// The next line.
    pub(super) fn next(&mut self) -> io::Result<Raw> {
        loop {
            let rest = self.buffer.get(self.taken..).unwrap_or_default();
            let begin = self.offset + self.taken as u64;
            if let Some(length) = newline(rest) {
                let next = begin + length as u64 + 1;
                let long = self.long_from.take();
                let bytes = rest.get(..length).unwrap_or_default().to_vec();
                self.taken += length + 1;
                if long.is_some() || length > LINE_MAX {
                    return Ok(Raw::Long { offset: long.unwrap_or(begin), next });
                }
                return Ok(Raw::Line { offset: begin, next, bytes });
            }
            self.buffer.drain(..self.taken);
            self.offset = begin;
            self.taken = 0;
            if self.buffer.len() > LINE_MAX {
                self.long_from.get_or_insert(begin);
                self.offset += self.buffer.len() as u64;
                self.buffer.clear();
            }
            if self.fill()? == 0 {
                return Ok(Raw::End { unfinished: !self.buffer.is_empty() || self.long_from.is_some() });
            }
        }
    }

    fn fill(&mut self) -> io::Result<usize> {
        let held = self.buffer.len();
        self.buffer.resize(held + CHUNK, 0);
        let (_, room) = self.buffer.split_at_mut(held);
        let read = loop {
            match self.file.read_at(room, self.offset + held as u64) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result,
            }
        };
        self.buffer.truncate(held + *read.as_ref().unwrap_or(&0));
        read
    }
}

/// Where the first newline stands.
fn newline(mut bytes: &[u8]) -> Option<usize> {
    let whole = bytes;
    let passed = bytes.skip_until(b'\n').ok()?;
    whole.get(..passed)?.ends_with(b"\n").then(|| passed - 1)
}

/// The record on a line; `None` where it is not one that a writer has numbered.
pub(super) fn parse(bytes: &[u8]) -> Option<Record> {
    serde_json::from_slice::<Record>(bytes)
        .ok()
        .filter(|record| (1..=SEQUENCE_MAX).contains(&record.sequence()))
}

/// SHA-256, as 64 lower-case hexadecimal digits.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS.get(usize::from(value)).copied().unwrap_or(b'?'));
    Sha256::digest(bytes).iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    fn lines_of(content: &[u8]) -> Lines {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        Lines::new(file, 0)
    }

    #[test]
    fn long_lines_are_passed_over() {
        let mut content = vec![b'x'; 200_000];
        content.extend_from_slice(b"\nshort\nhalf");
        let mut lines = lines_of(&content);
        assert!(matches!(lines.next().unwrap(), Raw::Long { offset: 0, next: 200_001 }));
        assert!(
            matches!(lines.next().unwrap(), Raw::Line { offset: 200_001, bytes, .. } if bytes == b"short")
        );
        assert!(matches!(lines.next().unwrap(), Raw::End { unfinished: true }));
        lines.file.write_all(b" done\n").unwrap();
        assert!(matches!(lines.next().unwrap(), Raw::Line { bytes, .. } if bytes == b"half done"));
        assert!(matches!(lines.next().unwrap(), Raw::End { unfinished: false }));
    }

    #[test]
    fn hash_is_hexadecimal() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(sha256_hex(b""), empty);
    }

    proptest! {
        #[test]
        fn lines_join_to_the_file(content in proptest::collection::vec(prop_oneof![Just(b'\n'), any::<u8>()], 0..300)) {
            let mut lines = lines_of(&content);
            let mut joined = Vec::new();
            while let Raw::Line { offset, next, bytes } = lines.next().unwrap() {
                prop_assert_eq!(offset, joined.len() as u64);
                joined.extend_from_slice(&bytes);
                joined.push(b'\n');
                prop_assert_eq!(next, joined.len() as u64);
            }
            prop_assert!(content.starts_with(&joined));
            prop_assert!(!content[joined.len()..].contains(&b'\n'));
        }

        #[test]
        fn parsing_is_safe(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }
    }
}
