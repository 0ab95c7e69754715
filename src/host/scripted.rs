//! A machine that a test wrote.
//!
//! Owns: answers set beforehand, so that whole attacks replay without a kernel. Must not own: any default that a
//! test would depend on without seeing it.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::host::Host;
use crate::model::contained::Contained;
use crate::model::ids::{Inode, Pid, ProcessKey};
use crate::model::look::{Ancestor, FileId, Look};
use crate::model::recognised::Behind;
use crate::model::relay::{Channel, FileKind, Files, Relay};
use crate::model::socket::Socket;

/// Answers for the engine.
#[derive(Clone, Debug, Default)]
pub struct ScriptedHost {
    /// Local ports that somebody listens on.
    pub listening: HashSet<u32>,
    /// Processes that have ended.
    pub dead: HashSet<ProcessKey>,
    /// Open files, by process; their `parent` is the parent.
    pub files: HashMap<Pid, Arc<Files>>,
    /// Peers of UNIX sockets, both ways.
    pub peers: HashMap<Inode, Inode>,
    /// Programs of processes.
    pub programs: HashMap<Pid, Ancestor>,
    /// The file of each of them.
    pub program_file: Option<FileId>,
    /// What stands behind a program, by its path (of the loader's operand, where there is one); others are no shells.
    pub behind: HashMap<Vec<u8>, Behind>,
    /// The containers of processes, by the bytes of their `/proc/PID/cgroup`; others are in none.
    pub contained: HashMap<Vec<u8>, Contained>,
    /// How often a search left something out.
    pub cuts: Cell<u32>,
}

impl Host for ScriptedHost {
    fn listened_on(&self, socket: &Socket, _user: Pid) -> Option<bool> {
        Some(self.listening.contains(&socket.local?.port()))
    }

    fn alive(&self, key: ProcessKey) -> bool {
        !self.dead.contains(&key)
    }

    fn ephemeral_ports(&self) -> (u16, u16) {
        (32_768, 60_999)
    }

    fn files(&self, pid: Pid) -> Option<Arc<Files>> {
        self.files.get(&pid).cloned()
    }

    fn relatives(&self, pid: Pid) -> Vec<Pid> {
        let parent = self.files.get(&pid).map(|files| files.parent);
        let siblings =
            self.files.values().filter(|files| Some(files.parent) == parent && files.key.pid != pid);
        let mut found: Vec<Pid> = siblings.map(|files| files.key.pid).collect();
        found.sort_unstable();
        parent.into_iter().chain(found).collect()
    }

    fn holders(&self, channel: Channel) -> Vec<Pid> {
        let has = |files: &Files| {
            files.list.iter().any(|file| matches!(file.kind, FileKind::Channel(found, _) if found.anywhere() == channel.anywhere()))
        };
        let mut found: Vec<Pid> =
            self.files.iter().filter(|(_, files)| has(files)).map(|(pid, _)| *pid).collect();
        found.sort();
        found
    }

    fn unix_peer(&self, _owner: Pid, socket: Inode) -> Option<Inode> {
        self.peers.get(&socket).copied()
    }

    fn cut(&self) {
        self.cuts.set(self.cuts.get() + 1);
    }

    fn descends(&self, pid: Pid, from: Pid) -> bool {
        let mut at = pid;
        while let Some(files) = self.files.get(&at) {
            if files.parent == from {
                return true;
            }
            at = files.parent;
        }
        false
    }

    fn relay(&self, holder: &Files) -> Option<Relay> {
        self.files.get(&holder.key.pid).filter(|files| files.key == holder.key)?;
        let known = self.programs.get(&holder.key.pid);
        let process = known.cloned().unwrap_or_else(|| Ancestor {
            key: holder.key,
            comm: holder.comm.clone(),
            ..Ancestor::default()
        });
        let sockets = holder.network_count();
        Some(Relay { process, file: known.and(self.program_file), root: b"/".to_vec(), sockets })
    }

    fn shell_behind(&self, look: &Look, operand: Option<&[u8]>, _wait: bool) -> Behind {
        let path = operand.unwrap_or(&look.exe.path);
        self.behind.get(path).cloned().unwrap_or(Behind::NoShell)
    }

    fn contained(&self, look: &Look, _wait: bool) -> Contained {
        self.contained.get(&look.cgroup).cloned().unwrap_or(Contained::Untold)
    }
}
