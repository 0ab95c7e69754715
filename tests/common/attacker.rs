//! The attacker's side of a connection: waits for a shell or dials one, and uses it, so that a test proves that there
//! was something to find.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{DEADLINE, wait_for};

/// How long one read waits before the deadline is looked at again.
const TICK: Duration = Duration::from_millis(50);

/// Waits for connections.
pub struct Listener(TcpListener);

impl Listener {
    /// On 127.0.0.1.
    pub fn tcp() -> Self {
        Self::at("127.0.0.1")
    }

    /// On an address of this machine, at a port that the kernel chooses.
    pub fn at(ip: &str) -> Self {
        let ip: IpAddr = ip.parse().unwrap();
        let listener = TcpListener::bind((ip, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// Whether a connection waits to be accepted.
    pub fn waiting(&self) -> bool {
        let mut one = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        poll(&mut one, PollTimeout::ZERO).unwrap() > 0
    }

    /// The next connection, before the deadline.
    pub fn accept(&self) -> Session {
        wait_for("a connection to the attacker", || match self.0.accept() {
            Ok((stream, _)) => Some(Session::on(stream)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => None,
            Err(e) => panic!("accept: {e}"),
        })
    }

    /// Accepts everything from now on, throws away what it says, and never closes first.
    pub fn swallow(self) -> u16 {
        let port = self.port();
        self.0.set_nonblocking(false).unwrap();
        std::thread::spawn(move || {
            for mut stream in self.0.incoming().map_while(Result::ok) {
                std::thread::spawn(move || std::io::copy(&mut stream, &mut std::io::sink()));
            }
        });
        port
    }
}

/// A port below the range that the kernel gives out, which nobody has: what a person who listens chooses. Never the
/// same twice in one process.
pub fn chosen_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + (std::process::id() % 100) as u16 * 100;
    let free = |port: &u16| TcpListener::bind(("0.0.0.0", *port)).is_ok();
    std::iter::repeat_with(|| first + NEXT.fetch_add(1, Ordering::Relaxed)).find(free).unwrap()
}

enum Wire {
    Tcp(TcpStream),
    Udp(UdpSocket),
    /// A connected stream socket of any other family.
    Other(File),
}

/// A connection with a shell at its other end.
pub struct Session {
    wire: Wire,
    heard: String,
    asked: u32,
}

impl Session {
    /// On a connection that is there.
    pub fn on(stream: TcpStream) -> Self {
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(TICK)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { wire: Wire::Tcp(stream), heard: String::new(), asked: 0 }
    }

    /// On a stream socket of another family that is connected, or will be before the deadline.
    pub fn on_socket(socket: OwnedFd) -> Self {
        wait_for("the connection", || {
            let mut one = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
            (poll(&mut one, PollTimeout::ZERO).unwrap() > 0).then_some(())
        });
        rustix::io::ioctl_fionbio(&socket, false).unwrap();
        let timeout = rustix::net::sockopt::Timeout::Recv;
        rustix::net::sockopt::set_socket_timeout(&socket, timeout, Some(TICK)).unwrap();
        Self { wire: Wire::Other(File::from(socket)), heard: String::new(), asked: 0 }
    }

    /// Dials a bind shell until it answers.
    pub fn dial(ip: &str, port: u16) -> Self {
        let to = SocketAddr::new(ip.parse().unwrap(), port);
        Self::on(wait_for("the bind shell answers", || TcpStream::connect(to).ok()))
    }

    /// Waits for a first datagram and talks to its sender from then on.
    pub fn first_datagram(socket: UdpSocket) -> Self {
        socket.set_read_timeout(Some(TICK)).unwrap();
        let mut first = [0; 2048];
        let (_, from) = wait_for("a datagram", || socket.recv_from(&mut first).ok());
        socket.connect(from).unwrap();
        Self { wire: Wire::Udp(socket), heard: String::new(), asked: 0 }
    }

    /// The victim's end.
    pub fn victim(&self) -> SocketAddr {
        canonical(match &self.wire {
            Wire::Tcp(stream) => stream.peer_addr().unwrap(),
            Wire::Udp(socket) => socket.peer_addr().unwrap(),
            Wire::Other(_) => panic!("no IP address"),
        })
    }

    /// This end.
    pub fn attacker(&self) -> SocketAddr {
        canonical(match &self.wire {
            Wire::Tcp(stream) => stream.local_addr().unwrap(),
            Wire::Udp(socket) => socket.local_addr().unwrap(),
            Wire::Other(_) => panic!("no IP address"),
        })
    }

    /// Sends text as it is.
    pub fn send(&mut self, text: &str) {
        match &mut self.wire {
            Wire::Tcp(stream) => stream.write_all(text.as_bytes()).unwrap(),
            Wire::Other(socket) => socket.write_all(text.as_bytes()).unwrap(),
            Wire::Udp(socket) => assert_eq!(socket.send(text.as_bytes()).unwrap(), text.len()),
        }
    }

    /// Reads until `end` has been heard; what came before it.
    pub fn hear(&mut self, end: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut part = [0; 65_536];
        loop {
            if let Some(at) = self.heard.find(end) {
                let before = self.heard[..at].to_owned();
                self.heard.drain(..at + end.len());
                return before;
            }
            assert!(Instant::now() < deadline, "the shell did not answer {end:?}; it said {:?}", self.heard);
            match self.receive(&mut part) {
                Ok(0) => panic!("the shell hung up before {end:?}; it said {:?}", self.heard),
                Ok(n) => self.heard.push_str(&String::from_utf8_lossy(&part[..n])),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(e) => panic!("reading from the shell: {e}"),
            }
        }
    }

    fn receive(&mut self, part: &mut [u8]) -> std::io::Result<usize> {
        match &mut self.wire {
            Wire::Tcp(stream) => stream.read(part),
            Wire::Udp(socket) => socket.recv(part),
            Wire::Other(socket) => socket.read(part),
        }
    }

    /// Everything that is said until the other end hangs up.
    pub fn rest(&mut self) -> String {
        let deadline = Instant::now() + DEADLINE;
        let mut part = [0; 65_536];
        loop {
            assert!(Instant::now() < deadline, "nobody hung up; heard {:?}", self.heard);
            match self.receive(&mut part) {
                Ok(0) => return std::mem::take(&mut self.heard),
                Ok(n) => self.heard.push_str(&String::from_utf8_lossy(&part[..n])),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return std::mem::take(&mut self.heard),
                Err(e) => panic!("reading: {e}"),
            }
        }
    }

    /// Lets the shell run a command and returns what it printed. The mark that ends the answer is written so that a
    /// terminal's echo of the command is not taken for it.
    pub fn run(&mut self, command: &str) -> String {
        self.asked += 1;
        let n = self.asked;
        self.send(&format!("{command}\necho en''d:{n}:\n"));
        self.hear(&format!("end:{n}:"))
    }

    /// The shell's process id as the shell itself knows it.
    pub fn shell_pid(&mut self) -> u32 {
        let said = self.run("echo pid''=$$.");
        let digits = said.split("pid=").nth(1).and_then(|rest| rest.split('.').next());
        digits.and_then(|digits| digits.parse().ok()).unwrap_or_else(|| panic!("no process id in {said:?}"))
    }

    /// Tells the shell to end.
    pub fn exit(mut self) {
        self.send("exit\n");
    }
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
