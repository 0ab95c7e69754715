//! Shells under another name.
//!
//! Owns: finding out what a program's file is: one of its root's shells, or a file with what is characteristic of a
//! shell in it; for a process run through the dynamic loader, the file that the loader was given. Bounds on bytes and
//! time, the cache, and what to do about files that hang. Must not own: whether it matters (`engine`).

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::host::background::{Answer, Background, Job, Refusal};
use crate::host::lru::Lru;
use crate::host::patience::Patience;
use crate::host::program_file::reopen;
use crate::host::root::{Root, living, regular};
use crate::host::{characteristic, root_shells};
use crate::model::ids::{Inode, ProcessKey};
use crate::model::look::{FileId, Look, base_name};
use crate::model::recognised::{Behind, How, Recognised};

/// How many files' answers are remembered.
const CACHE: usize = 1024;
/// The longest that one file is worked on.
const TIME_MAX: Duration = Duration::from_secs(1);
/// Reading that takes longer has hung.
const STUCK: Duration = Duration::from_secs(2);
/// How many hung threads are left behind.
const HUNG_MAX: usize = 8;
/// The longest wait for one answer.
const WAIT: Duration = Duration::from_millis(20);
/// How long files of a place where one hung are left alone.
const AVOIDED: Duration = Duration::from_secs(300);
/// How many such places are remembered.
const AVOIDED_MAX: usize = 64;
/// How many files that a process has mapped are looked at.
const MAPPED_MAX: usize = 16;

/// What an answer is about: a file as some mount namespace's processes run it, or what one life gave to the loader.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    file: FileId,
    mount_namespace: Option<Inode>,
    loaded: Option<(ProcessKey, Vec<u8>)>,
}

/// One program to recognise.
#[derive(Debug)]
struct Program {
    subject: Subject,
    handle: Arc<OwnedFd>,
    process: ProcessKey,
}

/// An answer, and whether it holds for the next process too.
type Outcome = (Behind, bool);

impl Job for Program {
    type Id = Subject;
    type Output = Outcome;

    fn id(&self) -> Subject {
        self.subject.clone()
    }

    fn run(self) -> Outcome {
        let until = Instant::now() + TIME_MAX;
        let root = Root::of(self.process);
        let found = match &self.subject.loaded {
            None => recognise(&self.handle, &self.subject.file, root.as_ref(), until),
            Some((_, path)) => match root.as_ref().and_then(|root| root.file(path)) {
                Some((handle, file)) => recognise(&handle, &file, root.as_ref(), until),
                None => mapped(self.process, &self.subject.file, root.as_ref(), until),
            },
        };
        match found {
            Ok(Some(recognised)) => (Behind::Shell(recognised), true),
            // Without its root's shells it was not compared with all of them.
            Ok(None) => (Behind::NoShell, root.is_some()),
            Err(why) => (Behind::Unreadable(why), false),
        }
    }
}

/// What the file of a program is.
fn recognise(
    handle: &OwnedFd,
    file: &FileId,
    root: Option<&Root>,
    until: Instant,
) -> Result<Option<Recognised>, &'static str> {
    let open = reopen(handle)?;
    let inside = characteristic::shell_in(&open, until)?;
    let how = root.and_then(|root| root_shells::find(root, file, &open, until));
    let name = match (inside, &how) {
        // The shell that is called `sh` may be any.
        (Some(inside), _) => inside.to_owned(),
        (None, Some(How::SameFile(path) | How::SameContent(path))) => {
            String::from_utf8_lossy(base_name(path)).into_owned()
        }
        (None, _) => return Ok(None),
    };
    Ok(Some(Recognised { name, how: how.unwrap_or(How::Characteristic) }))
}

