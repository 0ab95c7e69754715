//! Whether somebody listens on a socket's local port, asked while the socket's user lives.
//!
//! Owns: one question of constant time to sock_diag, a thread that asks it in other network namespaces, the bound on
//! waiting for that thread, and the answers of the last moments. Must not own: the tables of sockets (`listener`), what
//! direction follows. The sensor asks, because a namespace may be gone before anybody else comes to it.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::host::proc_dir::ProcDir;
use crate::host::socket::own_namespace;
use crate::model::ids::Inode;
use crate::model::socket::{Address, Protocol, Socket};
use crate::sys::sched::{Policy, set_policy};
use crate::sys::{netns, sock_diag};

/// The longest wait for an answer from another namespace; beyond it somebody else has to find out.
const PATIENCE: Duration = Duration::from_millis(2);
/// How long it is known that a port is listened on: a service that runs many short commands is asked about once.
const LIFE_NS: u64 = 100_000_000;
/// The most ports known.
const KNOWN_MAX: usize = 32;

/// Asks for one thread.
#[derive(Debug)]
pub struct Listening {
    own: Option<Inode>,
    traveller: Option<Traveller>,
    known: VecDeque<Known>,
}

/// A port that was listened on.
#[derive(Debug)]
struct Known {
    namespace: Inode,
    local: SocketAddr,
    at_ns: u64,
}

impl Listening {
    /// `realtime`: whether who asks has real-time priority, so that it does not wait for a thread that has none.
    pub fn new(realtime: bool) -> Self {
        // At once: the first question has no time to wait for a thread to begin.
        Self { own: own_namespace(), traveller: Traveller::start(realtime).ok(), known: VecDeque::new() }
    }

    /// Whether somebody listens where the connection on this socket arrived, or would have; `None` where that cannot
    /// be told by this way: no TCP, a namespace that is not the user's, a kernel that does not answer.
    pub fn ask(&mut self, socket: &Socket, user: &ProcDir, now_ns: u64) -> Option<bool> {
        let tcp = matches!(socket.protocol, Protocol::Tcp | Protocol::Mptcp);
        let Some(Address::Ip(local)) = socket.local.filter(|_| tcp) else { return None };
        let namespace = socket.net_ns?;
        self.known.retain(|known| now_ns.saturating_sub(known.at_ns) < LIFE_NS);
        if self.known.iter().any(|known| known.namespace == namespace && known.local == local) {
            return Some(true);
        }
        let answer = if self.own == Some(namespace) {
            sock_diag::listens(local).ok()?
        } else if user.namespace(c"ns/net", b"net:[") == Some(namespace) {
            let there = user.open_file(c"ns/net").ok()?;
            self.traveller.as_mut()?.ask(there, local)?
        } else {
            return None;
        };
        if answer {
            self.known.truncate(KNOWN_MAX - 1);
            self.known.push_front(Known { namespace, local, at_ns: now_ns });
        }
        Some(answer)
    }
}

/// The thread that goes to other namespaces, so that no other thread ever leaves its own.
#[derive(Debug)]
struct Traveller {
    questions: Sender<(OwnedFd, SocketAddr)>,
    answers: Receiver<Option<bool>>,
    /// It has not answered the last question yet.
    away: bool,
}

impl Traveller {
    fn start(realtime: bool) -> std::io::Result<Self> {
        let (questions, asked) = bounded::<(OwnedFd, SocketAddr)>(1);
        let (answer, answers) = bounded(1);
        std::thread::Builder::new().name("listening".into()).spawn(move || {
            if realtime {
                // Refused, it is only slower, and its answers may come too late.
                let _ = set_policy(Policy::Fifo);
            }
            let Ok(home) = netns::own() else { return };
            for (there, local) in asked {
                let listens = netns::enter(&there).and_then(|()| sock_diag::listens(local)).ok();
                drop(there);
                // A thread that stayed would keep the namespace alive.
                if answer.send(listens).is_err() || netns::enter(&home).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { questions, answers, away: false })
    }

    fn ask(&mut self, there: OwnedFd, local: SocketAddr) -> Option<bool> {
        if self.away && self.answers.try_recv().is_err() {
            return None;
        }
        self.away = self.questions.try_send((there, local)).is_ok();
        if !self.away {
            return None;
        }
        let answer = self.answers.recv_timeout(PATIENCE).ok()?;
        self.away = false;
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::host::socket::{Resolved, ask};
    use crate::model::ids::Pid;

    fn network(socket: &TcpStream) -> Socket {
        let socket = OwnedFd::from(socket.try_clone().unwrap());
        let inode = Inode(rustix::fs::fstat(&socket).unwrap().st_ino);
        match ask(&socket, inode).unwrap() {
            Resolved::Network(found) => found,
            other => panic!("{other:?}"),
        }
    }

    fn ends(at: &str) -> (TcpListener, Socket, Socket) {
        let listener = TcpListener::bind(at).unwrap();
        let port = listener.local_addr().unwrap().port();
        let ip = if at.starts_with("[::1]") { "::1" } else { "127.0.0.1" };
        let client = TcpStream::connect((ip, port)).unwrap();
        let (server, _) = listener.accept().unwrap();
        let found = (network(&client), network(&server));
        // The ends stay open through their sockets' records only as long as they are asked about: that needs no peer.
        (listener, found.0, found.1)
    }

    #[test]
    fn both_ends_on_every_kind_of_listener() {
        let user = ProcDir::open(Pid(std::process::id())).unwrap();
        for at in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0", "[::]:0"] {
            let (listener, client, server) = ends(at);
            let mut listening = Listening::new(false);
            if client.net_ns.is_none() {
                return; // SIOCGSKNS is refused without CAP_NET_ADMIN
            }
            assert_eq!(listening.ask(&client, &user, 0), Some(false), "{at}");
            assert_eq!(listening.ask(&server, &user, 0), Some(true), "{at}");
            drop(listener);
            assert_eq!(listening.ask(&server, &user, LIFE_NS - 1), Some(true), "{at}: it is still known");
            assert_eq!(listening.ask(&server, &user, LIFE_NS), Some(false), "{at}: it is asked again");
        }
    }

    #[test]
    fn a_namespace_of_others_is_not_guessed() {
        let user = ProcDir::open(Pid(std::process::id())).unwrap();
        let (_listener, _, mut server) = ends("127.0.0.1:0");
        server.net_ns = Some(Inode(1));
        assert_eq!(Listening::new(false).ask(&server, &user, 0), None);
        server.net_ns = None;
        assert_eq!(Listening::new(false).ask(&server, &user, 0), None);
    }

    /// The thread goes to a namespace, here our own, and comes back for the next question.
    #[test]
    fn the_traveller_answers_again_and_again() {
        let user = ProcDir::open(Pid(std::process::id())).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local = listener.local_addr().unwrap();
        let mut traveller = Traveller::start(false).unwrap();
        let mut ask = || traveller.ask(user.open_file(c"ns/net").unwrap(), local);
        if !rustix::process::geteuid().is_root() {
            return; // setns(2) is refused
        }
        let deadline = std::time::Instant::now() + Duration::from_secs(30);
        let mut answered = 0;
        // On a busy machine an answer may come too late; the thread must be asked again all the same.
        while answered < 3 && std::time::Instant::now() < deadline {
            match ask() {
                Some(listens) => {
                    assert!(listens);
                    answered += 1;
                }
                None => std::thread::yield_now(),
            }
        }
        assert_eq!(answered, 3);
    }
}
