//! What only the living process, or its root, can still tell: environment, label, namespaces, where its program and its
//! script came from, whom its network namespace talks to.
//!
//! Owns: gathering it once for each main process, on a thread that may hang, and the cache. Must not own: the look
//! (`host::reader`); the form of the properties (`enrich::evidence_properties`). Nothing here is read for a process that
//! is no finding's main process.

mod copy;
mod environment;
mod later;
mod origin;
mod peers;
mod relay;
mod script;
mod settings;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::host::background::{Answer, Background, HUNG_MAX, Job, Refusal, STUCK};
use crate::host::lru::Lru;
use crate::host::mount_table::MountTable;
use crate::host::mounts::{Mount, Mounts};
use crate::host::proc_dir::ProcDir;
use crate::host::root::{Root, living};
use crate::model::ids::{Inode, ProcessKey};
use crate::model::look::{Args, Exe, Look, Namespaces, Observation};
use crate::model::stdio::Tether;
use crate::model::text::{cut, lossy};

pub(super) use copy::{Copied, Copies};
pub use environment::{Environment, parse as shown_environment};
pub(super) use later::Later;
pub(super) use origin::Origin;
pub(super) use peers::Peers;
pub(super) use script::Script;
pub use settings::EvidenceSettings;

use super::namespaces::{self, Inodes};
use super::status::LATE;

/// How many processes' facts are remembered.
const CACHE: usize = 128;
/// How many ancestors are tried where the process has gone.
const ANCESTORS: usize = 8;
/// The most of an environment that is read, in bytes.
const ENVIRON_MAX: usize = 128 * 1024;
/// The most of a mountinfo that is read, in bytes.
const MOUNTINFO_MAX: usize = 1 << 20;
/// The longest security label, in bytes.
const LABEL_MAX: usize = 512;

const GONE: &str = "the process has gone";
const OTHER: &str = "it has executed another program since";

/// Something, or why it is not known.
pub(super) type Known<T> = Result<T, &'static str>;

/// What was gathered about one process.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) environment: Known<Environment>,
    /// The label of the Linux security module; `None` where there is no such module.
    pub(super) label: Known<Option<String>>,
    /// The namespaces that are not the host's; of a process that was no more what it was, those that the look has.
    pub(super) namespaces: Known<Inodes>,
    /// What the process had become by the time that it was read.
    pub(super) later: Option<Later>,
    pub(super) origin: Known<Origin>,
    /// `None` where it runs no script.
    pub(super) script: Option<Known<Script>>,
    /// `None` in the host's network namespace, or where it is switched off.
    pub(super) peers: Option<Known<Peers>>,
    /// Whom else the relay is connected to; `None` where there is no relay, or where it is switched off.
    pub(super) relay: Option<Known<Peers>>,
}

/// A process, and which program of those that it executed.
type Id = (ProcessKey, u64);

/// Facts: asked for, waited for, remembered.
#[derive(Debug)]
pub(super) struct Evidence {
    settings: Arc<EvidenceSettings>,
    digest_max: u64,
    host: Namespaces,
    host_all: Arc<Inodes>,
    host_mounts: Arc<Mutex<MountTable>>,
    work: Background<Gather>,
    known: Lru<Id, Known<Arc<Facts>>>,
}

impl Evidence {
    /// `digest_max`: the most bytes of a script that are hashed.
    pub(super) fn new(settings: EvidenceSettings, digest_max: u64, host: Namespaces) -> Self {
        Self {
            settings: Arc::new(settings),
            digest_max,
            host,
            host_all: Arc::new(namespaces::all_of_host()),
            host_mounts: Arc::new(Mutex::new(MountTable::of_host(MOUNTINFO_MAX))),
            work: Background::new("tetherd-facts", STUCK, HUNG_MAX),
            known: Lru::new(CACHE),
        }
    }

