//! One small HTTP request.
//!
//! Owns: HTTP/1.0 over TCP with a deadline for all of it and a bound on the answer. Must not own: redirects, which are
//! answers like any other that is not 200; names: an address is given, nothing is resolved; proxies.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The longest answer, in bytes.
const ANSWER_MAX: usize = 64 * 1024;

#[derive(Clone, Copy, Debug)]
pub(super) enum Method {
    Get,
    Put,
}

/// An answer with status 200.
#[derive(Debug)]
pub(super) struct Answer {
    head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// A header's value; `name` in lower case.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields
            .map(|(key, value)| (key, value.trim()))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, v)| v)
    }
}

const SLOW: &str = "the metadata server was too slow";

pub(super) fn request(
    server: SocketAddr,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    until: Instant,
) -> Result<Answer, &'static str> {
    let method = match method {
        Method::Get => "GET",
        Method::Put => "PUT",
    };
    let mut text = format!("{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Length: 0\r\n", server.ip());
    for (key, value) in headers {
        text.push_str(&format!("{key}: {value}\r\n"));
    }
    text.push_str("\r\n");
    let mut stream =
        TcpStream::connect_timeout(&server, left(until)?).map_err(|error| match error.kind() {
            ErrorKind::TimedOut => SLOW,
            _ => "the metadata server cannot be reached",
        })?;
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::TimedOut | ErrorKind::WouldBlock => SLOW,
        _ => "the metadata server ended the connection",
    };
    stream.set_write_timeout(Some(left(until)?)).map_err(failed)?;
    stream.write_all(text.as_bytes()).map_err(failed)?;
    let (mut all, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        stream.set_read_timeout(Some(left(until)?)).map_err(failed)?;
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => all.extend_from_slice(piece.get(..n).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
        if all.len() > ANSWER_MAX {
            return Err("the metadata server's answer is too long");
        }
    }
    parse(&all)
}

fn left(until: Instant) -> Result<Duration, &'static str> {
    until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()).ok_or(SLOW)
}

/// An answer as it came.
pub(super) fn parse(all: &[u8]) -> Result<Answer, &'static str> {
    const NO_HTTP: &str = "the metadata server gave no proper answer";
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").ok_or(NO_HTTP)?;
    let head = std::str::from_utf8(all.get(..end).unwrap_or_default()).map_err(|_| NO_HTTP)?.to_owned();
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    if !words.next().is_some_and(|version| version.starts_with("HTTP/1.")) {
        return Err(NO_HTTP);
    }
    if words.next() != Some("200") {
        return Err("the metadata server refused");
    }
    let answer = Answer { head, body: all.get(end + 4..).unwrap_or_default().to_vec() };
    // Nobody may answer a request of HTTP/1.0 in chunks.
    if answer.header("transfer-encoding").is_some() { Err(NO_HTTP) } else { Ok(answer) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_answer_is_safe(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
            let _ = parse(&[b"HTTP/1.1 200 OK\r\n".to_vec(), bytes].concat());
        }
    }
}
