//! False receivers, which do what a test wants of them.

use std::io::{self, BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// What has arrived, whole messages only.
pub type Arrived = Arc<Mutex<Vec<String>>>;

/// A receiver over TCP. Each connection is `served` in a thread of its own, with its number from 0.
pub struct Tcp {
    address: String,
    arrived: Arrived,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tcp {
    pub fn new(serve: impl Fn(usize, TcpStream, &Arrived) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (arrived, stop) = (Arrived::default(), Arc::new(AtomicBool::new(false)));
        let (into, over) = (arrived.clone(), stop.clone());
        let serve = Arc::new(serve);
        let thread = std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let (serve, into, stream) = (serve.clone(), into.clone(), stream.unwrap());
                std::thread::spawn(move || serve(number, stream, &into));
            }
        });
        Self { address, arrived, stop, thread: Some(thread) }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Everything so far.
    pub fn arrived(&self) -> Vec<String> {
        self.arrived.lock().unwrap().clone()
    }
}

impl Drop for Tcp {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(&self.address);
        let _ = self.thread.take().unwrap().join();
    }
}

/// Reads octet-counted messages to the end of the stream, as a good receiver does.
pub fn read_all(stream: impl Read, arrived: &Arrived) {
    let mut reader = BufReader::new(stream);
    while let Ok(Some(message)) = message(&mut reader) {
        arrived.lock().unwrap().push(message);
    }
}

/// One message (RFC 6587 section 3.4.1); `None` at the end.
fn message(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut length = Vec::new();
    reader.take(8).read_until(b' ', &mut length)?;
    let Some(digits) = length.strip_suffix(b" ") else {
        assert!(length.is_empty() || length.iter().all(u8::is_ascii_digit), "no length: {length:?}");
        return Ok(None);
    };
    let length: usize = std::str::from_utf8(digits).unwrap().parse().unwrap();
    let mut message = vec![0; length];
    reader.read_exact(&mut message)?;
    assert!(message.starts_with(b"<"), "no message: {}", String::from_utf8_lossy(&message));
    Ok(Some(String::from_utf8(message).unwrap()))
}

/// A UNIX datagram receiver in a thread, until it is dropped.
pub struct Datagram {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Datagram {
    /// In place of what lies at the path.
    pub fn new(path: &Path, arrived: &Arrived) -> Self {
        let _ = std::fs::remove_file(path);
        Self::on(UnixDatagram::bind(path).unwrap(), arrived)
    }

    /// On a socket that is there.
    pub fn on(socket: UnixDatagram, arrived: &Arrived) -> Self {
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let (stop, arrived) = (Arc::new(AtomicBool::new(false)), arrived.clone());
        let over = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 17];
            while !over.load(Ordering::Relaxed) {
                if let Ok(length) = socket.recv(&mut buffer) {
                    arrived.lock().unwrap().push(String::from_utf8(buffer[..length].to_vec()).unwrap());
                }
            }
        });
        Self { stop, thread: Some(thread) }
    }
}

impl Drop for Datagram {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

/// Reads lines of one connection to a UNIX stream socket to their end, or `most` of them.
pub fn read_lines(listener: &UnixListener, arrived: &Arrived, most: usize) {
    let (stream, _) = listener.accept().unwrap();
    let mut reader = BufReader::new(stream);
    for _ in 0..most {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(_) if line.ends_with('\n') => arrived.lock().unwrap().push(line.trim_end().to_owned()),
            _ => break,
        }
    }
}
