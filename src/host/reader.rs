//! Reading a process: the first look, and the rest of it while the process still lives.
//!
//! Owns: the order in which things are read (what vanishes first comes first) and every bound on how much. Must not
//! own: what follows from it. Talks to: [`super::glance`], [`super::proc_dir`], [`super::socket`].

use std::cell::RefCell;
use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;

use crate::host::ancestry::{self, Ancestry};
use crate::host::cmdline::Cmdlines;
use crate::host::glance::{Glance, NoGlance, Sight, glance};
use crate::host::lineage;
use crate::host::link::{self, Link};
use crate::host::listening::Listening;
use crate::host::proc_dir::{ProcDir, file_id};
use crate::host::socket::{self, Resolved};
use crate::host::stat::{Stat, Status, parse_login};
use crate::host::undertaker::Undertaker;
use crate::model::clock::{Moment, SECOND};
use crate::model::ids::{Inode, Pid, ProcessKey};
use crate::model::lineage::Lineage;
use crate::model::look::{
    ARGS_BYTES_MAX, ARGS_MAX, Ancestor, Args, Cause, Credentials, Exe, Look, Namespaces, Observation,
};
use crate::model::relay::Relay;
use crate::model::socket::SocketLookup;
use crate::model::stdio::Backing;
use crate::sys;

/// The most bytes read of `cgroup`.
const CGROUP_MAX: usize = 16 * 1024;
/// Enough of a link to tell sockets from the rest.
const FIRST_LOOK_LINK: usize = 64;

/// How long after it a process can have a twin.
const TWIN_NS: u64 = SECOND;

/// What the first look saw.
#[derive(Debug)]
pub enum FirstLook {
    /// Nothing on fds 0-2 that could matter; the glance, where that was asked for.
    Nothing(Option<Glance>),
    /// A pipe, a UNIX socket or a pseudo-terminal, and no network socket: somebody else may hold one.
    Channel(Glance),
    /// A network socket, asked already: read on.
    Direct(Glance),
    /// Some socket, by its link: it has to be asked.
    Socket(ProcDir),
    /// The process had gone.
    Vanished,
    /// The kernel refused.
    Denied,
}

/// Why a process could not be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// It had gone.
    Vanished,
    /// The kernel refused.
    Denied,
}

/// The first look by links: opens `/proc/PID` and reads three of them.
fn first_look_by_links(pid: Pid) -> FirstLook {
    let dir = match ProcDir::open(pid) {
        Ok(dir) => dir,
        Err(error) => return if refused(&error) { FirstLook::Denied } else { FirstLook::Vanished },
    };
    let mut buffer = [MaybeUninit::uninit(); FIRST_LOOK_LINK];
    let mut open = false;
    for fd in 0..3 {
        match dir.stdio_link(fd, &mut buffer) {
            Ok(text) if link::is_socket(text) => return FirstLook::Socket(dir),
            Ok(_) => open = true,
            Err(error) if refused(&error) => return FirstLook::Denied,
            Err(_) => {}
        }
    }
    if open || lives(&dir) { FirstLook::Nothing(None) } else { FirstLook::Vanished }
}

fn lives(dir: &ProcDir) -> bool {
    dir.read(c"stat", 512).ok().and_then(|(text, _)| Stat::parse(&text)).is_some_and(|stat| stat.lives())
}

fn refused(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied
}

/// Reads processes; holds how sockets are to be found out about.
#[derive(Debug)]
pub struct Reader {
    ways: Vec<SocketLookup>,
    /// Where pidfd_getfd(2) may be used.
    undertaker: Option<Undertaker>,
    ancestry: Ancestry,
    /// The process that was read whole last.
    last: RefCell<Option<Box<Look>>>,
    cmdlines: Cmdlines,
    /// Where set, the look says whether somebody listens on its sockets' ports.
    listening: RefCell<Option<Listening>>,
}

impl Reader {
    /// A reader that tries these lookups, in order.
    pub fn new(ways: Vec<SocketLookup>) -> Self {
        let duplicates = ways.contains(&SocketLookup::Getfd);
        Self {
            ways,
            undertaker: duplicates.then(|| Undertaker::start().ok()).flatten(),
            ancestry: Ancestry::default(),
            last: RefCell::default(),
            cmdlines: Cmdlines::default(),
            listening: RefCell::default(),
        }
    }

    /// The sensor's: its looks also say whether somebody listens, and it does not wait for threads of lower priority.
    pub fn live(self, realtime: bool) -> Self {
        let listening = RefCell::new(Some(Listening::new(realtime)));
        Self { listening, cmdlines: Cmdlines::new(realtime), ..self }
    }

