//! A machine that a test wrote.
//!
//! Owns: answers set beforehand, so that whole attacks replay without a kernel. Must not own: any default that a
//! test would depend on without seeing it.

use std::collections::{HashMap, HashSet};

use crate::host::Host;
use crate::model::ids::{Pid, ProcessKey};
use crate::model::look::Look;
use crate::model::recognised::Behind;
use crate::model::socket::Socket;

/// Answers for the engine.
#[derive(Clone, Debug, Default)]
pub struct ScriptedHost {
    /// Local ports that somebody listens on.
    pub listening: HashSet<u32>,
    /// Processes that have ended.
    pub dead: HashSet<ProcessKey>,
    /// What stands behind a program, by its path (of the loader's operand, where there is one); others are no shells.
    pub behind: HashMap<Vec<u8>, Behind>,
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

    fn shell_behind(&self, look: &Look, operand: Option<&[u8]>, _wait: bool) -> Behind {
        let path = operand.unwrap_or(&look.exe.path);
        self.behind.get(path).cloned().unwrap_or(Behind::NoShell)
    }
}
