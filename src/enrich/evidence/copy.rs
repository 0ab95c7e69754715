//! Copies of executables, for when the file itself has gone.
//!
//! Owns: the directory `evidence` in the spool's: one file for each content, named by its SHA-256, 0600, never there in
//! part; and the bounds on it. Must not own: which programs, and deleting copies: when the directory is full nothing more
//! is copied, and the records say so, because whoever floods it must not be able to push the first copies out.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use sha2::{Digest as _, Sha256};

use crate::host::background::{Answer, Background, HUNG_MAX, Job, Refusal, STUCK};
use crate::host::lru::Lru;
use crate::host::program_file::{read_pieces, reopen, still_the_same};
use crate::model::look::{FileId, Look};
use crate::model::text::hexadecimal;

use super::super::status::LATE;
use super::{EvidenceSettings, Known};

/// How many files' copies are remembered.
const CACHE: usize = 512;
/// The longest that one file is worked on.
const TIME_MAX: Duration = Duration::from_secs(5);
/// What a file is called until it is whole.
const PART: &str = ".part-";

/// A copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::enrich) struct Copied {
    /// Its name in the directory.
    pub(in crate::enrich) sha256: String,
    pub(in crate::enrich) bytes: u64,
}

/// Copies: asked for, waited for, remembered.
#[derive(Debug)]
pub(in crate::enrich) struct Copies {
    settings: EvidenceSettings,
    directory: Arc<PathBuf>,
    work: Background<Copy>,
    known: Lru<FileId, Known<Copied>>,
}

impl Copies {
    /// `spool`: the spool's directory.
    pub(in crate::enrich) fn new(settings: EvidenceSettings, spool: &Path) -> Self {
        Self {
            settings,
            directory: Arc::new(spool.join("evidence")),
            work: Background::new("tetherd-copy", STUCK, HUNG_MAX),
            known: Lru::new(CACHE),
        }
    }

    /// Asks for a copy of a process's program, unless there is one. Never blocks.
    pub(in crate::enrich) fn ask(&mut self, look: &Look) {
        let (Some(file), Some(handle)) = (look.exe.file, &look.exe.handle) else { return };
        if self.known.touch(&file) {
            return;
        }
        if file.size > self.settings.copy_max_bytes {
            return self.known.put(file, Err("the file is larger than enrich.evidence_file_bytes"));
        }
        let job = Copy {
            file,
            handle: Arc::clone(handle),
            directory: Arc::clone(&self.directory),
            settings: self.settings.clone(),
        };
        if self.work.ask(job) == Err(Refusal::Off) {
            self.known.put(file, Err("copying is off: reading files hung too often"));
        }
    }

    /// The copy, waiting for it until `deadline` at most.
    pub(in crate::enrich) fn wait(&mut self, look: &Look, deadline: Instant) -> Known<Copied> {
        let file = look.exe.file.ok_or("the program could not be opened")?;
        // A look is kept for longer than its open file.
        if look.exe.handle.is_none() && self.known.peek(&file).is_none() && !self.work.is_waiting(&file) {
            return Err("the program could not be opened");
        }
        while self.known.peek(&file).is_none() {
            match self.work.answer(deadline) {
                Some(Answer::Done(done, outcome)) => self.known.put(done, outcome),
                Some(Answer::Hung(hung)) => self.known.put(hung, Err("copying the file hung")),
                None => return Err(LATE),
            }
        }
        let outcome = self.known.peek(&file).cloned().unwrap_or(Err(LATE));
        if matches!(outcome, Err(why) if why == FULL || why == DISK) {
            // Somebody may make room.
            self.known.remove(&file);
        }
        outcome
    }
}

const FULL: &str = "the evidence directory is full";
const DISK: &str = "the copy could not be written";

/// One file to copy.
#[derive(Debug)]
struct Copy {
    file: FileId,
    handle: Arc<OwnedFd>,
    directory: Arc<PathBuf>,
    settings: EvidenceSettings,
}

