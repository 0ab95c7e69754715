//! The SHA-256 of the programs that ran.
//!
//! Owns: hashing files, its bounds, and the cache of what was hashed. Must not own: opening a program by its path (the
//! look's O_PATH handle is the very file, with or without a name).

use std::collections::HashSet;
use std::io::{ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use super::status::LATE;
use crate::host::background::{Answer, Background, HUNG_MAX, Job, Refusal, STUCK};
use crate::host::lru::Lru;
use crate::host::program_file::{reopen, still_the_same};
use crate::model::look::{Exe, FileId, Look};
use crate::model::text::hexadecimal;

/// How many files' digests are remembered.
const CACHE: usize = 1024;
/// How many bytes are read at once.
const CHUNK: usize = 64 * 1024;
/// The longest that one file is worked on.
const TIME_MAX: Duration = Duration::from_secs(3);

/// A file's digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sum {
    /// SHA-256, 64 lower-case hexadecimal digits.
    pub(super) sha256: String,
    /// How many bytes of it were hashed: all, or the first ones.
    pub(super) hashed: u64,
}

/// A digest, or why there is none.
type Outcome = Result<Sum, &'static str>;

/// One file to hash.
#[derive(Debug)]
pub(super) struct Hash {
    file: FileId,
    handle: Arc<OwnedFd>,
    max: u64,
}

impl Job for Hash {
    type Id = FileId;
    type Output = Outcome;

    fn id(&self) -> FileId {
        self.file
    }

    fn run(self) -> Outcome {
        hash(&self.file, &self.handle, self.max)
    }
}

/// Digests of programs: asked for, waited for, remembered.
#[derive(Debug)]
pub(super) struct Digests {
    on: bool,
    max: u64,
    work: Background<Hash>,
    known: Lru<FileId, Outcome>,
    wanted: HashSet<FileId>,
}

impl Digests {
    /// `max`: the most bytes of one file that are hashed.
    pub(super) fn new(on: bool, max: u64) -> Self {
        Self {
            on,
            max,
            work: Background::new("tetherd-digest", STUCK, HUNG_MAX),
            known: Lru::new(CACHE),
            wanted: HashSet::new(),
        }
    }

    /// Asks for the digest of a process's program, unless it is known. Never blocks.
    pub(super) fn ask(&mut self, look: &Look) {
        let (true, Some(file), Some(handle)) = (self.on, look.exe.file, &look.exe.handle) else { return };
        if self.known.touch(&file) {
            return;
        }
        match self.work.ask(Hash { file, handle: Arc::clone(handle), max: self.max }) {
            Ok(()) => {
                self.wanted.insert(file);
            }
            // Off lasts, so the answer can be remembered; a full queue does not.
            Err(Refusal::Off) => self.known.put(file, Err("digests are off: reading files hung too often")),
            Err(Refusal::Full) => {}
        }
    }

    /// Waits until everything asked for since the last wait is there, or until `deadline`.
    pub(super) fn wait(&mut self, deadline: Instant) {
        loop {
            self.wanted.retain(|file| self.work.is_waiting(file));
            // Take what has come in any case; wait only for what this record wants.
            let until = if self.wanted.is_empty() { Instant::now() } else { deadline };
            match self.work.answer(until) {
                Some(Answer::Done(file, outcome)) => self.known.put(file, outcome),
                Some(Answer::Hung(file)) => self.known.put(file, Err("reading the file hung")),
                None => break,
            }
        }
        self.wanted.clear();
    }

    /// The digest of a program, or why there is none.
    pub(super) fn get(&self, exe: &Exe) -> Result<&Sum, &'static str> {
        if !self.on {
            return Err("switched off");
        }
        let file = exe.file.ok_or("the program could not be opened")?;
        // A look is kept for longer than its open file.
        match self.known.peek(&file) {
            Some(outcome) => outcome.as_ref().map_err(|why| *why),
            None if exe.handle.is_none() => Err("the program could not be opened"),
            None => Err(LATE),
        }
    }
}

/// Hashes the file behind an O_PATH descriptor, as long as it is still as it was when it ran.
pub(super) fn hash(file: &FileId, handle: &OwnedFd, max: u64) -> Outcome {
    let began = Instant::now();
    let mut open = reopen(handle)?;
    still_the_same(file, &open)?;
    let (mut sum, mut hashed, mut chunk) = (Sha256::new(), 0u64, vec![0u8; CHUNK]);
    while hashed < max {
        let want = usize::try_from(max - hashed).unwrap_or(CHUNK).min(CHUNK);
        let Some(buffer) = chunk.get_mut(..want) else { break };
        match open.read(buffer) {
            Ok(0) => break,
            Ok(n) => {
                sum.update(buffer.get(..n).unwrap_or_default());
                hashed += n as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return Err("the program could not be read"),
        }
        if began.elapsed() > TIME_MAX {
            return Err("reading the program took too long");
        }
    }
    still_the_same(file, &open)?;
    Ok(Sum { sha256: hexadecimal(&sum.finalize()), hashed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::samples;
    use crate::model::look::Observation;
    use std::fs::File;
    use std::io::Write as _;

    fn look_at(path: &std::path::Path) -> Look {
        let mut look = samples::look(7, Observation::Live);
        look.exe = samples::exe_of(path);
        look
    }

    fn wait(digests: &mut Digests) {
        digests.wait(Instant::now() + Duration::from_secs(30));
    }

    #[test]
    fn whole_partial_deleted_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("program");
        std::fs::write(&path, b"hello world").unwrap();
        let mut digests = Digests::new(true, 1 << 20);
        let look = look_at(&path);
        assert_eq!(digests.get(&look.exe), Err("not ready in time"));
        digests.ask(&look);
        wait(&mut digests);
        // Known answer: sha256("hello world").
        let sum = Sum {
            sha256: "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9".into(),
            hashed: 11,
        };
        assert_eq!(digests.get(&look.exe), Ok(&sum));

        let mut small = Digests::new(true, 5);
        small.ask(&look);
        wait(&mut small);
        // Known answer: sha256("hello").
        assert_eq!(
            small.get(&look.exe).map(|s| (s.sha256.as_str(), s.hashed)),
            Ok(("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", 5))
        );

        std::fs::remove_file(&path).unwrap();
        let mut after = Digests::new(true, 1 << 20);
        after.ask(&look);
        wait(&mut after);
        assert_eq!(after.get(&look.exe), Ok(&sum));

        std::fs::write(&path, b"hello world").unwrap();
        let look = look_at(&path);
        File::options().append(true).open(&path).unwrap().write_all(b"!").unwrap();
        digests.ask(&look);
        wait(&mut digests);
        assert_eq!(digests.get(&look.exe), Err("the file has changed since it was executed"));
    }

    #[test]
    fn only_regular_files() {
        let dir = tempfile::tempdir().unwrap();
        let fifo = dir.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
        for path in [fifo.as_path(), std::path::Path::new("/dev/zero"), dir.path()] {
            let look = look_at(path);
            let mut digests = Digests::new(true, 1 << 20);
            digests.ask(&look);
            wait(&mut digests);
            assert_eq!(digests.get(&look.exe), Err("it is not a regular file"), "{}", path.display());
        }
    }

    #[test]
    fn off() {
        let look = look_at(std::path::Path::new("/proc/self/exe"));
        let mut digests = Digests::new(false, 1 << 20);
        digests.ask(&look);
        wait(&mut digests);
        assert_eq!(digests.get(&look.exe), Err("switched off"));
    }
}
