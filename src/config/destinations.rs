//! The blocks `[[deliver]]`.
//!
//! Owns: the table of a block's keys, what a block lacks or contradicts, showing blocks. Must not own: defaults
//! (`deliver::settings`), walking the file (`file`).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::config::values::{
    Value, facility, flag, number, optional_path, path_shown, quoted, shown, size, socket, text, texts,
    within,
};
use crate::config::{Config, values};
use crate::deliver::settings::{
    Confirm, DESTINATIONS_MAX, Destination, Format, MESSAGE_BYTES, NAME_MAX, SYSLOG, Start, Transport,
    host_and_port,
};
use crate::deliver::tls::server_name;
use crate::engine::policy::report::quoted as safe;

/// The name of the array of tables.
pub const TABLE: &str = "deliver";

/// One key of a block.
pub struct BlockKey {
    /// Its name.
    pub name: &'static str,
    /// What it means, in one line.
    pub doc: &'static str,
    /// What it wants, for messages.
    pub wants: &'static str,
    /// Sets it, or says what is wrong with the value.
    pub set: fn(&mut Destination, Value) -> Result<(), String>,
    /// Shows it as TOML.
    pub show: fn(&Destination) -> String,
}

/// A block as it was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// What it says.
    pub destination: Destination,
    /// Where each of its keys was set.
    pub origins: BTreeMap<&'static str, String>,
    /// Line and column of each value, and of the block itself below "".
    pub places: BTreeMap<&'static str, (usize, usize)>,
}

/// A key that names a file for TLS.
macro_rules! tls_file {
    ($field:ident, $doc:literal) => {
        BlockKey {
            name: stringify!($field),
            doc: $doc,
            wants: FILE,
            set: |to, value| optional_path(value).map(|path| to.tls.$field = path.into()),
            show: |of| path_shown(&of.tls.$field),
        }
    };
}

/// The keys, in the order in which they are printed.
pub const BLOCK_KEYS: &[BlockKey] = &[
    BlockKey {
        name: "name",
        doc: "what it is called, in status and for its cursor; another name begins anew",
        wants: "1 to 32 of a-z, 0-9 and -",
        set: |to, value| name(value).map(|name| to.name = name),
        show: |of| quoted(&of.name),
    },
    BlockKey {
        name: "enabled",
        doc: "switched off, it keeps its place in the spool and sends nothing",
        wants: "true or false",
        set: |to, value| flag(value).map(|flag| to.enabled = flag),
        show: |of| shown(&of.enabled),
    },
    BlockKey {
        name: "transport",
        doc: "devlog: a local syslog daemon's socket; RFC 5424 over udp, over tcp or tls (octet counting), or to a unix-stream or unix-datagram socket",
        wants: "one of \"devlog\", \"udp\", \"tcp\", \"tls\", \"unix-stream\", \"unix-datagram\"",
        set: |to, value| {
            named(value, Transport::of, "transport").map(|transport| to.transport = Some(transport))
        },
        show: |of| quoted(of.transport().name()),
    },
    BlockKey {
        name: "address",
        doc: "a path, or host:port",
        wants: "an absolute path of at most 107 bytes, or host:port; IPv6 addresses in [ ]",
        set: |to, value| values::plain(value).map(|address| to.address = address),
        show: |of| quoted(&of.address),
    },
    BlockKey {
        name: "facility",
        doc: "the syslog facility",
        wants: "a facility: kern, user, mail, daemon, auth, syslog, lpr, news, uucp, cron, authpriv, ftp, ntp, audit, alert, clock_daemon, local0 to local7",
        set: |to, value| facility(value).map(|facility| to.facility = facility),
        show: |of| quoted(&of.facility),
    },
    BlockKey {
        name: "format",
        doc: "the message: scc (the finding as it stands in the spool), compact (flat, after @cee:), ocsf, cef, or rfc5424 (structured data; not for devlog); usual: compact for devlog and udp, else scc",
        wants: "one of \"scc\", \"compact\", \"ocsf\", \"cef\", \"rfc5424\"",
        set: |to, value| named(value, Format::of, "format").map(|format| to.format = Some(format)),
        show: |of| quoted(of.format().name()),
    },
    BlockKey {
        name: "message_bytes",
        doc: "the longest message; longer ones are shortened by fields; usual: 2048 for udp, else 7900, which rsyslog takes as it is",
        wants: "1000 to 65507",
        set: |to, value| {
            let range = MESSAGE_BYTES.0 as u64..=MESSAGE_BYTES.1 as u64;
            let bytes =
                within(if matches!(value, Value::Text(_)) { size(value)? } else { number(value)? }, range)?;
            to.message_bytes = Some(usize::try_from(bytes).map_err(|error| error.to_string())?);
            Ok(())
        },
        show: |of| shown(&of.message_bytes()),
    },
    BlockKey {
        name: "severity",
        doc: "least severity of what is sent: low, medium, high, critical; records of tetherd about itself have none and are sent",
        wants: "one of \"low\", \"medium\", \"high\", \"critical\"",
        set: |to, value| {
            let word = text(value)?;
            let severity = word.parse().map_err(|_| format!("{} is no severity", safe(&word)))?;
            to.severity = Some(severity);
            Ok(())
        },
        show: |of| quoted(&of.severity.map_or_else(|| "low".to_owned(), |least| least.name().to_lowercase())),
    },
    BlockKey {
        name: "categories",
        doc: "categories of what is sent, a * at the end stands for any end; none: all",
        wants: "a list of categories",
        set: |to, value| texts(value).map(|list| to.categories = list),
        show: |of| values::texts_shown(&of.categories),
    },
    BlockKey {
        name: "namespaces",
        doc: "pod namespaces of what is sent, in the same way; \"\": what is in no pod; none: all",
        wants: "a list of namespaces",
        set: |to, value| texts(value).map(|list| to.namespaces = list),
        show: |of| values::texts_shown(&of.namespaces),
    },
    BlockKey {
        name: "start",
        doc: "where a destination of a new name begins: oldest (with all that is in the spool) or newest",
        wants: "one of \"oldest\", \"newest\"",
        set: |to, value| {
            let of =
                |word: &str| [Start::Oldest, Start::Newest].into_iter().find(|start| start.name() == word);
            named(value, of, "start").map(|start| to.start = start)
        },
        show: |of| quoted(of.start.name()),
    },
    BlockKey {
        name: "confirm",
        doc: "what counts as accepted over tcp and tls: close (the receiver has read up to the end of the connection and closed it), close-notify (and has said so in TLS; tls alone) or kernel (its kernel has acknowledged it)",
        wants: "one of \"close\", \"close-notify\", \"kernel\"",
        set: |to, value| {
            let of = |word: &str| Confirm::ALL.into_iter().find(|way| way.name() == word);
            named(value, of, "way of confirming").map(|confirm| to.confirm = confirm)
        },
        show: |of| quoted(of.confirm.name()),
    },
    tls_file!(
        ca,
        "tls: a file (PEM) with the certificates of the CAs that the receiver's may come from; empty: those that the system trusts"
    ),
    tls_file!(
        certificate,
        "tls: a file (PEM) with this node's own certificate, for receivers that ask for one; empty: none"
    ),
    tls_file!(key, "tls: a file (PEM) with the private key of that certificate, without a passphrase"),
    BlockKey {
        name: "server_name",
        doc: "tls: the name that is asked for (SNI) and that the receiver's certificate has to have; empty: the host of the address",
        wants: "a host's name or an address, as it stands in the receiver's certificate",
        set: |to, value| values::plain(value).map(|name| to.tls.server_name = name),
        show: |of| quoted(&of.tls.server_name),
    },
];

