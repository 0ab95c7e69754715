//! Other clients of a program that is trusted with all that it relays.
//!
//! Owns: telling a session's own client from somebody else's. Must not own: finding the way (`resolve`), rules.
//!
//! dockerd has a UNIX socket to each of its clients, and which of them a session belongs to cannot be seen. Proxies and
//! agents for monitoring keep one open to be told of events, and others to the network: every session of everybody's
//! would lead there. Whoever is only another client of a trusted program's is therefore taken for none of the session's
//! business, unless it is what carries shells: it has the connection on its own stdin, stdout or stderr (a client that
//! was started in a reverse shell), or is a network tool (socat between a port and dockerd's socket). Nor does it excuse
//! what lies behind the session's own client: that one has other channels to it.

use crate::engine::Engine;
use crate::host::Host;
use crate::model::look::Look;
use crate::model::relay::Way;
use crate::model::stdio::{Backing, Hop};

impl Engine {
    /// Whether the way ends at a client of a trusted program that has nothing to do with it. A hit of the rule that
    /// trusts the program is counted.
    pub(super) fn ends_at_another_client(&self, look: &Look, way: &Way, host: &impl Host) -> bool {
        let [.., trusted, client, socket] = way.hops.as_slice() else { return false };
        let by_unix = matches!((&trusted.backing, &client.backing), (Backing::Unix(_), Backing::Unix(_)));
        if !by_unix || trusted.process == look.key || client.process != socket.process || self.is_tool(way) {
            return false;
        }
        let files = |of: &Hop| host.files(of.process.pid).filter(|files| files.key == of.process);
        if files(client).is_none_or(|files| files.networks().any(|(fd, ..)| fd <= 2)) {
            return false;
        }
        let relay = files(trusted).and_then(|files| host.relay(&files));
        relay.is_some_and(|relay| {
            self.rules.excuse_relay(&relay, self.place.mount_namespace, look.at.wall_ns).is_some()
        })
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