impl Job for Copy {
    type Id = FileId;
    type Output = Known<Copied>;

    fn id(&self) -> FileId {
        self.file
    }

    fn run(self) -> Known<Copied> {
        let directory = open(&self.directory)?;
        let (count, bytes) = usage(&directory)?;
        let open = reopen(&self.handle)?;
        still_the_same(&self.file, &open)?;
        let room = count < self.settings.copies_max
            && bytes.saturating_add(self.file.size) <= self.settings.copies_max_bytes;
        // The content decides whether there is a copy already; without room only that is found out.
        let part = if room { Some(Part::create(&directory)?) } else { None };
        let (mut sum, mut copied) = (Sha256::new(), 0u64);
        let mut failed = false;
        read_pieces(&open, self.file.size, Instant::now() + TIME_MAX, |piece| {
            sum.update(piece);
            copied += piece.len() as u64;
            failed |= part.as_ref().is_some_and(|part| (&part.file).write_all(piece).is_err());
            !failed
        })?;
        if failed {
            return Err(DISK);
        }
        still_the_same(&self.file, &open)?;
        if copied != self.file.size {
            return Err("the file has changed since it was executed");
        }
        let copy = Copied { sha256: hexadecimal(&sum.finalize()), bytes: copied };
        if exists(&directory, &copy) {
            return Ok(copy);
        }
        part.ok_or(FULL)?.finish(&copy.sha256)?;
        Ok(copy)
    }
}

/// The directory, made where it is missing; what an earlier daemon left in part goes.
fn open(path: &Path) -> Known<OwnedFd> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(_) => return Err("the evidence directory could not be made"),
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty())
        .map_err(|_| "the evidence directory could not be opened")?;
    let status = rustix::fs::fstat(&directory).map_err(|_| "the evidence directory could not be opened")?;
    let ours = status.st_uid == rustix::process::geteuid().as_raw() && status.st_mode & 0o022 == 0;
    if ours { Ok(directory) } else { Err("the evidence directory can be written by others") }
}

/// How many copies there are, and their bytes.
fn usage(directory: &OwnedFd) -> Known<(usize, u64)> {
    const WHY: &str = "the evidence directory could not be read";
    let own = format!("{PART}{}-", std::process::id());
    let (mut count, mut bytes) = (0, 0u64);
    for entry in Dir::read_from(directory).map_err(|_| WHY)? {
        let entry = entry.map_err(|_| WHY)?;
        let name = entry.file_name();
        if name.to_bytes().starts_with(PART.as_bytes()) && !name.to_bytes().starts_with(own.as_bytes()) {
            let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
            continue;
        }
        let Ok(status) = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
        if FileType::from_raw_mode(status.st_mode) == FileType::RegularFile {
            count += 1;
            bytes = bytes.saturating_add(u64::try_from(status.st_size).unwrap_or(0));
        }
    }
    Ok((count, bytes))
}

fn exists(directory: &OwnedFd, copy: &Copied) -> bool {
    rustix::fs::statat(directory, copy.sha256.as_str(), AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|status| {
        FileType::from_raw_mode(status.st_mode) == FileType::RegularFile
            && u64::try_from(status.st_size) == Ok(copy.bytes)
    })
}

/// A file that is not whole yet; gone when dropped.
struct Part<'a> {
    directory: &'a OwnedFd,
    name: String,
    file: File,
}

impl<'a> Part<'a> {
    fn create(directory: &'a OwnedFd) -> Known<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("{PART}{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let file = rustix::fs::openat(directory, name.as_str(), flags, mode).map_err(|_| DISK)?;
        Ok(Self { directory, name, file: file.into() })
    }

