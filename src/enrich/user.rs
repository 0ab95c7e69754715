//! A user's name, as the process's own root and user namespace have it.
//!
//! Owns: finding and reading the right `etc/passwd`, and the cache of names. Must not own: other sources of names (NSS):
//! they would run a library's network lookups as root.
//!
//! Everything under a container's root belongs to the container: the path is resolved with that root as its top
//! (openat2(2) RESOLVE_IN_ROOT), nothing but a regular file is opened, a bounded part is read, and all of it on a thread
//! that may hang. A name is kept by process life: mount namespaces' numbers are used again at once.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::fs::{Mode, OFlags, ResolveFlags, open, openat, openat2};

use super::status::LATE;
use crate::host::background::{Answer, Background, HUNG_MAX, Job, Refusal, STUCK};
use crate::host::lru::Lru;
use crate::host::program_file::reopen;
use crate::model::ids::{Inode, ProcessKey, Uid};
use crate::model::look::Look;
use crate::model::text;

/// How many names are remembered.
const CACHE: usize = 1024;
/// The most of a passwd file that is read, in bytes.
const PASSWD_MAX: u64 = 1 << 20;
/// The longest line of a passwd file that counts, in bytes.
const LINE_MAX: usize = 4096;
/// The longest name, in bytes (`LOGIN_NAME_MAX`).
const NAME_MAX: usize = 256;
/// The most of a small file in `/proc` that is read, in bytes; a uid_map has at most 340 lines.
const PROC_MAX: u64 = 32 * 1024;
/// How many ancestors are tried where the process has gone.
const ANCESTORS: usize = 8;

/// A name, `None` where the passwd file has none for the uid, or why that is not known.
type Outcome = Result<Option<String>, &'static str>;

/// Names of users: asked for, waited for, remembered.
#[derive(Debug)]
pub(super) struct Users {
    host_mnt: Option<Inode>,
    work: Background<Lookup>,
    known: Lru<(ProcessKey, Uid), Outcome>,
}

impl Users {
    /// `host_mnt`: the host's mount namespace.
    pub(super) fn new(host_mnt: Option<Inode>) -> Self {
        Self { host_mnt, work: Background::new("tetherd-user", STUCK, HUNG_MAX), known: Lru::new(CACHE) }
    }

    /// Asks for the name of a process's real user, unless it is known. Never blocks.
    pub(super) fn ask(&mut self, look: &Look) {
        let id = (look.key, look.credentials.uid);
        if self.known.touch(&id) {
            return;
        }
        let mnt = look.namespaces.mnt;
        // A process that changed its root shares it with none of its ancestors for sure.
        let top_root = mnt.is_some() && matches!(look.root.as_slice(), b"" | b"/");
        let same_root = look.ancestors.iter().filter(|up| top_root && up.mnt_ns == mnt).map(|up| up.key);
        let lookup = Lookup {
            id,
            processes: std::iter::once(look.key).chain(same_root).take(ANCESTORS).collect(),
            on_host: top_root && mnt == self.host_mnt,
        };
        if self.work.ask(lookup) == Err(Refusal::Off) {
            self.known.put(id, Err("lookups are off: reading files hung too often"));
        }
    }

    /// The name, waiting for it until `deadline` at most.
    pub(super) fn wait(&mut self, look: &Look, deadline: Instant) -> Outcome {
        let id = (look.key, look.credentials.uid);
        while self.known.peek(&id).is_none() {
            match self.work.answer(deadline) {
                Some(Answer::Done(done, outcome)) => self.known.put(done, outcome),
                Some(Answer::Hung(hung)) => self.known.put(hung, Err("reading its passwd file hung")),
                None => return Err(LATE),
            }
        }
        self.known.peek(&id).cloned().unwrap_or(Err(LATE))
    }
}

/// One name to find.
#[derive(Debug)]
pub(super) struct Lookup {
    id: (ProcessKey, Uid),
    /// The process and ancestors of it in the same mount namespace.
    processes: Vec<ProcessKey>,
    /// The host's own passwd file is the right one too.
    on_host: bool,
}

impl Job for Lookup {
    type Id = (ProcessKey, Uid);
    type Output = Outcome;

    fn id(&self) -> Self::Id {
        self.id
    }