/// A shell among the files that a process has mapped: the loader's program may have lost its name by now.
fn mapped(
    process: ProcessKey,
    loader: &FileId,
    root: Option<&Root>,
    until: Instant,
) -> Result<Option<Recognised>, &'static str> {
    let dir = living(process).ok_or("the process has gone, and what it mapped with it")?;
    let mut seen = vec![(loader.device, loader.inode)];
    for handle in dir.mapped_files().map_err(|_| "what the process has mapped could not be read")? {
        if seen.len() > MAPPED_MAX || Instant::now() > until {
            break;
        }
        let Some((handle, file)) = handle.ok().and_then(regular) else { continue };
        if seen.contains(&(file.device, file.inode)) {
            continue;
        }
        seen.push((file.device, file.inode));
        if let Some(recognised) = recognise(&handle, &file, root, until)? {
            return Ok(Some(recognised));
        }
    }
    Ok(None)
}

/// Programs recognised: asked for, waited for, remembered.
#[derive(Debug)]
pub struct Shells {
    work: Background<Program>,
    known: Lru<Subject, Outcome>,
    avoided: HashMap<(Option<Inode>, u64), Instant>,
    patience: Patience,
}

impl Shells {
    /// Starts no thread before the first question.
    pub fn new() -> Self {
        Self {
            work: Background::new("shell-files", STUCK, HUNG_MAX),
            known: Lru::new(CACHE),
            avoided: HashMap::new(),
            patience: Patience::new(Instant::now()),
        }
    }

    /// What stands behind a process's program; `operand`: the program that it, a dynamic loader, was given. With `wait`
    /// a little time may pass.
    pub fn behind(&mut self, look: &Look, operand: Option<&[u8]>, wait: bool) -> Behind {
        let (Some(file), Some(handle)) = (look.exe.file, &look.exe.handle) else {
            return Behind::Unreadable("the program could not be opened");
        };
        let loaded = operand.map(|operand| (look.key, path_in_root(look, operand)));
        let subject = Subject { file, mount_namespace: look.namespaces.mnt, loaded };
        self.collect(Instant::now(), None);
        if !self.known.touch(&subject) {
            if self.is_avoided(&subject) {
                return Behind::Unreadable("reading another file of its filesystem hung");
            }
            let program = Program { subject: subject.clone(), handle: Arc::clone(handle), process: look.key };
            match self.work.ask(program) {
                Ok(()) if wait => self.wait(&subject),
                Ok(()) | Err(Refusal::Full) => {}
                Err(Refusal::Off) => return Behind::Unreadable("too many files hang while they are read"),
            }
        }
        match self.known.peek(&subject).cloned() {
            Some((behind, holds)) => {
                if !holds {
                    self.known.remove(&subject);
                }
                behind
            }
            None => Behind::Late,
        }
    }

    /// Waits for one answer, within what may be waited.
    fn wait(&mut self, subject: &Subject) {
        let began = Instant::now();
        let most = self.patience.at(began);
        self.collect(began + most.min(WAIT), Some(subject));
        self.patience.spend(began.elapsed());
    }

    /// Takes what has come until `deadline`, or until the answer that is waited for is there.
    fn collect(&mut self, deadline: Instant, wanted: Option<&Subject>) {
        while let Some(answer) = self.work.answer(deadline) {
            let subject = match answer {
                Answer::Done(subject, outcome) => {
                    self.known.put(subject.clone(), outcome);
                    subject
                }
                Answer::Hung(subject) => {
                    let place = (subject.mount_namespace, subject.file.device);
                    if self.avoided.len() < AVOIDED_MAX {
                        self.avoided.insert(place, Instant::now());
                    }
                    self.known.put(subject.clone(), (Behind::Unreadable("reading its file hung"), true));
                    subject
                }
            };
            if wanted == Some(&subject) {
                break;
            }
        }
    }

    fn is_avoided(&mut self, subject: &Subject) -> bool {
        self.avoided.retain(|_, since| since.elapsed() < AVOIDED);
        self.avoided.contains_key(&(subject.mount_namespace, subject.file.device))
    }
}

impl Default for Shells {
    fn default() -> Self {
        Self::new()
    }
}

