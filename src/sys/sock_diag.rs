//! Asking NETLINK_SOCK_DIAG about sockets.
//!
//! Owns: requests and answers of inet_diag and unix_diag (sock_diag(7), Linux `include/uapi/linux/inet_diag.h`,
//! `unix_diag.h`) in the calling thread's network namespace. Must not own: choosing what to ask. Where the kernel has
//! no such module the answer is an error, and the caller has another way.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use netlink_sys::{Socket, SocketAddr as NetlinkAddr};

use crate::model::ids::{Inode, SocketCookie};
use crate::model::socket::{Address, Family, Peer, Protocol, SocketLookup, SocketType};

const NETLINK_SOCK_DIAG: isize = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const HEADER: usize = 16;
/// `TCP_LISTEN` (Linux `include/net/tcp_states.h`).
const TCP_LISTEN: u8 = 10;
/// The most sockets one question looks through; a host with more has the other lookups.
const SOCKETS_MAX: usize = 200_000;
/// `sizeof(struct inet_diag_msg)`.
const INET_DIAG_MSG: usize = 72;

/// `sizeof(struct unix_diag_msg)`.
const UNIX_DIAG_MSG: usize = 16;
/// Ask for the peer (Linux `include/uapi/linux/unix_diag.h`).
const UDIAG_SHOW_PEER: u32 = 4;
/// The attribute with the peer's inode.
const UNIX_DIAG_PEER: u16 = 2;

/// The protocols worth asking for, with the socket type each stands for.
const PROTOCOLS: [(u8, Protocol, SocketType); 3] = [
    (6, Protocol::Tcp, SocketType::Stream),
    (17, Protocol::Udp, SocketType::Datagram),
    (132, Protocol::Sctp, SocketType::Stream),
];

/// Looks for the IP socket with this inode among the TCP, UDP and SCTP sockets of this network namespace.
/// `Ok(None)`: there is none. Time grows with the number of sockets.
pub fn find_inet(inode: Inode) -> io::Result<Option<crate::model::socket::Socket>> {
    let mut refused = None;
    for family in [Family::Inet, Family::Inet6] {
        for (number, protocol, kind) in PROTOCOLS {
            let found = dump(&inet_request(family, number), |body| {
                decode_inet(body).filter(|answer| answer.inode == inode)
            });
            match found {
                Ok(Some(answer)) => return Ok(Some(answer.into_socket(family, protocol, kind))),
                Ok(None) => {}
                // A kernel without SCTP refuses it and still answers for TCP.
                Err(error) => refused = refused.or((number == 6).then_some(error)),
            }
        }
    }
    refused.map_or(Ok(None), Err)
}

/// States of a TCP socket that has a peer and an owner, as a mask: established, SYN sent, the two FIN waits, close wait,
/// last ACK. A connected UDP socket counts as established.
const WITH_PEER: u32 = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 8 | 1 << 9;

