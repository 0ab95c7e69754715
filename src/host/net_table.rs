//! Reading `/proc/PID/net/{tcp,tcp6,udp,udp6,unix}`.
//!
//! Owns: the tables' text (proc_pid_net(5)) and a bound on how much of it is read. Must not own: when to read it: it
//! grows with the number of sockets, so it is the last of the lookups.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::host::link::number;
use crate::host::proc_dir::ProcDir;
use crate::host::socket::Resolved;
use crate::model::ids::{Inode, Pid};
use crate::model::socket::{Address, Family, Peer, Protocol, Socket, SocketLookup, SocketType};

/// The most bytes read of one table.
const TABLE_BYTES_MAX: u64 = 32 << 20;
/// `TCP_LISTEN` as the table writes it.
const LISTEN: u8 = 0x0a;

/// One row of a table of internet sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// This end.
    pub local: Address,
    /// The other end; port 0 where there is none.
    pub remote: Address,
    /// The state's number (Linux `include/net/tcp_states.h`).
    pub state: u8,
    /// The socket.
    pub inode: Inode,
}

impl Row {
    /// Whether it only accepts connections.
    pub fn listens(&self) -> bool {
        self.state == LISTEN
    }
}

/// The tables of internet sockets and what their rows are.
pub const TABLES: [(&str, Family, Protocol, SocketType); 4] = [
    ("tcp", Family::Inet, Protocol::Tcp, SocketType::Stream),
    ("tcp6", Family::Inet6, Protocol::Tcp, SocketType::Stream),
    ("udp", Family::Inet, Protocol::Udp, SocketType::Datagram),
    ("udp6", Family::Inet6, Protocol::Udp, SocketType::Datagram),
];

/// Looks for a socket in the tables of the process's network namespace.
pub fn find(dir: &ProcDir, inode: Inode) -> Option<Resolved> {
    if unix_has(dir.pid(), inode) {
        return Some(Resolved::Unix);
    }
    for (table, family, protocol, kind) in TABLES {
        let mut found = None;
        rows(dir.pid(), table, |row| {
            found = (row.inode == inode).then_some(row);
            found.is_none()
        });
        let Some(row) = found else { continue };
        let peer = match (row.remote.port(), kind) {
            (0, SocketType::Datagram) => Peer::Unconnected,
            (0, _) => Peer::Unknown,
            _ => Peer::Connected(row.remote),
        };
        return Some(Resolved::Network(Socket {
            inode,
            cookie: None,
            family,
            kind,
            protocol,
            local: Some(row.local),
            peer,
            listening: kind == SocketType::Stream && row.listens(),
            net_ns: dir.namespace(c"ns/net", b"net:["),
            found_by: SocketLookup::Proc,
        }));
    }
    None
}

/// Hands the rows of one table to `take` until it returns false. Listening TCP sockets come first in theirs (Linux
/// `net/ipv4/tcp_ipv4.c`, `tcp_seek_last_pos`). Whether the table could be read.
pub fn rows(user: Pid, table: &str, mut take: impl FnMut(Row) -> bool) -> bool {
    let Ok(file) = File::open(format!("/proc/{user}/net/{table}")) else { return false };
    let mut reader = BufReader::with_capacity(32 * 1024, file.take(TABLE_BYTES_MAX));
    let mut line = Vec::with_capacity(256);
    loop {
        line.clear();
        match reader.read_until(b'\n', &mut line) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
        if let Some(row) = parse(&line)
            && !take(row)
        {
            return true;
        }
    }
}

fn unix_has(user: Pid, inode: Inode) -> bool {
    let Ok(file) = File::open(format!("/proc/{user}/net/unix")) else { return false };
    let reader = BufReader::new(file.take(TABLE_BYTES_MAX));
    reader.split(b'\n').map_while(Result::ok).any(|line| unix_inode(&line) == Some(inode))
}

/// `Num RefCount Protocol Flags Type St Inode Path`; a hostile path cannot come before the inode.
#[doc(hidden)]
pub fn unix_inode(line: &[u8]) -> Option<Inode> {
    line.split(|&b| b == b' ').filter(|f| !f.is_empty()).nth(6).and_then(number).map(Inode)
}

/// `  0: 0100007F:1F90 00000000:0000 0A ... uid timeout inode ...`
#[doc(hidden)]
pub fn parse(line: &[u8]) -> Option<Row> {
    let mut fields = line.split(|&b| b == b' ' || b == b'\n').filter(|f| !f.is_empty());
    fields.next()?.strip_suffix(b":")?;
    let local = parse_address(fields.next()?)?;
    let remote = parse_address(fields.next()?)?;
    let state = u8::try_from(hex(fields.next()?)?).ok()?;
    let inode = Inode(number(fields.nth(5)?)?);
    Some(Row { local, remote, state, inode })
}

/// `HEX:PORT`: the address in words of 32 bits in the machine's byte order.
fn parse_address(field: &[u8]) -> Option<Address> {
    let colon = field.iter().position(|&b| b == b':')?;
    let (address, port) = (field.get(..colon)?, field.get(colon + 1..)?);
    let port = u16::try_from(hex(port)?).ok()?;
    let word = |index: usize| hex(address.get(8 * index..8 * index + 8)?).map(|w| (w as u32).to_ne_bytes());
    let ip = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let mut bytes = [0; 16];
            for (index, chunk) in bytes.chunks_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(Address::ip(ip, port))
}

fn hex(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    digits.iter().try_fold(0, |value, &digit| Some(value << 4 | u64::from(char::from(digit).to_digit(16)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn ipv6_is_not_turned_around() {
        let line = b"   1: 00000000000000000000000001000000:1F90 0000000000000000FFFF00000100007F:0050 01 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0 20 4 30 10 -1\n";
        let row = parse(line).unwrap();
        assert_eq!(row.local.to_string(), "[::1]:8080");
        assert_eq!(row.remote.to_string(), "127.0.0.1:80");
        assert_eq!(row.inode, Inode(4711));
    }

    #[test]
    fn listeners_come_first() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let _client = TcpStream::connect(at).unwrap();
        let mut states = Vec::new();
        assert!(rows(Pid(std::process::id()), "tcp", |row| {
            states.push(row.listens());
            true
        }));
        assert!(states.is_sorted_by(|a, b| a >= b) && states.contains(&true) && states.contains(&false));
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }
    }
}