    /// The hot path, taken for every exec on the machine.
    pub fn first_look(&self, pid: Pid) -> FirstLook {
        let Some(undertaker) = self.undertaker.as_ref().filter(|undertaker| !undertaker.is_full()) else {
            return first_look_by_links(pid);
        };
        match glance(pid, undertaker) {
            Ok(glance) if glance.is_direct() => FirstLook::Direct(glance),
            Ok(glance) if glance.is_blank() && !ProcDir::open(pid).is_ok_and(|dir| lives(&dir)) => {
                FirstLook::Vanished
            }
            Ok(glance) if glance.has_channel() => FirstLook::Channel(glance),
            Ok(glance) => FirstLook::Nothing(Some(glance)),
            Err(NoGlance::Vanished) => FirstLook::Vanished,
            Err(NoGlance::Refused) => first_look_by_links(pid),
        }
    }

    /// Fds 0-2 where a glance has told the sockets apart already; the rest by its links.
    pub fn stdio_after(&self, dir: Option<&ProcDir>, sights: &[Sight; 3]) -> [Backing; 3] {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        [0, 1, 2].map(|fd| match sights.get(fd) {
            None | Some(Sight::Closed) => Backing::Closed,
            Some(Sight::Network(socket)) if socket.listening => Backing::Listener(socket.clone()),
            Some(Sight::Network(socket)) => Backing::Network(socket.clone()),
            Some(Sight::Unix(inode)) => Backing::Unix(*inode),
            Some(Sight::OtherSocket(inode)) => Backing::OtherSocket(*inode),
            Some(sight) => match dir.and_then(|dir| dir.stdio_link(fd, &mut buffer).ok()).map(link::parse) {
                Some(Link::Settled(backing)) => backing,
                _ => match sight {
                    Sight::Pipe(_, inode) => Backing::Pipe(*inode),
                    _ => Backing::Unread,
                },
            },
        })
    }

    /// Fds 0-2, sockets resolved. The flag: some socket could not be.
    pub fn stdio(&self, dir: &ProcDir) -> ([Backing; 3], bool) {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut known: Vec<(Inode, Backing)> = Vec::new();
        let mut unresolved = false;
        let backings = [0, 1, 2].map(|fd| {
            let parsed = match dir.stdio_link(fd, &mut buffer) {
                Ok(text) => link::parse(text),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Backing::Closed,
                Err(_) => return Backing::Unread,
            };
            let inode = match parsed {
                Link::Settled(backing) => return backing,
                Link::Socket(inode) => inode,
            };
            if let Some((_, backing)) = known.iter().find(|(seen, _)| *seen == inode) {
                return backing.clone();
            }
            let backing = match socket::resolve(dir, fd, inode, &self.ways) {
                Resolved::Network(socket) if socket.listening => Backing::Listener(Arc::new(socket)),
                Resolved::Network(socket) => Backing::Network(Arc::new(socket)),
                Resolved::Unix => Backing::Unix(inode),
                Resolved::Other => Backing::OtherSocket(inode),
                Resolved::Unresolved => {
                    unresolved = true;
                    Backing::OtherSocket(inode)
                }
            };
            known.push((inode, backing.clone()));
            backing
        });
        (backings, unresolved)
    }