/// Gives every TCP and UDP socket of this network namespace that has a peer to `take`, until that returns false.
pub fn each_with_peer(mut take: impl FnMut(crate::model::socket::Socket) -> bool) -> io::Result<()> {
    for family in [Family::Inet, Family::Inet6] {
        for (number, protocol, kind) in PROTOCOLS.into_iter().take(2) {
            let mut request = inet_request(family, number);
            put(&mut request, HEADER + 4, &WITH_PEER.to_ne_bytes());
            let ended = dump(&request, |body| {
                let socket = decode_inet(body)?.into_socket(family, protocol, kind);
                let goes_on = !matches!(socket.peer, Peer::Connected(_)) || take(socket);
                (!goes_on).then_some(())
            })?;
            if ended.is_some() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Whether a TCP socket of this network namespace listens where a caller of `local` arrives. The time does not grow with
/// the number of sockets. A listener that is bound to one interface (SO_BINDTODEVICE) is not seen.
pub fn listens(local: SocketAddr) -> io::Result<bool> {
    let (family, ip) = match local.ip() {
        IpAddr::V4(v4) => (Family::Inet, v4.octets().to_vec()),
        IpAddr::V6(v6) => (Family::Inet6, v6.octets().to_vec()),
    };
    let mut request = inet_request(family, 6);
    put(&mut request, 6, &NLM_F_REQUEST.to_ne_bytes()); // one socket, not all
    put(&mut request, HEADER + 8, &local.port().to_be_bytes());
    put(&mut request, HEADER + 12, &ip);
    put(&mut request, HEADER + 48, &u64::MAX.to_ne_bytes()); // no cookie
    match exchange(&request, decode_inet) {
        Ok(answer) => Ok(answer.is_some_and(|answer| answer.state == TCP_LISTEN)),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Whether this network namespace has a UNIX socket with this inode.
pub fn is_unix(inode: Inode) -> io::Result<bool> {
    let mut request = request(24, 0);
    put(&mut request, HEADER, &[1]); // sdiag_family = AF_UNIX
    put(&mut request, HEADER + 4, &u32::MAX.to_ne_bytes()); // every state
    put(&mut request, HEADER + 8, &(inode.0 as u32).to_ne_bytes());
    put(&mut request, HEADER + 16, &u64::MAX.to_ne_bytes()); // no cookie
    match exchange(&request, |_| Some(())) {
        Ok(answer) => Ok(answer.is_some()),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The inode of a UNIX socket's peer (UDIAG_SHOW_PEER), in this network namespace. `Ok(None)`: it has none.
pub fn unix_peer(inode: Inode) -> io::Result<Option<Inode>> {
    let mut request = request(24, 0);
    put(&mut request, HEADER, &[1]); // sdiag_family = AF_UNIX
    put(&mut request, HEADER + 4, &u32::MAX.to_ne_bytes()); // every state
    put(&mut request, HEADER + 8, &(inode.0 as u32).to_ne_bytes());
    put(&mut request, HEADER + 12, &UDIAG_SHOW_PEER.to_ne_bytes());
    put(&mut request, HEADER + 16, &u64::MAX.to_ne_bytes()); // no cookie
    exchange(&request, |body| Some(decode_peer(body))).map(Option::flatten)
}

/// The peer among the attributes behind a `struct unix_diag_msg`.
fn decode_peer(body: &[u8]) -> Option<Inode> {
    let mut rest = body.get(UNIX_DIAG_MSG..)?;
    while let [l0, l1, t0, t1, ..] = *rest {
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        let value = rest.get(4..length)?;
        if u16::from_ne_bytes([t0, t1]) == UNIX_DIAG_PEER {
            let inode = u32::from_ne_bytes(value.get(..4)?.try_into().ok()?);
            return (inode != 0).then_some(Inode(inode.into()));
        }
        // Attributes are aligned to four bytes (netlink(3)).
        rest = rest.get(length.next_multiple_of(4)..)?;
    }
    None
}

/// One inet_diag_msg.
#[doc(hidden)]
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    state: u8,
    local: Address,
    remote: Address,
    cookie: SocketCookie,
    inode: Inode,
}

impl Answer {
    /// The socket that it tells of.
    pub fn into_socket(
        self,
        family: Family,
        protocol: Protocol,
        kind: SocketType,
    ) -> crate::model::socket::Socket {
        let connected = self.remote.port() != 0;
        let peer = match (connected, kind) {
            (true, _) => Peer::Connected(self.remote),
            (false, SocketType::Datagram) => Peer::Unconnected,
            (false, _) => Peer::Unknown,
        };
        crate::model::socket::Socket {
            inode: self.inode,
            cookie: Some(self.cookie),
            family,
            kind,
            protocol,
            local: Some(self.local),
            peer,
            listening: kind == SocketType::Stream && self.state == TCP_LISTEN,
            net_ns: None,
            found_by: SocketLookup::Diag,
        }
    }
}

/// `struct inet_diag_req_v2` behind its header, for a dump of all states.
fn inet_request(family: Family, protocol: u8) -> Vec<u8> {
    let number = if family == Family::Inet6 { libc::AF_INET6 } else { libc::AF_INET };
    let mut request = request(56, NLM_F_DUMP);
    put(&mut request, HEADER, &[number as u8, protocol]);
    put(&mut request, HEADER + 4, &u32::MAX.to_ne_bytes());
    request
}

fn request(body: usize, flags: u16) -> Vec<u8> {
    let mut message = vec![0; HEADER + body];
    let length = (HEADER + body) as u32;
    put(&mut message, 0, &length.to_ne_bytes());
    put(&mut message, 4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(&mut message, 6, &(NLM_F_REQUEST | flags).to_ne_bytes());
    message
}

fn put(message: &mut [u8], at: usize, bytes: &[u8]) {
    for (to, from) in message.iter_mut().skip(at).zip(bytes) {
        *to = *from;
    }
}

fn dump<T>(request: &[u8], pick: impl FnMut(&[u8]) -> Option<T>) -> io::Result<Option<T>> {
    exchange(request, pick)
}

/// Sends a request and hands each answer's body to `pick`, until it picks one, the answers end, or there are too many.
fn exchange<T>(request: &[u8], mut pick: impl FnMut(&[u8]) -> Option<T>) -> io::Result<Option<T>> {
    let dumping = u16::from_ne_bytes([request[6], request[7]]) & NLM_F_DUMP != 0;
    let socket = Socket::new(NETLINK_SOCK_DIAG)?;
    socket.connect(&NetlinkAddr::new(0, 0))?;
    socket.send(request, 0)?;
    let mut seen = 0;
    let mut buffer: Vec<u8> = Vec::with_capacity(64 * 1024);
    loop {
        buffer.clear();
        let received = socket.recv(&mut buffer, 0)?;
        let mut rest = buffer.get(..received).unwrap_or(&buffer);
        while let Some((kind, body, next)) = split(rest) {
            rest = next;
            match kind {
                NLMSG_DONE => return Ok(None),
                NLMSG_ERROR => {
                    let code = body.get(..4).and_then(|b| b.try_into().ok()).map_or(0, i32::from_ne_bytes);
                    return Err(io::Error::from_raw_os_error(code.saturating_neg()));
                }
                SOCK_DIAG_BY_FAMILY => {
                    if let Some(found) = pick(body) {
                        return Ok(Some(found));
                    }
                    seen += 1;
                    if seen > SOCKETS_MAX {
                        return Err(io::Error::other("more sockets than one question may look through"));
                    }
                }
                _ => {}
            }
        }
        if !dumping || received == 0 {
            return Ok(None);
        }
    }
}

/// The first netlink message of a buffer: its type, its body, and what comes after.
#[doc(hidden)]
pub fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let length = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let body = bytes.get(HEADER..length)?;
    let aligned = length.checked_add(3)? & !3;
    Some((kind, body, bytes.get(aligned..).unwrap_or_default()))
}

/// Reads one answer; `None` where it is cut.
#[doc(hidden)]
pub fn decode_inet(body: &[u8]) -> Option<Answer> {
    let body = body.get(..INET_DIAG_MSG)?;
    let port = |at: usize| Some(u16::from_be_bytes(body.get(at..at + 2)?.try_into().ok()?));
    let ip = |at: usize| -> Option<IpAddr> {
        let bytes: [u8; 16] = body.get(at..at + 16)?.try_into().ok()?;
        if i32::from(*body.first()?) == libc::AF_INET6 {
            return Some(IpAddr::V6(Ipv6Addr::from(bytes)));
        }
        let [a, b, c, d, ..] = bytes;
        Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d)))
    };
    Some(Answer {
        state: *body.get(1)?,
        local: Address::ip(ip(8)?, port(4)?),
        remote: Address::ip(ip(24)?, port(6)?),
        cookie: SocketCookie(u64::from_ne_bytes(body.get(44..52)?.try_into().ok()?)),
        inode: Inode(u32::from_ne_bytes(body.get(68..72)?.try_into().ok()?).into()),
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use proptest::prelude::*;

    use super::*;

    fn inode(fd: &impl AsRawFd) -> Inode {
        let link = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap();
        let text = link.to_str().unwrap();
        text.trim_start_matches("socket:[").trim_end_matches(']').parse().unwrap()
    }

    #[test]
    fn finds_our_own_sockets() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let found = find_inet(inode(&client)).unwrap().unwrap();
        assert_eq!(found.peer, Peer::Connected(Address::Ip(listener.local_addr().unwrap())));
        assert_eq!(found.local, Some(Address::Ip(client.local_addr().unwrap())));
        assert!(found.carries_bytes_off());
        assert!(find_inet(inode(&listener)).unwrap().unwrap().listening);

        let udp = UdpSocket::bind("[::1]:0").unwrap();
        let found = find_inet(inode(&udp)).unwrap().unwrap();
        assert_eq!((found.peer, found.family), (Peer::Unconnected, Family::Inet6));
    }

    #[test]
    fn a_listener_is_seen_where_its_callers_arrive() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let client = TcpStream::connect(at).unwrap();
        assert!(listens(at).unwrap());
        assert!(!listens(client.local_addr().unwrap()).unwrap());
        assert!(!listens(SocketAddr::new("127.0.0.2".parse().unwrap(), at.port())).unwrap());
        drop(listener);
        assert!(!listens(at).unwrap(), "a connection is no listener");
    }

    #[test]
    fn those_with_a_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut found, mut listening) = (false, false);
        each_with_peer(|socket| {
            found |= socket.inode == inode(&client);
            listening |= socket.inode == inode(&listener);
            true
        })
        .unwrap();
        assert!(found && !listening);
        let mut count = 0;
        each_with_peer(|_| {
            count += 1;
            false
        })
        .unwrap();
        assert_eq!(count, 1, "it ends when it is told to");
    }

    #[test]
    fn tells_unix_sockets() {
        let (a, _b) = UnixStream::pair().unwrap();
        assert!(is_unix(inode(&a)).unwrap());
        assert!(!is_unix(Inode(0xffff_fff0)).unwrap());
    }

    proptest! {
        #[test]
        fn any_bytes_are_safe(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode_inet(&bytes);
            let mut rest = &bytes[..];
            while let Some((_, _, next)) = split(rest) {
                prop_assert!(next.len() < rest.len());
                rest = next;
            }
        }
    }
}
