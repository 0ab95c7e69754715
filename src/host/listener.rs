//! Who listens on a port.
//!
//! Owns: the question and its bounds: of a TCP table only the listening rows, which come first, are read. Must not
//! own: what direction follows from it.

use std::path::Path;

use crate::host::net_table::{self, TABLES};
use crate::model::ids::{Inode, Pid};
use crate::model::socket::{Address, Protocol, Socket, SocketType};
use crate::sys::sock_diag;

/// The most rows of a UDP table that are looked through.
const UDP_ROWS_MAX: usize = 20_000;
/// The most processes asked for their namespace when the socket's own is nobody's we know.
const PROCESSES_MAX: usize = 4_000;

/// Whether somebody listens on the socket's local port where the socket lives; `None` where that cannot be told.
pub fn listened_on(socket: &Socket, user: Pid, own: Option<Inode>) -> Option<bool> {
    let Some(Address::Ip(local)) = socket.local else { return None };
    // Here sock_diag answers at once; a TCP table takes milliseconds, however few sockets there are.
    if matches!(socket.protocol, Protocol::Tcp | Protocol::Mptcp)
        && socket.net_ns.is_some()
        && socket.net_ns == own
        && let Ok(answer) = sock_diag::listens(local)
    {
        return Some(answer);
    }
    let port = u32::from(local.port());
    let reader = reader_in(socket.net_ns, user, own)?;
    let stream = socket.kind == SocketType::Stream;
    let mut answered = false;
    for (table, _, protocol, _) in TABLES {
        if (protocol == Protocol::Tcp) != stream {
            continue;
        }
        let mut found = false;
        let mut left = UDP_ROWS_MAX;
        answered |= net_table::rows(reader, table, |row| {
            left = left.saturating_sub(1);
            let candidate = if stream { row.listens() } else { row.remote.port() == 0 };
            found = candidate && row.inode != socket.inode && row.local.port() == port;
            !found && left > 0 && (candidate || !stream)
        });
        if found {
            return Some(true);
        }
    }
    answered.then_some(false)
}

/// A process whose `/proc/PID/net` shows the namespace: the user if it lives there, this one, or any other.
fn reader_in(namespace: Option<Inode>, user: Pid, own: Option<Inode>) -> Option<Pid> {
    let this = Pid(std::process::id());
    let Some(wanted) = namespace else { return Some(user) };
    if own == Some(wanted) {
        return Some(this);
    }
    if namespace_of(user) == Some(wanted) {
        return Some(user);
    }
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .take(PROCESSES_MAX)
        .find(|pid| namespace_of(*pid) == Some(wanted))
}

fn namespace_of(pid: Pid) -> Option<Inode> {
    let link = std::fs::read_link(Path::new("/proc").join(pid.to_string()).join("ns/net")).ok()?;
    super::link::bracketed(link.as_os_str().as_encoded_bytes(), b"net:[")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::socket::{Resolved, ask, own_namespace};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::OwnedFd;

    fn network(socket: &TcpStream) -> Socket {
        let socket = OwnedFd::from(socket.try_clone().unwrap());
        let inode = Inode(rustix::fs::fstat(&socket).unwrap().st_ino);
        match ask(&socket, inode).unwrap() {
            Resolved::Network(found) => found,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_ends_of_a_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let (this, own) = (Pid(std::process::id()), own_namespace());
        assert_eq!(listened_on(&network(&server), this, own), Some(true));
        assert_eq!(listened_on(&network(&client), this, own), Some(false));
        drop(listener);
        // What another test forks has it too, until it has executed its program.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while listened_on(&network(&server), this, own) != Some(false) {
            assert!(std::time::Instant::now() < deadline, "still listened on");
            std::thread::yield_now();
        }
    }
}