    /// Reads everything else about the process whose directory is open and whose stdio is known. What cannot be read
    /// any more is named in `unread`: a process whose stdio was seen counts as seen.
    pub fn rest(
        &self,
        dir: &ProcDir,
        stdio: [Backing; 3],
        at: Moment,
        seen: Observation,
        cause: Cause,
    ) -> Look {
        let mut look = Look::blank(ProcessKey { pid: dir.pid(), ..ProcessKey::default() }, at, seen, cause);
        look.stdio = stdio;
        look.exe = exe(dir);
        if look.exe.path.is_empty() {
            look.unread.push("exe");
        }
        match self.cmdlines.read(dir, ARGS_BYTES_MAX) {
            Ok((text, _)) if is_over(&text, cause, dir) => {
                look.unread.extend(["cmdline", "stat", "status", "cgroup"]);
                return look;
            }
            Ok((text, more)) => look.args = args(&text, more, ARGS_MAX),
            Err(_) => look.unread.push("cmdline"),
        }
        look.listened = self.listened(&look.stdio, dir, at);
        let stat = match dir.read(c"stat", 4096) {
            Ok((text, _)) => Stat::parse(&text),
            Err(_) => None,
        };
        let Some(stat) = stat else {
            look.unread.extend(["stat", "status", "cgroup"]);
            return look;
        };
        look.key.start = stat.start;
        look.comm = stat.comm;
        (look.parent, look.pgrp, look.session) = (stat.parent, stat.pgrp, stat.session);
        look.started_wall_ns = started_wall_ns(stat.start.0, at);
        if self.is_twin(&mut look) {
            look.cwd = dir.link(c"cwd").unwrap_or_default();
            return look;
        }
        match dir.read(c"status", 8192) {
            Ok((text, _)) => {
                let status = Status::parse(&text);
                look.credentials = status.credentials;
                look.inner_pid = status.inner_pid;
                // A thread that executes takes the place of its process's first thread.
                if status.group != dir.pid() && status.group.0 != 0 {
                    let leader = self::stat(status.group);
                    let start = leader.map_or(look.key.start, |leader| leader.start);
                    look.key = ProcessKey { pid: status.group, start };
                }
            }
            Err(_) => look.unread.push("status"),
        }
        match dir.read(c"cgroup", CGROUP_MAX) {
            Ok((text, _)) => look.cgroup = text,
            Err(_) => look.unread.push("cgroup"),
        }
        look.credentials.login = dir.read(c"loginuid", 16).ok().and_then(|(text, _)| parse_login(&text));
        look.cwd = dir.link(c"cwd").unwrap_or_default();
        look.root = dir.link(c"root").unwrap_or_default();
        look.namespaces = namespaces(dir);
        look.ancestors = self.ancestry.of(stat.parent, &self.cmdlines);
        let mut kept = look.clone();
        // It would keep the file open.
        kept.exe.handle = None;
        *self.last.borrow_mut() = Some(Box::new(kept));
        look
    }

    /// Whether the last process that was read whole is this one's twin: the same program with the same arguments and
    /// descriptors, of the same parent, less than a second ago. Then it is where the twin is, and runs as whom the twin
    /// does: of a burst of commands on one socket each is read in a third of the time.
    fn is_twin(&self, look: &mut Look) -> bool {
        let last = self.last.borrow();
        let Some(twin) = last.as_deref().filter(|twin| {
            twin.parent == look.parent
                && look.at.since(twin.at) < TWIN_NS
                && twin.inner_pid == Some(twin.key.pid)
                && twin.exe.file.is_some()
                && (&twin.exe.file, &twin.exe.path) == (&look.exe.file, &look.exe.path)
                && twin.args == look.args
                && twin.stdio == look.stdio
        }) else {
            return false;
        };
        look.credentials = twin.credentials;
        look.inner_pid = Some(look.key.pid);
        look.cgroup.clone_from(&twin.cgroup);
        look.root.clone_from(&twin.root);
        look.namespaces = twin.namespaces;
        look.ancestors.clone_from(&twin.ancestors);
        true
    }

    /// Who runs: the program, the arguments, the parent. Nothing else of the look is read. `None`: it has gone.
    pub fn who(&self, dir: &ProcDir, at: Moment, seen: Observation, cause: Cause) -> Option<Look> {
        let exe = Some(exe(dir)).filter(|exe| !exe.path.is_empty())?;
        let (cmdline, more) = self.cmdlines.read(dir, ARGS_BYTES_MAX).ok()?;
        let stat = dir.stat().filter(|stat| stat.lives() && !is_over(&cmdline, cause, dir))?;
        let key = ProcessKey { pid: dir.pid(), start: stat.start };
        let mut look = Look::blank(key, at, seen, cause);
        (look.exe, look.comm, look.args) = (exe, stat.comm, args(&cmdline, more, ARGS_MAX));
        (look.parent, look.pgrp, look.session) = (stat.parent, stat.pgrp, stat.session);
        Some(look)
    }

    /// Those above a process, for when they have gone.
    pub fn lineage(&self, parent: Pid, sights: &[Sight; 3]) -> Lineage {
        let undertaker = self.undertaker.as_ref();
        undertaker.map(|undertaker| lineage::without_files(parent, sights, undertaker)).unwrap_or_default()
    }

    /// What is to be known of the last of the line, if it holds a network socket.
    pub fn relay(&self, lineage: &Lineage) -> Option<Arc<Relay>> {
        let holder = lineage.line.last().filter(|files| files.networks().next().is_some())?;
        ancestry::relay(holder, &self.cmdlines).map(Arc::new)
    }

