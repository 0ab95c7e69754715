//! A false runtime, which says whatever it is told to.
//!
//! Owns: its frames, written by hand (RFC 9113, header blocks without compression, RFC 7541), so that nothing of what is
//! tested answers to itself. Must not own: what is said (`tests`).

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

/// What a server does when it has been asked.
#[derive(Clone)]
pub(super) enum Say {
    /// Answers with this message.
    Message(Vec<u8>),
    /// Fails with this status.
    Status(&'static str),
    /// Says just these bytes.
    Bytes(Vec<u8>),
    /// Says this for ever.
    Endlessly(Vec<u8>),
    /// Says nothing, and keeps the connection.
    Nothing,
    /// Ends the connection.
    Close,
}

pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;

pub(super) fn header(name: &str, value: &str) -> Vec<u8> {
    [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
}

/// `:status: 200` is number 8 of the static table.
pub(super) fn head() -> Vec<u8> {
    [vec![0x88], header("content-type", "application/grpc")].concat()
}

pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    [&[0][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// A whole answer, but for its end.
pub(super) fn begun(stream: u32, body: &[u8]) -> Vec<u8> {
    let parts = body.chunks(16_384).map(|part| frame(DATA, 0, stream, part));
    [frame(HEADERS, END_HEADERS, stream, &head()), parts.collect::<Vec<_>>().concat()].concat()
}

pub(super) fn answer(stream: u32, message: &[u8]) -> Vec<u8> {
    let end = frame(HEADERS, END_HEADERS | END_STREAM, stream, &header("grpc-status", "0"));
    [begun(stream, &framed(message)), end].concat()
}

/// A false runtime, gone when dropped.
pub(super) struct Server {
    directory: tempfile::TempDir,
    /// The headers of all requests, as they came.
    heard: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Server {
    /// Says this, one after the other, on each connection.
    pub(super) fn new(says: Vec<Say>) -> Self {
        let server = Self { directory: tempfile::tempdir().unwrap(), heard: Arc::default() };
        let listener = UnixListener::bind(server.path()).unwrap();
        let heard = Arc::clone(&server.heard);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (says, heard) = (says.clone(), Arc::clone(&heard));
                thread::spawn(move || serve(stream.unwrap(), says, &heard));
            }
        });
        server
    }

    /// How many of the requests had a path with this beginning.
    pub(super) fn heard(&self, beginning: &str) -> usize {
        let wanted = huffman(beginning);
        let has = |block: &&Vec<u8>| block.windows(wanted.len()).any(|part| part == wanted);
        self.heard.lock().unwrap().iter().filter(has).count()
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("sock")
    }
}

/// A text as it stands in a header that is compressed, but for the bits of a last byte that is begun (RFC 7541, appendix
/// B, as far as names of services need it).
pub(super) fn huffman(text: &str) -> Vec<u8> {
    let code = |byte: u8| match byte {
        b'0' => (0x00, 5),
        b'1' => (0x01, 5),
        b'2' => (0x02, 5),
        b'a' => (0x03, 5),
        b'c' => (0x04, 5),
        b'e' => (0x05, 5),
        b'i' => (0x06, 5),
        b'o' => (0x07, 5),
        b's' => (0x08, 5),
        b't' => (0x09, 5),
        b'.' => (0x17, 6),
        b'/' => (0x18, 6),
        b'h' => (0x27, 6),
        b'l' => (0x28, 6),
        b'm' => (0x29, 6),
        b'n' => (0x2a, 6),
        b'p' => (0x2b, 6),
        b'r' => (0x2c, 6),
        b'u' => (0x2d, 6),
        b'v' => (0x77, 7),
        b'R' => (0x6d, 7),
        b'd' => (0x24, 6),
        other => panic!("no code for {other}"),
    };
    let bits: String = text
        .bytes()
        .map(|byte| {
            let (code, length): (u8, usize) = code(byte);
            format!("{code:0length$b}")
        })
        .collect();
    let whole = bits.as_bytes().chunks_exact(8);
    whole.map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap()).collect()
}

/// Ends when the connection does.
pub(super) fn serve(mut stream: UnixStream, says: Vec<Say>, heard: &Mutex<Vec<Vec<u8>>>) -> Option<()> {
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).ok()?;
    stream.read_exact(&mut [0; 24]).ok()?;
    let mut says = says.into_iter();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).ok()?;
        let number = |bytes: &[u8]| bytes.iter().fold(0u32, |all, byte| all << 8 | u32::from(*byte));
        let (length, kind, flags, id) = (number(&head[..3]), head[3], head[4], number(&head[5..]));
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).ok()?;
        match (kind, flags & 1) {
            (SETTINGS, 0) => stream.write_all(&frame(SETTINGS, 1, 0, &[])).ok()?,
            (PING, 0) => stream.write_all(&frame(PING, 1, 0, &payload)).ok()?,
            (HEADERS, _) => heard.lock().unwrap().push(payload),
            (DATA, END_STREAM) => match says.next().unwrap_or(Say::Nothing) {
                Say::Message(message) => stream.write_all(&answer(id, &message)).ok()?,
                Say::Status(status) => {
                    let block = [head_of_failure(), header("grpc-status", status)].concat();
                    let all = frame(HEADERS, END_HEADERS | END_STREAM, id, &block);
                    stream.write_all(&all).ok()?;
                }
                Say::Bytes(bytes) => stream.write_all(&bytes).ok()?,
                Say::Endlessly(bytes) => loop {
                    stream.write_all(&bytes).ok()?;
                },
                Say::Nothing => {}
                Say::Close => return None,
            },
            _ => {}
        }
    }
}

pub(super) fn head_of_failure() -> Vec<u8> {
    head()
}
