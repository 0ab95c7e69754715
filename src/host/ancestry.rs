//! Those above a process, as they are.
//!
//! Owns: reading the chain of parents, and one of them as a relay. Must not own: how far they matter. Talks to:
//! [`super::proc_dir`], [`super::cmdline`].

use std::cell::RefCell;

use crate::host::cmdline::Cmdlines;
use crate::host::proc_dir::ProcDir;
use crate::host::reader::{args, exe, stat};
use crate::host::stat::{Stat, Status};
use crate::model::ids::{Pid, ProcessKey};
use crate::model::lineage::Lineage;
use crate::model::look::{ANCESTORS_MAX, Ancestor, FileId};
use crate::model::relay::{Files, Relay};

/// The most bytes read of an ancestor's `cmdline`.
const ANCESTOR_ARGS_MAX: usize = 1024;

/// Chains of parents; the one that was asked for last is kept: siblings come in bursts.
#[derive(Debug, Default)]
pub struct Ancestry {
    kept: RefCell<Vec<Ancestor>>,
}

impl Ancestry {
    /// The chain that begins with this process. Each is read for itself: a parent may end meanwhile, and the chain with
    /// it. As long as the nearest is the same life as last time, so are those above it, or the kernel would have given it
    /// another parent.
    pub fn of(&self, first: Pid, cmdlines: &Cmdlines) -> Vec<Ancestor> {
        let nearest = stat(first).map(|stat| ProcessKey { pid: first, start: stat.start });
        let mut kept = self.kept.borrow_mut();
        if nearest.is_none() || kept.first().map(|ancestor| ancestor.key) != nearest {
            *kept = ancestors(first, cmdlines);
        }
        kept.clone()
    }

    /// The chain as it was noted: those that have gone since by their names alone.
    pub fn noted(&self, parent: Pid, lineage: &Lineage, cmdlines: &Cmdlines) -> Vec<Ancestor> {
        let lives =
            |key: ProcessKey| stat(key.pid).is_some_and(|stat| stat.lives() && stat.start == key.start);
        let gone = lineage.line.iter().take_while(|noted| !lives(noted.key));
        let mut chain: Vec<Ancestor> =
            gone.map(|noted| Ancestor::gone(noted.key, noted.comm.clone())).collect();
        let nearest = lineage.line.get(chain.len()).map(|noted| noted.key.pid);
        let above =
            chain.len().checked_sub(1).and_then(|last| lineage.line.get(last)).map(|last| last.parent);
        chain.extend(self.of(nearest.or(above).unwrap_or(parent), cmdlines));
        chain.truncate(ANCESTORS_MAX);
        chain
    }
}

/// Reads a chain of parents.
fn ancestors(first: Pid, cmdlines: &Cmdlines) -> Vec<Ancestor> {
    let mut chain: Vec<Ancestor> = Vec::new();
    let mut pid = first;
    while pid.0 > 0 && chain.len() < ANCESTORS_MAX {
        let Ok(dir) = ProcDir::open(pid) else { break };
        let Some(stat) = dir.stat() else { break };
        let parent = stat.parent;
        chain.push(ancestor(&dir, stat, cmdlines).0);
        pid = parent;
    }
    chain
}

/// One process as part of a chain, and its program file.
fn ancestor(dir: &ProcDir, stat: Stat, cmdlines: &Cmdlines) -> (Ancestor, Option<FileId>) {
    let (cmdline, more) = cmdlines.read(dir, ANCESTOR_ARGS_MAX).unwrap_or_default();
    let status = dir.read(c"status", 8192).map(|(text, _)| Status::parse(&text)).unwrap_or_default();
    let exe = exe(dir);
    let ancestor = Ancestor {
        key: ProcessKey { pid: dir.pid(), start: stat.start },
        comm: stat.comm,
        exe_owner: exe.file.map(|file| file.owner),
        exe: exe.path,
        args: args(&cmdline, more, 16),
        uid: status.credentials.uid,
        mnt_ns: dir.namespace(c"ns/mnt", b"mnt:["),
    };
    (ancestor, exe.file)
}

/// What is to be known of a process that holds the socket at the end of somebody else's tether.
pub fn relay(holder: &Files, cmdlines: &Cmdlines) -> Option<Relay> {
    let dir = ProcDir::open(holder.key.pid).ok()?;
    let stat = dir.stat().filter(|stat| stat.start == holder.key.start)?;
    let (process, file) = ancestor(&dir, stat, cmdlines);
    let root = dir.link(c"root").unwrap_or_default();
    Some(Relay { process, file, root, sockets: holder.network_count() })
}