    fn run(self) -> Outcome {
        let uid = self.id.1;
        for &key in &self.processes {
            let Some(dir) = living(key) else { continue };
            let inner = match read_at(&dir, "uid_map").map(|map| inner_uid(&map, uid)) {
                Some(Some(inner)) => inner,
                Some(None) => return Err("its user namespace has no such user"),
                None => continue,
            };
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let Ok(root) = openat(&dir, "root", flags, Mode::empty()) else { continue };
            return name_below(&root, inner);
        }
        if !self.on_host {
            return Err("the process has gone, and its root with it");
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = open("/", flags, Mode::empty()).map_err(|_| "the root directory could not be opened")?;
        name_below(&root, uid)
    }
}

/// `/proc/PID` as a directory, if it is still this life.
fn living(key: ProcessKey) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = open(format!("/proc/{}", key.pid), flags, Mode::empty()).ok()?;
    let stat = read_at(&dir, "stat")?;
    // proc_pid_stat(5): the name in parentheses may hold anything; field 3 follows its last `)`, 22 is the start.
    let end = stat.iter().rposition(|&b| b == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    let start: u64 = rest.split_ascii_whitespace().nth(19)?.parse().ok()?;
    (start == key.start.0).then_some(dir)
}

fn read_at(dir: &OwnedFd, name: &str) -> Option<Vec<u8>> {
    let file = openat(dir, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut bytes = Vec::new();
    File::from(file).take(PROC_MAX).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The uid inside a user namespace, by its uid_map (user_namespaces(7): `inside outside count`, where `outside` is
/// told in the reader's namespace).
pub fn inner_uid(map: &[u8], uid: Uid) -> Option<Uid> {
    map.split(|&b| b == b'\n').find_map(|line| {
        let line = std::str::from_utf8(line).ok()?;
        let mut fields = line.split_ascii_whitespace().map(|field| field.parse::<u32>().ok());
        let (inside, outside, count) = (fields.next()??, fields.next()??, fields.next()??);
        let offset = uid.0.checked_sub(outside).filter(|&offset| offset < count)?;
        inside.checked_add(offset).map(Uid)
    })
}

/// The name of `uid` in `etc/passwd` below `root`; a root without that file has no names.
fn name_below(root: &OwnedFd, uid: Uid) -> Outcome {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let handle = match openat2(root, "etc/passwd", flags, Mode::empty(), resolve) {
        Ok(handle) => handle,
        Err(rustix::io::Errno::NOENT) => return Ok(None),
        Err(_) => return Err("its passwd file could not be opened"),
    };
    let mut bytes = Vec::new();
    reopen(&handle)?
        .take(PASSWD_MAX)
        .read_to_end(&mut bytes)
        .map_err(|_| "its passwd file could not be read")?;
    Ok(name_in(&bytes, uid))
}

/// The first line of a passwd file (passwd(5)) with this uid.
pub fn name_in(passwd: &[u8], uid: Uid) -> Option<String> {
    passwd.split(|&b| b == b'\n').filter(|line| line.len() <= LINE_MAX).find_map(|line| {
        let mut fields = line.split(|&b| b == b':');
        let (name, _, number) = (fields.next()?, fields.next()?, fields.next()?);
        let number: u32 = std::str::from_utf8(number).ok()?.parse().ok()?;
        (number == uid.0 && !name.is_empty()).then(|| text::cut(&text::lossy(name).0, NAME_MAX).to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::samples;
    use crate::model::ids::{Pid, StartTime};
    use crate::model::look::Observation;
    use proptest::prelude::*;
    use std::time::Duration;

    fn own_key() -> ProcessKey {
        let pid = std::process::id();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let start = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap();
        ProcessKey { pid: Pid(pid), start: StartTime(start) }
    }

    fn root_at(path: &std::path::Path) -> OwnedFd {
        open(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty()).unwrap()
    }

    #[test]
    fn maps() {
        let map = b"         0     100000      65536\n     70000 1 1\n";
        assert_eq!(inner_uid(map, Uid(100_033)), Some(Uid(33)));
        assert_eq!(inner_uid(map, Uid(1)), Some(Uid(70_000)));
        assert_eq!(inner_uid(map, Uid(0)), None);
        assert_eq!(inner_uid(b"         0          0 4294967295\n", Uid(33)), Some(Uid(33)));
    }

    #[test]
    fn a_living_process_and_one_that_has_gone() {
        let mut look = samples::look(1, Observation::Live);
        look.key = own_key();
        let mut users = Users::new(Some(Inode(9)));
        let soon = || Instant::now() + Duration::from_secs(20);
        users.ask(&look);
        assert_eq!(users.wait(&look, soon()), Ok(Some("root".into())));

        look.key.start.0 += 1;
        users.ask(&look);
        assert_eq!(users.wait(&look, soon()), Err("the process has gone, and its root with it"));

        look.key.start.0 += 1;
        look.namespaces.mnt = Some(Inode(9));
        users.ask(&look);
        assert_eq!(users.wait(&look, soon()), Ok(Some("root".into())));
    }

    #[test]
    fn a_hostile_root() {
        let dir = tempfile::tempdir().unwrap();
        let root = root_at(dir.path());
        assert_eq!(name_below(&root, Uid(0)), Ok(None));
        std::os::unix::fs::symlink("/etc", dir.path().join("etc")).unwrap();
        assert!(name_below(&root, Uid(0)).is_err(), "a link to itself, not to the host's /etc");
        std::fs::remove_file(dir.path().join("etc")).unwrap();
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        let passwd = dir.path().join("etc/passwd");
        std::os::unix::fs::symlink("/etc/shadow", &passwd).unwrap();
        assert_eq!(name_below(&root, Uid(0)), Err("it is not a regular file"));
        std::fs::remove_file(&passwd).unwrap();
        nix::unistd::mkfifo(&passwd, nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert_eq!(name_below(&root, Uid(0)), Err("it is not a regular file"));
        std::fs::remove_file(&passwd).unwrap();
        std::fs::write(&passwd, "toor:x:0:0::/:/bin/sh\nweb:x:33:33:::\n").unwrap();
        assert_eq!(name_below(&root, Uid(33)), Ok(Some("web".into())));
        assert_eq!(name_below(&root, Uid(34)), Ok(None));
    }

    proptest! {
        #[test]
        fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400), uid: u32) {
            let _ = inner_uid(&bytes, Uid(uid));
            let name = name_in(&bytes, Uid(uid));
            prop_assert!(name.is_none_or(|name| !name.is_empty() && name.len() <= NAME_MAX));
        }
    }
}