    /// What was read of a process that ended before the rest could be: its parents may still be there.
    pub fn rest_without_it(&self, mut brief: Look, stdio: [Backing; 3], lineage: &Lineage) -> Look {
        brief.stdio = stdio;
        brief.started_wall_ns = started_wall_ns(brief.key.start.0, brief.at);
        brief.unread.extend(["status", "cwd"]);
        brief.ancestors = self.ancestors_noted(brief.parent, lineage);
        // It lived where its parent does, or whoever is left above it.
        let lives = |ancestor: &&Ancestor| !ancestor.exe.is_empty();
        let nearest = brief.ancestors.iter().find(lives).map_or(brief.parent, |ancestor| ancestor.key.pid);
        if let Ok(parent) = ProcDir::open(nearest) {
            brief.cgroup = parent.read(c"cgroup", CGROUP_MAX).map(|(text, _)| text).unwrap_or_default();
            brief.root = parent.link(c"root").unwrap_or_default();
            brief.namespaces = namespaces(&parent);
        }
        brief
    }

    /// The chain of parents as it was noted: those that have gone since by their names alone.
    pub fn ancestors_noted(&self, parent: Pid, lineage: &Lineage) -> Vec<Ancestor> {
        self.ancestry.noted(parent, lineage, &self.cmdlines)
    }

    fn listened(&self, stdio: &[Backing; 3], dir: &ProcDir, at: Moment) -> Vec<(Inode, bool)> {
        let mut known: Vec<(Inode, bool)> = Vec::new();
        let mut listening = self.listening.borrow_mut();
        let Some(listening) = listening.as_mut() else { return known };
        for socket in stdio.iter().filter_map(Backing::network) {
            if known.iter().all(|(inode, _)| *inode != socket.inode)
                && let Some(answer) = listening.ask(socket, dir, at.mono_ns)
            {
                known.push((socket.inode, answer));
            }
        }
        known
    }

    /// Takes over what an exec has changed into a look from before it. Arguments that were read while it waited in execve
    /// stay: it may have executed another program meanwhile. Those that were read while nobody held it prove nothing. Where
    /// it has gone, the look stays as it is; false: its id has passed on to another.
    pub fn refresh(&self, look: &mut Look) -> bool {
        let Ok(dir) = ProcDir::open(look.key.pid) else { return true };
        let Some(stat) = dir.stat() else { return true };
        if stat.start != look.key.start {
            return false;
        }
        look.comm = stat.comm;
        if !matches!(stat.state, b'Z' | b'X' | b'x') {
            let exe = exe(&dir);
            if !exe.path.is_empty() {
                look.exe = exe;
            }
            if (look.seen != Observation::Held || look.unread.contains(&"cmdline"))
                && let Some(args) = self
                    .cmdlines
                    .read(&dir, ARGS_BYTES_MAX)
                    .ok()
                    .map(|(text, more)| args(&text, more, ARGS_MAX))
                && !args.list.is_empty()
            {
                look.args = args;
                look.unread.retain(|name| *name != "cmdline");
            }
        }
        if let Ok((text, _)) = dir.read(c"status", 8192) {
            let login = look.credentials.login;
            look.credentials = Credentials { login, ..Status::parse(&text).credentials };
        }
        true
    }

    /// A whole look at a process: for sweeps and for processes of an incident. The flag is that of [`Reader::stdio`].
    pub fn look(
        &self,
        pid: Pid,
        at: Moment,
        seen: Observation,
        cause: Cause,
    ) -> Result<(Look, bool), Missed> {
        let dir = match ProcDir::open(pid) {
            Ok(dir) => dir,
            Err(error) => return Err(if refused(&error) { Missed::Denied } else { Missed::Vanished }),
        };
        let (stdio, unresolved) = self.stdio(&dir);
        let look = self.rest(&dir, stdio, at, seen, cause);
        if look.key.start.0 == 0 { Err(Missed::Vanished) } else { Ok((look, unresolved)) }
    }
}

/// Whether a process has ended since its descriptors were read, so that it has no arguments any more. Those of one that executes
/// are what it was given; those of one come upon later may have been so for a moment (a shell's `read x <&5`), and without its
/// arguments it would be taken for a shell that has none. What has ended is no sweep's business.
fn is_over(cmdline: &[u8], cause: Cause, dir: &ProcDir) -> bool {
    cause == Cause::Sweep && cmdline.is_empty() && dir.link(c"exe").is_err()
}

fn namespaces(dir: &ProcDir) -> Namespaces {
    Namespaces {
        net: dir.namespace(c"ns/net", b"net:["),
        pid: dir.namespace(c"ns/pid", b"pid:["),
        mnt: dir.namespace(c"ns/mnt", b"mnt:["),
        user: dir.namespace(c"ns/user", b"user:["),
    }
}