/// What keys want that name a file.
const FILE: &str = "an absolute path";
/// Keys that are for TLS alone.
const TLS_KEYS: [&str; 4] = ["ca", "certificate", "key", "server_name"];

/// What the transport has to be for a key that is not for all; `None`: it is for this one.
fn is_for(key: &str, transport: Transport) -> Option<&'static str> {
    match key {
        "confirm" if !transport.is_connection() => Some("tcp and tls"),
        key if TLS_KEYS.contains(&key) && transport != Transport::Tls => Some("tls"),
        _ => None,
    }
}

fn named<T>(value: Value, of: impl Fn(&str) -> Option<T>, what: &str) -> Result<T, String> {
    let word = text(value)?;
    of(&word).ok_or_else(|| format!("{} is no {what}", safe(&word)))
}

fn name(value: Value) -> Result<String, String> {
    let name = text(value)?;
    let fits = (1..=NAME_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits { Ok(name) } else { Err(format!("{} is no name of a destination", safe(&name))) }
}

/// What a whole block lacks or contradicts: the key, what is wrong, what to do. `wrong` are keys whose value could not
/// be taken; `before` are the destinations above it.
pub fn check(
    block: &Block,
    wrong: &[&str],
    before: &[Block],
    config: &Config,
) -> Vec<(&'static str, String, String)> {
    let Destination { name, address, .. } = &block.destination;
    let mut found = Vec::new();
    for key in ["name", "transport", "address"] {
        // A local syslog daemon's socket has a usual place.
        let usual = key == "address" && block.destination.transport == Some(Transport::DevLog);
        if !block.origins.contains_key(key) && !wrong.contains(&key) && !usual {
            found.push((key, format!("this block has no {key}"), wanted(key)));
        }
    }
    if !name.is_empty() && before.iter().any(|other| other.destination.name == *name) {
        let what = format!("{} is the name of another destination", safe(name));
        found.push(("name", what, "give each a name of its own".into()));
    }
    if name == SYSLOG && config.syslog.enabled {
        let what = "\"syslog\" is the destination of the table [syslog]".to_owned();
        found.push(("name", what, "name it otherwise, or set enabled = false in [syslog]".into()));
    }
    if before.len() == DESTINATIONS_MAX {
        let what = format!("there are more than {DESTINATIONS_MAX} destinations");
        found.push(("name", what, "remove some".into()));
    }
    if let Some(transport) = block.destination.transport
        && block.origins.contains_key("address")
    {
        let problem = if transport.is_local() {
            socket(Value::Text(address.clone())).err()
        } else {
            host_and_port(address).err().map(|what| format!("{}: {what}", safe(address)))
        };
        found.extend(problem.map(|what| ("address", what, wanted("address"))));
        if transport.is_local() && block.destination.path() == config.control.socket {
            let what = "control.socket is the same file".to_owned();
            found.push(("address", what, "give tetherd's own socket a path of its own".into()));
        }
    }
    if let Some(transport) = block.destination.transport {
        for key in BLOCK_KEYS.iter().map(|key| key.name).filter(|name| block.origins.contains_key(name)) {
            if let Some(others) = is_for(key, transport) {
                found.push((key, format!("this is for {others} alone"), "remove it".into()));
            }
        }
        if transport == Transport::Tls {
            found.extend(tls(&block.destination, wrong));
        }
    }
    let destination = &block.destination;
    if destination.confirm == Confirm::CloseNotify && destination.transport == Some(Transport::Tcp) {
        let what = "without TLS nobody says close_notify".to_owned();
        found.push(("confirm", what, "write \"close\", or transport = \"tls\"".into()));
    }
    if destination.format().has_structured_data() && destination.transport == Some(Transport::DevLog) {
        let what = "a local syslog daemon takes no structured data".to_owned();
        found.push(("format", what, "write \"compact\", or another transport".into()));
    }
    found
}

/// What is wrong with a block for TLS, without a look at its files.
fn tls(destination: &Destination, wrong: &[&str]) -> Vec<(&'static str, String, String)> {
    let mut found = Vec::new();
    let named = !destination.tls.server_name.is_empty();
    if (named || host_and_port(&destination.address).is_ok())
        && let Err(what) = server_name(destination)
    {
        let (key, name) = match named {
            true => ("server_name", &destination.tls.server_name),
            false => ("address", &destination.address),
        };
        let remedy = "set server_name to the name that stands in the receiver's certificate";
        found.push((key, format!("{}: {what}", safe(name)), remedy.to_owned()));
    }
    let set = |path: &Path| !path.as_os_str().is_empty();
    for (key, own, other, others) in [
        ("certificate", &destination.tls.certificate, "key", &destination.tls.key),
        ("key", &destination.tls.key, "certificate", &destination.tls.certificate),
    ] {
        if set(own) && !set(others) && !wrong.contains(&other) {
            found.push((key, format!("there is no {other} with it"), format!("set {other} too, or neither")));
        }
    }
    found
}

fn wanted(name: &str) -> String {
    let key = BLOCK_KEYS.iter().find(|key| key.name == name);
    key.map_or_else(String::new, |key| format!("write {}", key.wants))
}

/// The keys that say something of a block: what is for another transport alone is no key of this one.
fn keys_of(block: &Block) -> impl Iterator<Item = &'static BlockKey> {
    let transport = block.destination.transport();
    BLOCK_KEYS.iter().filter(move |key| is_for(key.name, transport).is_none())
}

/// The values of blocks, by `deliver.NAME.KEY`.
pub(super) fn values(blocks: &[Block], into: &mut BTreeMap<String, String>) {
    for block in blocks {
        let name = &block.destination.name;
        into.extend(
            keys_of(block)
                .map(|key| (format!("{TABLE}.{name}.{}", key.name), (key.show)(&block.destination))),
        );
    }
}

/// Blocks as TOML, after what can be said in one.
pub(super) fn print(blocks: &[Block], into: &mut String) {
    into.push_str("\n# Further destinations, each a block [[deliver]] of its own (docs/deliver.md):\n");
    for key in BLOCK_KEYS {
        let _ = writeln!(into, "#   {}: {}", key.name, key.doc);
    }
    into.push_str(
        "# [[deliver]]\n# name = \"siem\"\n# transport = \"tcp\"\n# address = \"siem.example:601\"\n",
    );
    for block in blocks {
        let _ = write!(into, "\n[[{TABLE}]]\n");
        for key in keys_of(block) {
            let origin = block.origins.get(key.name).map_or("default", String::as_str);
            let _ = writeln!(into, "{} = {} # {origin}", key.name, (key.show)(&block.destination));
        }
    }
}
