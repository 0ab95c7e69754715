//! What the service manager is told (sd_notify(3)).
//!
//! Owns: the datagram to the socket that the environment names. Must not own: when what is said. Where no manager waits for
//! it, nothing is sent.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The way to the manager.
#[derive(Debug)]
pub struct Notify {
    way: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// The one that the environment names (`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`); silent without.
    pub fn from_environment() -> Self {
        let read = |name| std::env::var_os(name);
        let way = read("NOTIFY_SOCKET").and_then(|name| open(&name).ok());
        let number = |name| read(name).and_then(|text| text.to_str()?.parse::<u64>().ok());
        // Meant for this process, or for whoever runs.
        let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
        let watchdog = number("WATCHDOG_USEC").filter(|microseconds| ours && *microseconds > 0);
        Self { way, watchdog: watchdog.map(Duration::from_micros) }
    }

    /// How often the manager wants to hear `WATCHDOG=1` at least.
    pub fn watchdog(&self) -> Option<Duration> {
        self.watchdog.filter(|_| self.way.is_some())
    }

    /// Sends `NAME=VALUE` lines. The manager may be away for a moment: it asks no questions, and nobody waits for it.
    pub fn tell(&self, state: &str) {
        if let Some((socket, address)) = &self.way {
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }
}

/// A path, or a name in the abstract namespace that begins with `@` (unix(7)).
fn open(name: &OsStr) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        [b'/', ..] => SocketAddr::from_pathname(name)?,
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok((socket, address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(name: &OsStr, listener: &UnixDatagram) -> String {
        let notify = Notify { way: Some(open(name).unwrap()), watchdog: None };
        notify.tell("READY=1\nSTATUS=x");
        let mut buffer = [0; 64];
        let length = listener.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn a_path_and_an_abstract_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        assert_eq!(heard(path.as_os_str(), &listener), "READY=1\nSTATUS=x");
        let name = format!("tetherd-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let listener = UnixDatagram::bind_addr(&address).unwrap();
        assert_eq!(heard(OsStr::new(&format!("@{name}")), &listener), "READY=1\nSTATUS=x");
    }

    #[test]
    fn what_cannot_be_meant() {
        assert!(open(OsStr::new("relative")).is_err() && open(OsStr::new("")).is_err());
        assert!(open(OsStr::new(&format!("/{}", "x".repeat(200)))).is_err());
        // Nobody listens: nothing is said.
        let notify = Notify { way: open(OsStr::new("/nowhere/at/all")).ok(), watchdog: None };
        notify.tell("READY=1");
    }
}
