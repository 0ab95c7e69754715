//! The live machine.
//!
//! Owns: answering [`Host`] from `/proc`. Must not own: reading processes (`reader`), which the sensors do themselves.

use std::cell::RefCell;

use crate::host::shells::Shells;
use crate::host::{Host, listener, reader, socket};
use crate::model::ids::{Inode, Pid, ProcessKey};
use crate::model::look::Look;
use crate::model::recognised::Behind;
use crate::model::socket::Socket;

/// Linux's own default for `net.ipv4.ip_local_port_range`.
const EPHEMERAL_DEFAULT: (u16, u16) = (32_768, 60_999);

/// The machine that this process runs on.
#[derive(Debug)]
pub struct LiveHost {
    shells: RefCell<Shells>,
    own_net_ns: Option<Inode>,
    ephemeral: (u16, u16),
}

impl LiveHost {
    /// Reads what does not change.
    pub fn new() -> Self {
        let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").ok();
        let ephemeral = range.and_then(|text| {
            let mut numbers = text.split_whitespace().map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        });
        Self {
            shells: RefCell::new(Shells::new()),
            own_net_ns: socket::own_namespace(),
            ephemeral: ephemeral.unwrap_or(EPHEMERAL_DEFAULT),
        }
    }
}

impl Default for LiveHost {
    fn default() -> Self {
        Self::new()
    }
}

impl Host for LiveHost {
    fn listened_on(&self, socket: &Socket, user: Pid) -> Option<bool> {
        listener::listened_on(socket, user, self.own_net_ns)
    }

    fn alive(&self, key: ProcessKey) -> bool {
        reader::stat(key.pid)
            .is_some_and(|stat| stat.lives() && (key.start.0 == 0 || stat.start == key.start))
    }

    fn ephemeral_ports(&self) -> (u16, u16) {
        self.ephemeral
    }

    fn shell_behind(&self, look: &Look, operand: Option<&[u8]>, wait: bool) -> Behind {
        let shells = self.shells.try_borrow_mut();
        shells.map_or(Behind::Late, |mut shells| shells.behind(look, operand, wait))
    }
}
