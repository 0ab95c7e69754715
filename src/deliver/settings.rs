//! Delivery's part of the configuration.
//!
//! Owns: the keys of `[syslog]` and of one `[[deliver]]` and their defaults, what an address is, which destinations
//! there are. Must not own: reading them from a file (`config`).

use std::path::{Path, PathBuf};

use crate::deliver::format::BYTES_LEAST;
pub use crate::deliver::format::Format;
use crate::model::detection::Severity;

/// The name of the destination that `[syslog]` stands for.
pub const SYSLOG: &str = "syslog";
/// The longest name of a destination, in bytes.
pub const NAME_MAX: usize = 32;
/// Most destinations.
pub const DESTINATIONS_MAX: usize = 32;
/// Room for a message's header: the longest one (RFC 5424 section 6) has a host name of 255 bytes.
pub const HEADER_MAX: usize = 400;
/// The least and the most that a message may be limited to, in bytes. The most is what UDP carries over IPv4.
pub const MESSAGE_BYTES: (usize, usize) = (BYTES_LEAST + HEADER_MAX, 65_507);
/// The longest message where nothing else is asked for: rsyslog cuts at 8 KiB without a word.
const MESSAGE_USUAL: usize = 7_900;
/// The same over UDP: RFC 5424 section 6.1 asks of receivers that they take it.
const MESSAGE_UDP: usize = 2_048;

/// `[syslog]`.
#[derive(Clone, Debug, PartialEq)]
pub struct SyslogSettings {
    /// Whether findings go to syslog.
    pub enabled: bool,
    /// The syslog socket.
    pub path: PathBuf,
    /// The facility's name as syslog.conf(5) has it.
    pub facility: String,
}

impl Default for SyslogSettings {
    fn default() -> Self {
        Self { enabled: true, path: PathBuf::from("/dev/log"), facility: "authpriv".into() }
    }
}

/// How messages get to a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A local syslog daemon's socket, datagram or stream, with the header that is usual there (RFC 3164).
    DevLog,
    /// RFC 5424 in datagrams (RFC 5426).
    Udp,
    /// RFC 5424 over TCP with octet counting (RFC 6587 section 3.4.1).
    Tcp,
    /// The same over TLS (RFC 5425), never without it.
    Tls,
    /// RFC 5424 to a UNIX stream socket, a newline after each message.
    UnixStream,
    /// RFC 5424 to a UNIX datagram socket.
    UnixDatagram,
}

impl Transport {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::DevLog, Self::Udp, Self::Tcp, Self::Tls, Self::UnixStream, Self::UnixDatagram];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::DevLog => "devlog",
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::UnixStream => "unix-stream",
            Self::UnixDatagram => "unix-datagram",
        }
    }

    /// The transport of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|transport| transport.name() == name)
    }

    /// Whether it is a connection to a host, whose end can be an acknowledgement.
    pub fn is_connection(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }

    /// Whether its address is a path, and not a host and a port.
    pub fn is_local(self) -> bool {
        matches!(self, Self::DevLog | Self::UnixStream | Self::UnixDatagram)
    }
}

/// Where a destination that has no cursor yet begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record in the spool.
    #[default]
    Oldest,
    /// With the first record that is written from now on.
    Newest,
}

impl Start {
    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Oldest => "oldest",
            Self::Newest => "newest",
        }
    }
}

/// What over TCP and TLS counts as accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confirm {
    /// What stood before the end of a connection that the receiver then closed as well: its process has read it.
    #[default]
    Close,
    /// The same, and the receiver has said in TLS that it closes (close_notify): nobody on the way can have made that up.
    CloseNotify,
    /// What the receiver's kernel has acknowledged.
    Kernel,
}

impl Confirm {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Close, Self::CloseNotify, Self::Kernel];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Close => "close",
            Self::CloseNotify => "close-notify",
            Self::Kernel => "kernel",
        }
    }
}

/// What is for TLS alone; an empty path or name is one that is not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Certificates (PEM) of those whose signature is trusted; not set: those that the system trusts.
    pub ca: PathBuf,
    /// The certificate (PEM) that is shown to a receiver that asks for one, and those between it and its CA.
    pub certificate: PathBuf,
    /// Its private key (PEM).
    pub key: PathBuf,
    /// The name that the receiver is asked for, and that its certificate has to have; not set: the host of the address.
    pub server_name: String,
}

