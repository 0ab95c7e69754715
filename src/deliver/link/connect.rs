//! Making connections.
//!
//! Owns: which connection a transport takes, deadlines for making it. Must not own: when to make it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};

use crate::deliver::leash::Leash;
use crate::deliver::link::datagram::{Local, Udp};
use crate::deliver::link::resolve::Resolver;
use crate::deliver::link::stream::{Framing, Stream};
use crate::deliver::link::tls::Tls;
use crate::deliver::link::{Link, wait_for};
use crate::deliver::settings::{Confirm, Destination, Transport, host_and_port};
use crate::deliver::tls::Client;
use crate::deliver::tls::why::Own;

/// How long one address is tried.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// How long a connection is waited for before it is looked whether it is time to stop.
const SLICE: Duration = Duration::from_millis(100);
/// After so much silence the far end's kernel is asked whether it is still there; so often, this long between.
const KEEPALIVE: (Duration, u32, Duration) = (Duration::from_secs(30), 3, Duration::from_secs(10));

const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// Makes the connections of one destination.
#[derive(Debug)]
pub enum Connector {
    /// To a local syslog daemon.
    DevLog(PathBuf),
    /// To a UNIX stream socket.
    UnixStream(PathBuf),
    /// To a UNIX datagram socket.
    UnixDatagram(PathBuf),
    /// Over UDP.
    Udp(Resolver),
    /// Over TCP.
    Tcp(Resolver, Confirm),
    /// Over TLS.
    Tls(Resolver, Client, Confirm),
    /// There is no such address.
    Nowhere(&'static str),
}

impl Connector {
    /// For `destination`.
    pub fn new(destination: &Destination) -> Self {
        let path = || destination.path().to_owned();
        let resolver = match host_and_port(&destination.address) {
            _ if destination.transport().is_local() => Err(""),
            Ok((host, port)) => Ok(Resolver::new(host, port)),
            Err(what) => Err(what),
        };
        match (destination.transport(), resolver) {
            (Transport::DevLog, _) => Self::DevLog(path()),
            (Transport::UnixStream, _) => Self::UnixStream(path()),
            (Transport::UnixDatagram, _) => Self::UnixDatagram(path()),
            (Transport::Udp, Ok(resolver)) => Self::Udp(resolver),
            (Transport::Tcp, Ok(resolver)) => Self::Tcp(resolver, destination.confirm),
            (Transport::Tls, Ok(resolver)) => match Client::new(destination) {
                Ok(client) => Self::Tls(resolver, client, destination.confirm),
                Err(what) => Self::Nowhere(what),
            },
            (_, Err(what)) => Self::Nowhere(what),
        }
    }

    /// A connection; `None` when it is time to stop.
    ///
    /// # Errors
    /// The receiver cannot be reached.
    pub fn connect(&mut self, leash: Leash<'_>) -> io::Result<Option<Box<dyn Link>>> {
        match self {
            Self::DevLog(path) => match Local::connect(path) {
                Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => unix_stream(path),
                link => Ok(Some(Box::new(link?))),
            },
            Self::UnixStream(path) => unix_stream(path),
            Self::UnixDatagram(path) => Ok(Some(Box::new(Local::connect(path)?))),
            Self::Udp(resolver) => {
                let Some(addresses) = resolver.addresses(leash)? else { return Ok(None) };
                first(&addresses, |address| {
                    let any: SocketAddr = match address {
                        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
                    };
                    let socket = UdpSocket::bind(any)?;
                    socket.set_nonblocking(true)?;
                    socket.connect(address)?;
                    Ok(Some(Box::new(Udp::new(socket)) as Box<dyn Link>))
                })
            }
            Self::Tcp(resolver, confirm) => {
                let Some(addresses) = resolver.addresses(leash)? else { return Ok(None) };
                first(&addresses, |address| {
                    let link = |stream| Stream::new(stream, Framing::OctetCounting, *confirm);
                    Ok(tcp(address, leash)?.map(|stream| Box::new(link(stream)) as Box<dyn Link>))
                })
            }
            Self::Tls(resolver, client, confirm) => {
                // Before the receiver is asked for: without them there is nothing to ask it.
                client.refresh()?;
                let Some(addresses) = resolver.addresses(leash)? else { return Ok(None) };
                first(&addresses, |address| {
                    let Some(socket) = tcp(address, leash)? else { return Ok(None) };
                    let own = Own { strange: client.strange(), has_certificate: client.has_certificate() };
                    let session = Tls::handshake(socket, client.session()?, *confirm, own, leash)?;
                    let link = |session| Stream::new(session, Framing::OctetCounting, *confirm);
                    Ok(session.map(|session| Box::new(link(session)) as Box<dyn Link>))
                })
            }
            Self::Nowhere(what) => Err(io::Error::new(io::ErrorKind::InvalidInput, *what)),
        }
    }
}

/// The first address that answers. Where none does, what was wrong with one that was reached says more than that another was
/// not.
fn first<T>(
    addresses: &[SocketAddr],
    mut connect: impl FnMut(SocketAddr) -> io::Result<Option<T>>,
) -> io::Result<Option<T>> {
    let mut failed = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match connect(*address) {
            Err(error) if failed.kind() != io::ErrorKind::InvalidData => failed = error,
            Err(_) => {}
            connected => return connected,
        }
    }
    Err(failed)
}

/// Not by std, which waits without an end for a receiver that accepts nobody.
fn unix_stream(path: &Path) -> io::Result<Option<Box<dyn Link>>> {
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(Some(Box::new(Stream::new(UnixStream::from(socket), Framing::Newline, Confirm::Kernel))))
}

/// A connection over TCP, non-blocking; `None` when it is time to stop.
fn tcp(address: SocketAddr, leash: Leash<'_>) -> io::Result<Option<TcpStream>> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket_with(family, SocketType::STREAM, FLAGS, None)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, KEEPALIVE.0)?;
    sockopt::set_tcp_keepcnt(&socket, KEEPALIVE.1)?;
    sockopt::set_tcp_keepintvl(&socket, KEEPALIVE.2)?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
        Err(errno) => return Err(errno.into()),
    }
    let until = Instant::now() + CONNECT_TIME;
    while !wait_for(socket.as_fd(), PollFlags::OUT, SLICE) {
        if leash.is_over() {
            return Ok(None);
        }
        if Instant::now() >= until {
            let what = format!("it has not answered within {} s", CONNECT_TIME.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, what));
        }
    }
    sockopt::socket_error(&socket)??;
    Ok(Some(socket.into()))
}
