//! A session with a program in a container over a WebSocket, as kubectl and the kubelet have it (`v4.channel.k8s.io`):
//! the first byte of each message says which stream it is of.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::common::DEADLINE;

/// Both ends are this machine's: the mask hides nothing from anybody, but the protocol wants one.
const MASK: [u8; 4] = [1, 2, 3, 4];

/// A session.
pub struct WebSocket {
    stream: TcpStream,
    raw: Vec<u8>,
    /// What the program has said, stdout and stderr as it came.
    pub heard: String,
}

impl WebSocket {
    pub fn open(url: &str) -> Self {
        let rest = url.strip_prefix("http://").unwrap();
        let (host, path) = rest.split_once('/').unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let request = format!(
            "GET /{path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGV0aGVyZCB0ZXN0cyAhIQ==\r\n\
             Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut socket = Self { stream, raw: Vec::new(), heard: String::new() };
        let deadline = Instant::now() + DEADLINE;
        loop {
            let end = socket.raw.windows(4).position(|part| part == b"\r\n\r\n");
            if let Some(end) = end {
                let head: Vec<u8> = socket.raw.drain(..end + 4).collect();
                assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
                return socket;
            }
            assert!(Instant::now() < deadline, "no answer to the upgrade");
            socket.receive();
        }
    }

    /// This end's port.
    pub fn port(&self) -> u16 {
        self.stream.local_addr().unwrap().port()
    }

    fn receive(&mut self) {
        let mut part = [0; 4096];
        match self.stream.read(&mut part) {
            Ok(n) => self.raw.extend(&part[..n]),
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(e) => panic!("the session: {e}"),
        }
    }

    /// Types a line.
    pub fn say(&mut self, line: &str) {
        let message: Vec<u8> = [&[0][..], line.as_bytes(), b"\n"].concat();
        let length = u8::try_from(message.len()).unwrap();
        assert!(length < 126, "a short line");
        let masked = message.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask);
        let frame: Vec<u8> = [0x82, 0x80 | length].into_iter().chain(MASK).chain(masked).collect();
        self.stream.write_all(&frame).unwrap();
    }

    /// Waits until the program has said this.
    pub fn hear(&mut self, wanted: &str) {
        let deadline = Instant::now() + DEADLINE;
        while !self.heard.contains(wanted) {
            assert!(Instant::now() < deadline, "the program did not say {wanted:?} but {:?}", self.heard);
            self.receive();
            while let Some(message) = self.message() {
                if let Some((1 | 2, said)) = message.split_first() {
                    self.heard.push_str(&String::from_utf8_lossy(said));
                }
            }
        }
    }

    /// The next whole message, if it is there.
    fn message(&mut self) -> Option<Vec<u8>> {
        let length = usize::from(*self.raw.get(1)?);
        let (head, length) = match length {
            126 => (4, usize::from(u16::from_be_bytes([*self.raw.get(2)?, *self.raw.get(3)?]))),
            short => (2, short),
        };
        if self.raw.len() < head + length {
            return None;
        }
        let frame: Vec<u8> = self.raw.drain(..head + length).collect();
        Some(frame[head..].to_vec())
    }
}
