//! Finding out what a socket is.
//!
//! Owns: the ways to it, best first: a duplicate through pidfd_getfd, sock_diag, `/proc/PID/net`, and at the last the
//! protocol's name alone. Must not own: judging it. Talks to: `sys`, [`super::proc_dir`].

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::socket::{SockaddrLike, SockaddrStorage, getpeername, getsockname};

use crate::host::net_table;
use crate::host::proc_dir::ProcDir;
use crate::model::ids::{Inode, Pid, SocketCookie};
use crate::model::socket::{Address, Family, Peer, Protocol, Socket, SocketLookup, SocketType};
use crate::sys;

/// What could be found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// A socket of a network family.
    Network(Socket),
    /// A UNIX socket.
    Unix,
    /// A socket of another family that is no network socket.
    Other,
    /// No way led to it.
    Unresolved,
}

/// Finds out what the socket with this inode on fd 0, 1 or 2 is, trying `ways` in order.
pub fn resolve(dir: &ProcDir, fd: usize, inode: Inode, ways: &[SocketLookup]) -> Resolved {
    let mut buffer = [0u8; 64];
    let name = dir.protocol_name(fd, &mut buffer);
    // Most sockets on 0-2 are services' UNIX sockets: one call settles those.
    if name.is_some_and(|name| name.starts_with(b"UNIX")) {
        return Resolved::Unix;
    }
    for way in ways {
        let found = match way {
            SocketLookup::Getfd => by_duplicate(dir, fd, inode).ok(),
            SocketLookup::Diag => by_diag(dir, inode),
            SocketLookup::Proc => net_table::find(dir, inode),
        };
        if let Some(found) = found {
            return found;
        }
    }
    name.and_then(|name| by_name(name, inode)).unwrap_or(Resolved::Unresolved)
}

/// Takes a duplicate and asks it. The duplicate is closed before this returns.
fn by_duplicate(dir: &ProcDir, fd: usize, inode: Inode) -> io::Result<Resolved> {
    let process = sys::pidfd::open(dir.pid())?;
    let socket = sys::pidfd::getfd(&process, u32::try_from(fd).unwrap_or(u32::MAX))?;
    // The process id may have passed on since the directory was opened: the socket must be the one in its link.
    if rustix::fs::fstat(&socket)?.st_ino != inode.0 {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    }
    ask(&socket, inode)
}

/// Asks a socket of ours what it is.
pub fn ask(socket: &OwnedFd, inode: Inode) -> io::Result<Resolved> {
    let options = rustix::net::sockopt::socket_domain(socket)?;
    let family = Family::from_raw(options.as_raw());
    match family {
        Family::Unix => return Ok(Resolved::Unix),
        _ if !family.is_network() => return Ok(Resolved::Other),
        _ => {}
    }
    let kind = SocketType::from_raw(rustix::net::sockopt::socket_type(socket)?.as_raw());
    let protocol = rustix::net::sockopt::socket_protocol(socket)?;
    let local = getsockname::<SockaddrStorage>(socket.as_raw_fd()).ok().and_then(|a| address(&a));
    let peer = match getpeername::<SockaddrStorage>(socket.as_raw_fd()) {
        Ok(found) => address(&found).map_or(Peer::Unknown, Peer::Connected),
        Err(nix::errno::Errno::ENOTCONN) if matches!(kind, SocketType::Datagram | SocketType::Raw) => {
            Peer::Unconnected
        }
        Err(_) => Peer::Unknown,
    };
    Ok(Resolved::Network(Socket {
        inode,
        cookie: rustix::net::sockopt::socket_cookie(socket).ok().map(SocketCookie),
        family,
        kind,
        protocol: Protocol::from_raw(protocol.map_or(0, |p| p.as_raw().get())),
        local,
        peer,
        listening: rustix::net::sockopt::socket_acceptconn(socket).unwrap_or(false),
        net_ns: namespace_of(socket),
        found_by: SocketLookup::Getfd,
    }))
}

/// The network namespace that the socket itself belongs to.
fn namespace_of(socket: impl AsFd) -> Option<Inode> {
    let namespace = sys::sockopt::network_namespace(socket.as_fd()).ok()?;
    Some(Inode(rustix::fs::fstat(&namespace).ok()?.st_ino))
}

fn address(found: &SockaddrStorage) -> Option<Address> {
    use std::net::IpAddr;
    if let Some(v4) = found.as_sockaddr_in() {
        return Some(Address::ip(IpAddr::V4(v4.ip()), v4.port()));
    }
    if let Some(v6) = found.as_sockaddr_in6() {
        return Some(Address::ip(IpAddr::V6(v6.ip()), v6.port()));
    }
    let vsock =
        found.as_vsock_addr().filter(|_| found.family() == Some(nix::sys::socket::AddressFamily::Vsock))?;
    Some(Address::Vsock { cid: vsock.cid(), port: vsock.port() })
}

/// The peer of a UNIX socket that `owner` has, by sock_diag in the owner's network namespace.
pub fn unix_peer(owner: Pid, socket: Inode) -> Option<Inode> {
    let dir = ProcDir::open(owner).ok()?;
    in_namespace_of(&dir, || sys::sock_diag::unix_peer(socket)).flatten()
}