    /// Asks for a process's facts, unless they are known. Never blocks.
    pub(super) fn ask(&mut self, look: &Look, tether: &Tether) {
        let id = (look.key, look.at.mono_ns);
        if self.known.touch(&id) {
            return;
        }
        let mnt = look.namespaces.mnt;
        // A process that changed its root shares it with none of its ancestors for sure.
        let top = mnt.is_some() && matches!(look.root.as_slice(), b"" | b"/");
        let net = look.namespaces.net.filter(|net| self.host.net.is_some_and(|host| host != *net));
        let above = |same: bool, keys: &mut Vec<ProcessKey>, key| {
            if same && keys.len() < ANCESTORS {
                keys.push(key);
            }
        };
        let (mut same_root, mut all) = (vec![look.key], vec![look.key]);
        for up in &look.ancestors {
            above(top && up.mnt_ns == mnt, &mut same_root, up.key);
            above(true, &mut all, up.key);
        }
        let gather = Gather {
            id,
            exe: look.exe.clone(),
            args: look.args.clone(),
            cwd: look.cwd.clone(),
            root: look.root.clone(),
            started_wall_ns: look.started_wall_ns,
            same_root,
            all,
            net: net.filter(|_| self.settings.network_peers_max > 0),
            seen: look.seen,
            namespaces: look.namespaces,
            relay: relay::of(tether).filter(|_| self.settings.network_peers_max > 0),
            tether: tether.socket.inode,
            on_host: top && mnt == self.host.mnt,
            host_mounts: Arc::clone(&self.host_mounts),
            host: Arc::clone(&self.host_all),
            settings: Arc::clone(&self.settings),
            digest_max: self.digest_max,
        };
        if self.work.ask(gather) == Err(Refusal::Off) {
            self.known.put(id, Err("gathering is off: reading files hung too often"));
        }
    }

    /// The facts, waiting for them until `deadline` at most.
    pub(super) fn wait(&mut self, look: &Look, deadline: Instant) -> Known<Arc<Facts>> {
        let id = (look.key, look.at.mono_ns);
        while self.known.peek(&id).is_none() {
            match self.work.answer(deadline) {
                Some(Answer::Done(done, facts)) => self.known.put(done, Ok(Arc::new(facts))),
                Some(Answer::Hung(hung)) => self.known.put(hung, Err("reading its files hung")),
                None => return Err(LATE),
            }
        }
        self.known.peek(&id).cloned().unwrap_or(Err(LATE))
    }
}

/// One process to ask.
#[derive(Debug)]
struct Gather {
    id: Id,
    exe: Exe,
    args: Args,
    cwd: Vec<u8>,
    root: Vec<u8>,
    started_wall_ns: u64,
    /// The process, and ancestors with the same root.
    same_root: Vec<ProcessKey>,
    /// The process and its ancestors.
    all: Vec<ProcessKey>,
    /// The network namespace to ask, if it is not the host's.
    net: Option<Inode>,
    seen: Observation,
    namespaces: Namespaces,
    /// Who holds the tether's socket, if it is not the process itself.
    relay: Option<ProcessKey>,
    /// The socket that is known already.
    tether: Inode,
    on_host: bool,
    host_mounts: Arc<Mutex<MountTable>>,
    host: Arc<Inodes>,
    settings: Arc<EvidenceSettings>,
    digest_max: u64,
}

impl Job for Gather {
    type Id = Id;
    type Output = Facts;

    fn id(&self) -> Id {
        self.id
    }

    /// What vanishes with the process comes first. A launcher (nsenter, sudo, env) is another program within a
    /// millisecond: then nothing that is read now is its own, and is kept as the later program's.
    fn run(self) -> Facts {
        let alive = living(self.id.0);
        let Living { environment, label, namespaces, later } =
            alive.as_ref().map_or_else(|| self.without(GONE, None), |dir| self.living(dir));
        let dir = alive.filter(|_| later.is_none());
        let home = self.same_root.iter().find_map(|key| living(*key).filter(|dir| self.at_home(dir)));
        let mount = self.mount(home.as_ref());
        let held = self.script_held(dir.as_ref());
        let root = home.as_ref().and_then(Root::open);
        let peers =
            self.net.map(|net| peers::of(&self.all, net, self.tether, self.settings.network_peers_max));
        let relay = self.relay.map(|relay| relay::peers(relay, self.tether, self.settings.network_peers_max));
        Facts {
            environment,
            label,
            namespaces,
            later,
            origin: origin::of(&self.exe, &self.root, mount.as_ref().map_err(|why| *why), self.on_host),
            script: self.script(root.as_ref(), held),
            peers,
            relay,
        }
    }
}

/// What only the living process tells, and whose it is.
struct Living {
    environment: Known<Environment>,
    label: Known<Option<String>>,
    namespaces: Known<Inodes>,
    /// Set: what was read is another program's than the one that was looked at, and is in here.
    later: Option<Later>,
}

