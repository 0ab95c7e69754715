//! A service manager's end of sd_notify(3).
//!
//! Owns: the socket, and starting a daemon that is told of it. Must not own: what has to be said.

use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::common::DEADLINE;
use crate::common::daemon::{Daemon, Place};

/// A manager, and the daemon that it started.
pub struct Manager {
    socket: UnixDatagram,
    pub daemon: Daemon,
}

impl Manager {
    /// Starts a daemon on this place; with a watchdog of so many seconds.
    pub fn start(place: &Arc<Place>, watchdog: Option<u64>) -> Self {
        let path = place.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let mut command = place.command();
        command.env("NOTIFY_SOCKET", &path);
        if let Some(seconds) = watchdog {
            command.env("WATCHDOG_USEC", (seconds * 1_000_000).to_string());
        }
        Self { socket, daemon: Daemon::start_by(place, command) }
    }

    /// The next datagram that comes within this time.
    pub fn next(&self, time: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(time.max(Duration::from_millis(1)))).unwrap();
        let mut buffer = [0; 4096];
        let length = self.socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    /// The next datagram that has this line, if one comes within this time; others are passed over.
    pub fn hears_within(&self, line: &str, time: Duration) -> Option<String> {
        let end = Instant::now() + time;
        loop {
            let left = end.checked_duration_since(Instant::now())?;
            match self.next(left) {
                Some(said) if said.lines().any(|has| has == line) => return Some(said),
                _ => {}
            }
        }
    }

    /// The same; it has to come.
    pub fn hears(&self, line: &str) -> String {
        let heard = self.hears_within(line, DEADLINE);
        heard.unwrap_or_else(|| {
            panic!("the manager did not hear {line}; tetherd said:\n{}", self.daemon.said())
        })
    }
}