/// The same by the socket's own network namespace, where that is not the owner's. `fd`: where the owner has it.
pub fn unix_peer_of(owner: Pid, fd: u32, socket: Inode) -> Option<Inode> {
    let process = sys::pidfd::open(owner).ok()?;
    let duplicate = sys::pidfd::getfd(&process, fd).ok()?;
    let namespace = sys::sockopt::network_namespace(duplicate.as_fd()).ok()?;
    drop(duplicate);
    sys::netns::within(&namespace, || sys::sock_diag::unix_peer(socket)).ok().flatten()
}

/// Does something in the process's network namespace.
fn in_namespace_of<T: Send>(dir: &ProcDir, act: impl FnOnce() -> io::Result<T> + Send) -> Option<T> {
    if dir.namespace(c"ns/net", b"net:[")? == own_namespace()? {
        return act().ok();
    }
    let namespace = dir.open_below(c"ns/net", rustix::fs::OFlags::RDONLY).ok()?;
    sys::netns::within(&namespace, act).ok()
}

/// Asks sock_diag, in the process's network namespace.
pub fn by_diag(dir: &ProcDir, inode: Inode) -> Option<Resolved> {
    let ask = || -> io::Result<Option<Resolved>> {
        if sys::sock_diag::is_unix(inode).unwrap_or(false) {
            return Ok(Some(Resolved::Unix));
        }
        Ok(sys::sock_diag::find_inet(inode)?.map(Resolved::Network))
    };
    let theirs = dir.namespace(c"ns/net", b"net:[")?;
    with_namespace(in_namespace_of(dir, ask)??, theirs)
}

fn with_namespace(mut found: Resolved, namespace: Inode) -> Option<Resolved> {
    if let Resolved::Network(socket) = &mut found {
        socket.net_ns = Some(namespace);
    }
    Some(found)
}

/// The network namespace of this thread.
pub fn own_namespace() -> Option<Inode> {
    let link = std::fs::read_link("/proc/thread-self/ns/net").ok()?;
    super::link::bracketed(link.as_os_str().as_encoded_bytes(), b"net:[")
}

/// What the protocol's name alone tells: enough for a verdict, with no addresses.
fn by_name(name: &[u8], inode: Inode) -> Option<Resolved> {
    let (stem, v6) = name.strip_suffix(b"v6").map_or((name, false), |stem| (stem, true));
    let inet = if v6 { Family::Inet6 } else { Family::Inet };
    let (family, kind, protocol) = match stem {
        b"TCP" => (inet, SocketType::Stream, Protocol::Tcp),
        b"MPTCP" => (inet, SocketType::Stream, Protocol::Mptcp),
        b"UDP" | b"UDPLITE" | b"UDP-Lite" => (inet, SocketType::Datagram, Protocol::Udp),
        b"SCTP" => (inet, SocketType::Stream, Protocol::Sctp),
        b"RAW" => (inet, SocketType::Raw, Protocol::Other(0)),
        b"PING" => (inet, SocketType::Datagram, Protocol::Icmp),
        b"AF_VSOCK" => (Family::Vsock, SocketType::Stream, Protocol::Other(0)),
        b"PACKET" => (Family::Packet, SocketType::Raw, Protocol::Other(0)),
        b"TIPC" => (Family::Tipc, SocketType::Stream, Protocol::Other(0)),
        b"L2CAP" | b"RFCOMM" | b"SCO" | b"BT_SCO" => {
            (Family::Bluetooth, SocketType::Stream, Protocol::Other(0))
        }
        b"NETLINK" => return Some(Resolved::Other),
        _ => return None,
    };
    Some(Resolved::Network(Socket {
        inode,
        cookie: None,
        family,
        kind,
        protocol,
        local: None,
        peer: Peer::Unknown,
        listening: false,
        net_ns: None,
        found_by: SocketLookup::Proc,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    fn network(socket: impl Into<OwnedFd>) -> Socket {
        let socket = socket.into();
        let inode = Inode(rustix::fs::fstat(&socket).unwrap().st_ino);
        match ask(&socket, inode).unwrap() {
            Resolved::Network(found) => found,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_connection_and_its_listener() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let client = network(TcpStream::connect(at).unwrap());
        assert_eq!(client.peer, Peer::Connected(Address::Ip(at)));
        assert_eq!((client.protocol_name(), client.listening), ("TCP", false));
        assert!(client.cookie.is_some());
        assert!(network(listener).listening);
    }

    #[test]
    fn a_datagram_socket_without_a_peer() {
        let socket = network(UdpSocket::bind("[::1]:0").unwrap());
        assert_eq!((socket.peer, socket.protocol_name()), (Peer::Unconnected, "UDPv6"));
    }

    #[test]
    fn names_alone() {
        let Some(Resolved::Network(socket)) = by_name(b"TCPv6", Inode(1)) else { panic!() };
        assert_eq!((socket.family, socket.peer), (Family::Inet6, Peer::Unknown));
        assert_eq!(by_name(b"NETLINK", Inode(1)), Some(Resolved::Other));
        assert_eq!(by_name(b"NEW", Inode(1)), None);
    }
}