/// A path that a process names, as its root has it.
fn path_in_root(look: &Look, path: &[u8]) -> Vec<u8> {
    if path.starts_with(b"/") {
        return path.to_vec();
    }
    let root = look.root.strip_suffix(b"/").unwrap_or(&look.root);
    let cwd = look.cwd.strip_prefix(root).unwrap_or(&look.cwd);
    [cwd, b"/", path].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::proc_dir::file_id;
    use crate::model::clock::Moment;
    use crate::model::ids::Pid;
    use crate::model::look::{Cause, Exe, Observation};
    use rustix::fs::{Mode, OFlags};
    use std::path::Path;

    /// A look at this very process, as if it ran that file.
    fn look_at(path: &Path) -> Look {
        let pid = Pid(std::process::id());
        let start = crate::host::reader::stat(pid).unwrap().start;
        let key = ProcessKey { pid, start };
        let mut look = Look::blank(key, Moment::default(), Observation::Live, Cause::Exec);
        let handle = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let file = file_id(&handle).ok();
        let path = path.as_os_str().as_encoded_bytes().to_vec();
        look.exe = Exe { path, deleted: false, file, handle: Some(Arc::new(handle)) };
        look.root = b"/".to_vec();
        look
    }

    /// Asks until there is an answer.
    fn answer(shells: &mut Shells, look: &Look, operand: Option<&[u8]>) -> Behind {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            match shells.behind(look, operand, true) {
                Behind::Late => assert!(Instant::now() < deadline, "no answer"),
                answer => return answer,
            }
        }
    }

    fn how(behind: &Behind) -> Option<&How> {
        if let Behind::Shell(found) = behind { Some(&found.how) } else { None }
    }

    #[test]
    fn copies_links_and_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let mut shells = Shells::new();
        let bash = std::fs::read("/bin/sh").unwrap();
        std::fs::write(path("copy"), &bash).unwrap();
        std::fs::write(path("changed"), [bash.as_slice(), b"more"].concat()).unwrap();
        std::fs::write(path("text"), b"#!/bin/sh\n").unwrap();
        let same = answer(&mut shells, &look_at(Path::new("/bin/sh")), None);
        assert!(matches!(how(&same), Some(How::SameFile(_))), "{same:?}");
        let copy = answer(&mut shells, &look_at(&path("copy")), None);
        assert!(matches!(how(&copy), Some(How::SameContent(_))), "{copy:?}");
        let changed = answer(&mut shells, &look_at(&path("changed")), None);
        assert_eq!(how(&changed), Some(&How::Characteristic));
        assert_eq!(answer(&mut shells, &look_at(&path("text")), None), Behind::NoShell);
        assert_eq!(answer(&mut shells, &look_at(Path::new("/proc/self/exe")), None), Behind::NoShell);
        // What the loader was given, by an absolute and a relative path; the loader itself is none.
        let mut loader = look_at(Path::new("/proc/self/exe"));
        loader.cwd = dir.path().as_os_str().as_encoded_bytes().to_vec();
        let copy = path("copy");
        for operand in [copy.as_os_str().as_encoded_bytes(), b"./copy", b"copy"] {
            let found = answer(&mut shells, &loader, Some(operand));
            assert!(matches!(how(&found), Some(How::SameContent(_))), "{found:?}");
        }
        // A name that leads nowhere: what is mapped counts, here this test.
        assert_eq!(answer(&mut shells, &loader, Some(b"/gone")), Behind::NoShell);
    }

    #[test]
    fn a_second_question_is_answered_at_once() {
        let mut shells = Shells::new();
        let look = look_at(Path::new("/bin/sh"));
        let first = answer(&mut shells, &look, None);
        assert_eq!(shells.behind(&look, None, false), first);
    }

    #[test]
    fn the_place_of_a_relative_path() {
        let mut look = look_at(Path::new("/bin/sh"));
        for (root, cwd, path, whole) in [
            (&b"/"[..], &b"/tmp"[..], &b"x"[..], &b"/tmp/x"[..]),
            (b"/srv/root", b"/srv/root/tmp", b"../x", b"/tmp/../x"),
            (b"/srv/root", b"/srv/root/tmp", b"/x", b"/x"),
            (b"", b"/tmp", b"./x", b"/tmp/./x"),
        ] {
            (look.root, look.cwd) = (root.to_vec(), cwd.to_vec());
            assert_eq!(path_in_root(&look, path), whole);
        }
    }
}