    /// Gives it its name, when it is on disk.
    fn finish(self, name: &str) -> Known<()> {
        self.file.sync_all().map_err(|_| DISK)?;
        let rename = |flags| {
            let directory = self.directory.as_fd();
            rustix::fs::renameat_with(directory, self.name.as_str(), directory, name, flags)
        };
        match rename(RenameFlags::NOREPLACE) {
            // Another of that name is a damaged one, or no file.
            Ok(()) => {}
            Err(Errno::INVAL | Errno::EXIST) => rename(RenameFlags::empty()).map_err(|_| DISK)?,
            Err(_) => return Err(DISK),
        }
        let _ = rustix::fs::fsync(self.directory);
        Ok(())
    }
}

impl Drop for Part<'_> {
    fn drop(&mut self) {
        let _ = rustix::fs::unlinkat(self.directory, self.name.as_str(), AtFlags::empty());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::samples;
    use crate::model::look::Observation;
    use std::os::unix::fs::PermissionsExt;

    fn copy(settings: &EvidenceSettings, spool: &Path, program: &Path) -> Known<Copied> {
        let mut look = samples::look(7, Observation::Live);
        look.exe = samples::exe_of(program);
        copy_of(settings, spool, &look)
    }

    fn copy_of(settings: &EvidenceSettings, spool: &Path, look: &Look) -> Known<Copied> {
        let mut copies = Copies::new(settings.clone(), spool);
        copies.ask(look);
        copies.wait(look, Instant::now() + Duration::from_secs(30))
    }

    fn names(spool: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(spool.join("evidence")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn once_each_and_private_and_bounded() {
        let (spool, files) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let settings = EvidenceSettings {
            copies_max: 2,
            copies_max_bytes: 100,
            copy_max_bytes: 60,
            ..Default::default()
        };
        let file = |name: &str, content: &[u8]| {
            let path = files.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        // Known answer: sha256("hello world").
        let name = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
        let hello = file("a", b"hello world");
        let copied = copy(&settings, spool.path(), &hello).unwrap();
        assert_eq!((copied.sha256.as_str(), copied.bytes), (name, 11));
        let there = spool.path().join("evidence").join(name);
        assert_eq!(std::fs::read(&there).unwrap(), b"hello world");
        assert_eq!(std::fs::metadata(&there).unwrap().permissions().mode() & 0o777, 0o600);
        // The same content again, from a file without a name.
        let mut look = samples::look(7, Observation::Live);
        look.exe = samples::exe_of(&hello);
        std::fs::remove_file(&hello).unwrap();
        assert_eq!(copy_of(&settings, spool.path(), &look), Ok(copied));
        assert_eq!(names(spool.path()), [name]);
        assert!(
            copy(&settings, spool.path(), &file("b", &[b'x'; 61])).is_err_and(|why| why.contains("larger"))
        );
        assert!(copy(&settings, spool.path(), &file("c", &[b'x'; 50])).is_ok());
        assert_eq!(copy(&settings, spool.path(), &file("d", b"more")), Err(FULL));
        // A copy that is there already takes no room.
        assert!(copy(&settings, spool.path(), &file("e", b"hello world")).is_ok());
        assert_eq!(names(spool.path()).len(), 2, "nothing is left in part");
    }

    #[test]
    fn a_link_in_its_place_and_leftovers() {
        let (spool, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let program = other.path().join("p");
        std::fs::write(&program, b"hello world").unwrap();
        let evidence = spool.path().join("evidence");
        std::os::unix::fs::symlink(other.path(), &evidence).unwrap();
        assert!(copy(&EvidenceSettings::default(), spool.path(), &program).is_err());
        std::fs::remove_file(&evidence).unwrap();
        std::fs::create_dir(&evidence).unwrap();
        std::fs::set_permissions(&evidence, std::fs::Permissions::from_mode(0o700)).unwrap();
        std::fs::write(evidence.join(".part-0-1"), b"half").unwrap();
        assert!(copy(&EvidenceSettings::default(), spool.path(), &program).is_ok());
        assert_eq!(names(spool.path()).len(), 1);
    }
}