/// One `[[deliver]]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Destination {
    /// What it is called: 1 to [`NAME_MAX`] of `[a-z0-9-]`; also the cursor's name.
    pub name: String,
    /// Switched off, it keeps its place in the spool and sends nothing.
    pub enabled: bool,
    /// How messages get there; `None` until it is set.
    pub transport: Option<Transport>,
    /// A path, or a host and a port.
    pub address: String,
    /// The facility's name as syslog.conf(5) has it.
    pub facility: String,
    /// The form of the message; `None`: what is usual with the transport.
    pub format: Option<Format>,
    /// Most bytes of a message with its header; `None`: what is usual with the transport.
    pub message_bytes: Option<usize>,
    /// Least severity of what is sent; `None`: any. Records that are no findings have none and are sent.
    pub severity: Option<Severity>,
    /// Categories of what is sent; none: any. One that ends in `*` stands for all that begin so.
    pub categories: Vec<String>,
    /// Pod namespaces of what is sent, in the same way; none: any. The empty text stands for what is in no pod.
    pub namespaces: Vec<String>,
    /// Where it begins.
    pub start: Start,
    /// What over TCP and TLS counts as accepted.
    pub confirm: Confirm,
    /// Whom to trust over TLS, and as whom to appear.
    pub tls: TlsSettings,
}

impl Default for Destination {
    fn default() -> Self {
        Self {
            name: String::new(),
            enabled: true,
            transport: None,
            address: String::new(),
            facility: "authpriv".into(),
            format: None,
            message_bytes: None,
            severity: None,
            categories: Vec::new(),
            namespaces: Vec::new(),
            start: Start::default(),
            confirm: Confirm::default(),
            tls: TlsSettings::default(),
        }
    }
}

impl Destination {
    /// The transport; what a configuration without one would have been refused for is `/dev/log`.
    pub fn transport(&self) -> Transport {
        self.transport.unwrap_or(Transport::DevLog)
    }

    /// The form of its messages.
    pub fn format(&self) -> Format {
        let usual = match self.transport() {
            Transport::DevLog | Transport::Udp => Format::Compact,
            Transport::Tcp | Transport::Tls | Transport::UnixStream | Transport::UnixDatagram => Format::Scc,
        };
        self.format.unwrap_or(usual)
    }

    /// Most bytes of a message.
    pub fn message_bytes(&self) -> usize {
        let usual = if self.transport() == Transport::Udp { MESSAGE_UDP } else { MESSAGE_USUAL };
        self.message_bytes.unwrap_or(usual)
    }

    /// The address, of a local one as a path.
    pub fn path(&self) -> &Path {
        Path::new(&self.address)
    }
}

/// All destinations: the one of `[syslog]` first. Those that are switched off are among them.
pub fn destinations(syslog: &SyslogSettings, others: &[Destination]) -> Vec<Destination> {
    let own = Destination {
        name: SYSLOG.into(),
        enabled: syslog.enabled,
        transport: Some(Transport::DevLog),
        address: syslog.path.to_string_lossy().into_owned(),
        facility: syslog.facility.clone(),
        ..Destination::default()
    };
    // Another one may take the name over, and with it the cursor, when the table is switched off.
    let taken = others.iter().any(|other| other.name == SYSLOG);
    (!taken).then_some(own).into_iter().chain(others.iter().cloned()).collect()
}

/// Host and port of `host:port`, `192.0.2.1:514` or `[2001:db8::1]:514`; what is wrong with it otherwise.
pub fn host_and_port(address: &str) -> Result<(&str, u16), &'static str> {
    let (host, port) = address.rsplit_once(':').ok_or("it has no port")?;
    let port = port.parse().ok().filter(|port| *port != 0).ok_or("what follows the last : is no port")?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').ok_or("its [ is not closed")?,
        None if host.contains(':') => return Err("an IPv6 address belongs into [ ]"),
        None => host,
    };
    let fits = (1..=253).contains(&host.len())
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'%'));
    if fits { Ok((host, port)) } else { Err("it has no host") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(host_and_port("siem.example:6514"), Ok(("siem.example", 6514)));
        assert_eq!(host_and_port("192.0.2.1:514"), Ok(("192.0.2.1", 514)));
        assert_eq!(host_and_port("[::1]:514"), Ok(("::1", 514)));
        for bad in
            ["", "siem", "siem:", ":514", "siem:0", "siem:65536", "::1:514", "[::1:514", "a b:1", "é:1"]
        {
            assert!(host_and_port(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_table_is_a_destination_unless_its_name_is_taken_over() {
        let names = |others: &[Destination]| -> Vec<String> {
            destinations(&SyslogSettings::default(), others).into_iter().map(|found| found.name).collect()
        };
        let named = |name: &str| Destination { name: name.into(), ..Destination::default() };
        assert_eq!(names(&[named("siem")]), ["syslog", "siem"]);
        assert_eq!(names(&[named("syslog")]), ["syslog"]);
        let own = destinations(&SyslogSettings::default(), &[]).remove(0);
        assert_eq!((own.format(), own.message_bytes()), (Format::Compact, 7_900));
    }
}