impl Gather {
    /// The mount that the program's file was found through.
    fn mount(&self, home: Option<&ProcDir>) -> Known<Mount> {
        let id =
            self.exe.handle.as_deref().and_then(origin::mount_id).ok_or("the program could not be opened")?;
        let none = "its mount is none of the process's";
        // A process with another root is shown the mounts below that, and a container its own.
        if self.on_host {
            let mounts = self.host_mounts.lock().unwrap_or_else(PoisonError::into_inner).mounts();
            if let Some(mounts) = mounts {
                return mounts.by_id(id).cloned().ok_or(none);
            }
        }
        let home = home.ok_or(GONE)?;
        let (text, _) = home.read(c"mountinfo", MOUNTINFO_MAX).map_err(|_| GONE)?;
        Mounts::only(&text, id).ok_or(none)
    }

    fn living(&self, dir: &ProcDir) -> Living {
        if self.seen == Observation::Held {
            // Let go a moment ago: until execve has done its work the process is still what it was before.
            later::settle(|| self.same_program(dir));
        }
        let before = self.same_program(dir);
        let read = || match dir.read(c"environ", ENVIRON_MAX) {
            // A process that ended between the look and now has an empty one.
            Ok((text, _)) if text.is_empty() => Err("it has none"),
            Ok((text, cut)) => Ok(self.environment(&text, cut)),
            Err(_) => Err(GONE),
        };
        let mut environment = read();
        let (label, namespaces) = (label(dir), namespaces::apart(dir, &self.host));
        // It may have become another while it was read.
        let same = before && self.same_program(dir);
        if same {
            return Living { environment, label, namespaces: Ok(namespaces), later: None };
        }
        // In the midst of execve the new one is not there yet.
        if environment.is_err() {
            later::settle(|| {
                environment = read();
                environment.is_ok()
            });
        }
        self.without(OTHER, Some(Later::of(dir, environment.ok(), label.ok().flatten(), namespaces)))
    }

    /// What is left where nothing of its own could be read: the look has namespaces too.
    fn without(&self, why: &'static str, later: Option<Later>) -> Living {
        let namespaces = namespaces::looked(&self.namespaces, &self.host).ok_or(why);
        Living { environment: Err(why), label: Err(why), namespaces, later }
    }

    fn same_program(&self, dir: &ProcDir) -> bool {
        later::same_program(dir, &self.exe, &self.args, self.seen)
    }

    /// Whether the process is still where it was looked at: a launcher leads into other namespaces and other roots.
    fn at_home(&self, dir: &ProcDir) -> bool {
        let mnt = self.namespaces.mnt;
        let there = mnt.is_none() || dir.namespace(c"ns/mnt", b"mnt:[") == mnt;
        there && (self.root.is_empty() || dir.link(c"root").is_ok_and(|root| root == self.root))
    }

    fn environment(&self, text: &[u8], cut: bool) -> Environment {
        let settings = &self.settings;
        environment::parse(text, cut, &settings.environment_values, settings.environment_names_max)
    }

    fn operand(&self) -> Option<&[u8]> {
        script::operand(self.exe.name(), &self.args.list)
    }

    /// The script as the interpreter itself has it open, for where its name has gone.
    fn script_held(&self, own: Option<&ProcDir>) -> Option<script::Opened> {
        let path = script::absolute(self.operand()?, &self.cwd, &self.root)?;
        script::held(own?, &path)
    }

    fn script(&self, root: Option<&Root>, held: Option<script::Opened>) -> Option<Known<Script>> {
        let operand = self.operand()?;
        let Some(path) = script::absolute(operand, &self.cwd, &self.root) else {
            return Some(Err("its working directory is not known"));
        };
        let opened = root.and_then(|root| root.file(&path)).or(held);
        let opened = opened.ok_or(if root.is_some() { "there is no such regular file" } else { GONE });
        Some(opened.and_then(|opened| script::read(path, opened, self.digest_max, self.started_wall_ns)))
    }
}

/// `attr/current` (proc_pid_attr(5)): what AppArmor, SELinux or Smack call the process.
fn label(dir: &ProcDir) -> Known<Option<String>> {
    match dir.read(c"attr/current", LABEL_MAX) {
        Ok((text, _)) => {
            let text = lossy(text.split(|&b| b == 0).next().unwrap_or_default().trim_ascii()).0;
            Ok((!text.is_empty()).then(|| cut(&text, LABEL_MAX).to_owned()))
        }
        // ESRCH: it has ended since. Everything else: there is no such module.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Err(GONE),
        Err(_) => Ok(None),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
