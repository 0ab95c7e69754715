//! Answers of NETLINK_SOCK_DIAG (`sys::sock_diag`).
//!
//! Holds: cutting a buffer into messages always goes forward and never gives more than there is; an `inet_diag_msg` as
//! the kernel lays it out is read back exactly.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::arbitrary::{Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use tetherd::model::ids::{Inode, SocketCookie};
use tetherd::model::socket::{Address, Family, Peer, Protocol, SocketType};
use tetherd::sys::sock_diag;

struct Told {
    state: u8,
    local: u16,
    remote: u16,
    source: [u8; 16],
    destination: [u8; 16],
    cookie: u64,
    inode: u32,
    six: bool,
    stream: bool,
}

impl Told {
    /// Linux `include/uapi/linux/inet_diag.h`, `struct inet_diag_msg`.
    fn message(&self) -> Vec<u8> {
        let mut bytes = vec![if self.six { 10 } else { 2 }, self.state, 0, 0];
        bytes.extend_from_slice(&self.local.to_be_bytes());
        bytes.extend_from_slice(&self.remote.to_be_bytes());
        bytes.extend_from_slice(&self.source);
        bytes.extend_from_slice(&self.destination);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.cookie.to_ne_bytes());
        bytes.extend_from_slice(&[0; 16]);
        bytes.extend_from_slice(&self.inode.to_ne_bytes());
        bytes
    }

    fn address(&self, bytes: [u8; 16], port: u16) -> Address {
        let [a, b, c, d, ..] = bytes;
        Address::ip(if self.six { IpAddr::from(bytes) } else { IpAddr::from([a, b, c, d]) }, port)
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    while let Some((_, body, next)) = sock_diag::split(rest) {
        assert!(next.len() < rest.len() && body.len() + next.len() < rest.len());
        let _ = sock_diag::decode_inet(body);
        rest = next;
    }
    let _ = sock_diag::decode_inet(bytes);

    type Parts = (u8, [u16; 2], [[u8; 16]; 2], u64, u32, bool, bool);
    let Ok(parts) = Parts::arbitrary(&mut Unstructured::new(bytes)) else { return };
    let (state, [local, remote], [source, destination], cookie, inode, six, stream) = parts;
    let told = Told { state, local, remote, source, destination, cookie, inode, six, stream };
    let message = told.message();
    assert!(sock_diag::decode_inet(&message[..message.len() - 1]).is_none());
    let answer = sock_diag::decode_inet(&message).expect("a whole answer is read");
    let family = if told.six { Family::Inet6 } else { Family::Inet };
    let kind = if told.stream { SocketType::Stream } else { SocketType::Datagram };
    let socket = answer.into_socket(family, Protocol::Tcp, kind);
    assert_eq!((socket.inode, socket.cookie), (Inode(told.inode.into()), Some(SocketCookie(told.cookie))));
    assert_eq!(socket.local, Some(told.address(told.source, told.local)));
    match socket.peer {
        Peer::Connected(peer) => assert_eq!(peer, told.address(told.destination, told.remote)),
        _ => assert_eq!(told.remote, 0),
    }
    assert_eq!(socket.listening, told.stream && told.state == 10);
});
