//! What an incident hangs on.
//!
//! Owns: which tethers are one incident, and the name that follows from it. Must not own: incidents.

use sha2::{Digest, Sha256};

use crate::model::ids::{FindingId, Inode, ProcessKey};
use crate::model::relay::{Channel, Way};
use crate::model::socket::Socket;

/// Tethers with the same anchor are one incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Anchor {
    /// A network socket: the command's own, or the only one that its relay holds.
    Socket(Inode),
    /// A relay with several network sockets, and the command's channel to it.
    Channel(ProcessKey, Channel),
    /// A relay with several network sockets that starts one command after another.
    Relay(ProcessKey),
}

impl Anchor {
    /// Of a direct tether.
    pub fn of_socket(socket: &Socket) -> Self {
        Self::Socket(socket.inode)
    }

    /// Of a command that stays on one channel.
    pub fn of_channel(way: &Way) -> Self {
        if way.relay.sockets <= 1 {
            return Self::Socket(way.socket.inode);
        }
        Self::Channel(way.relay.process.key, way.first.anywhere())
    }

    /// Of commands that each get a channel of their own.
    pub fn of_relay(way: &Way) -> Self {
        if way.relay.sockets <= 1 {
            Self::Socket(way.socket.inode)
        } else {
            Self::Relay(way.relay.process.key)
        }
    }

    /// The incident's name: the same after a restart of the daemon, because it follows from the boot and the socket's
    /// cookie (where there is none, from its inode and addresses), or from the relay's life.
    pub fn name(self, boot_id: &str, socket: &Socket) -> FindingId {
        let mut digest = Sha256::new();
        digest.update(b"tetherd incident 1\0");
        digest.update(boot_id.as_bytes());
        match (self, socket.cookie) {
            (Self::Socket(_), Some(cookie)) => digest.update(format!("\0cookie {cookie}")),
            (Self::Socket(inode), None) => {
                digest.update(format!("\0inode {inode} {:?} {:?}", socket.local, socket.peer));
            }
            (Self::Channel(relay, channel), _) => digest.update(format!("\0relay {relay} {channel:?}")),
            (Self::Relay(relay), _) => digest.update(format!("\0relay {relay}")),
        }
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(digest.finalize()) {
            *to = from;
        }
        FindingId(id)
    }
}