/// A process's `stat`, if there is such a process.
pub fn stat(pid: Pid) -> Option<Stat> {
    ProcDir::open(pid).ok()?.stat()
}

pub(super) fn exe(dir: &ProcDir) -> Exe {
    let Ok(mut path) = dir.link(c"exe") else { return Exe::default() };
    let deleted = path.ends_with(b" (deleted)");
    if deleted {
        path.truncate(path.len() - b" (deleted)".len());
    }
    let handle = dir.exe_handle().ok();
    let file = handle.as_ref().and_then(|handle| file_id(handle).ok());
    Exe { path, deleted, file, handle: handle.map(Arc::new) }
}

/// Splits `cmdline` (proc_pid_cmdline(5)): arguments end in NUL; a process may overwrite them with anything.
#[doc(hidden)]
pub fn args(text: &[u8], mut truncated: bool, most: usize) -> Args {
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    if text.is_empty() {
        return Args { list: Vec::new(), truncated };
    }
    let mut parts = text.split(|&b| b == 0);
    let list: Vec<Vec<u8>> = parts.by_ref().take(most).map(<[u8]>::to_vec).collect();
    truncated |= parts.next().is_some();
    Args { list, truncated }
}

fn started_wall_ns(ticks: u64, at: Moment) -> u64 {
    let after_boot = u128::from(ticks) * 1_000_000_000 / u128::from(sys::clock::ticks_per_second());
    let age = u128::from(sys::clock::boot_ns()).saturating_sub(after_boot);
    at.wall_ns.saturating_sub(u64::try_from(age).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_child_on_a_socket() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut child = std::process::Command::new("/bin/cat")
            .stdin(std::process::Stdio::from(std::os::fd::OwnedFd::from(client.try_clone().unwrap())))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let reader = Reader::new(vec![SocketLookup::Getfd, SocketLookup::Diag, SocketLookup::Proc]);
        let at = sys::clock::now();
        let (look, unresolved) = reader.look(Pid(child.id()), at, Observation::Live, Cause::Exec).unwrap();
        assert!(matches!(reader.first_look(Pid(child.id())), FirstLook::Direct(_)));
        assert!(matches!(first_look_by_links(Pid(child.id())), FirstLook::Socket(_)));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!unresolved && look.is_direct());
        assert_eq!(look.stdio[1], Backing::Null);
        assert_eq!(look.exe.name(), b"cat");
        assert_eq!(look.parent, Pid(std::process::id()));
        assert!(look.ancestors.first().is_some_and(|a| a.key.pid == look.parent));
        assert!(at.wall_ns - look.started_wall_ns < 60_000_000_000);
        assert!(matches!(reader.first_look(Pid(child.id())), FirstLook::Vanished));
        assert!(matches!(first_look_by_links(Pid(child.id())), FirstLook::Vanished));
    }

    /// A zombie has its descriptors and its memory behind it; a process that ends has the memory behind it first.
    #[test]
    fn one_that_ends_while_it_is_read() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let pid = Pid(child.id());
        while stat(pid).is_some_and(|stat| stat.lives()) {
            std::thread::yield_now();
        }
        let reader = Reader::new(vec![SocketLookup::Getfd]);
        let dir = ProcDir::open(pid).unwrap();
        let start = |cause| {
            let stdio = [const { Backing::Null }; 3];
            reader.rest(&dir, stdio, sys::clock::now(), Observation::Live, cause).key.start
        };
        let (of_an_exec, of_a_sweep) = (start(Cause::Exec), start(Cause::Sweep));
        child.wait().unwrap();
        assert!(of_an_exec.0 > 0, "what it was given stays known");
        assert_eq!(of_a_sweep.0, 0);
    }

    #[test]
    fn arguments() {
        let split = |text: &[u8]| args(text, false, 3);
        assert_eq!(split(b"").list.len(), 0);
        assert_eq!(split(b"sh\0-c\0\0").list, vec![b"sh".to_vec(), b"-c".to_vec(), b"".to_vec()]);
        assert!(split(b"a\0b\0c\0d\0").truncated && !split(b"a\0b\0c\0").truncated);
        assert_eq!(split(b"title without end").list.len(), 1);
    }

    proptest! {
        #[test]
        fn any_cmdline_is_bounded(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            prop_assert!(args(&bytes, false, ARGS_MAX).list.len() <= ARGS_MAX);
        }
    }
}
