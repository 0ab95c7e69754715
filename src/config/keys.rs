//! Every key there is.
//!
//! Owns: one table: path, meaning, how to set, how to show. Must not own: defaults (each stage's own), syntax (`file`).

use std::path::PathBuf;

use crate::config::Config;
use crate::model::socket::SocketLookup;

/// A value from a file, by type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `true`.
    Bool(bool),
    /// `17`; sizes may be texts like `"16MiB"`.
    Number(u64),
    /// `"text"`.
    Text(String),
    /// `["a", "b"]`.
    Texts(Vec<String>),
}

/// One key.
pub struct Key {
    /// Table and name.
    pub path: &'static str,
    /// What it means, in one line.
    pub doc: &'static str,
    /// What it wants, for messages.
    pub wants: &'static str,
    /// Sets it; `Err` says what is wrong with the value.
    pub set: fn(&mut Config, Value) -> Result<(), String>,
    /// Shows it as TOML.
    pub show: fn(&Config) -> String,
}

macro_rules! key {
    ($path:literal, $doc:literal, $wants:literal, $read:expr, $show:expr, $($field:ident).+) => {
        Key {
            path: $path,
            doc: $doc,
            wants: $wants,
            set: |config, value| {
                config.$($field).+ = $read(value)?;
                Ok(())
            },
            show: |config| $show(&config.$($field).+),
        }
    };
}

macro_rules! number {
    ($range:expr, $as:ty) => {
        |value| within(value, $range).and_then(|n| <$as>::try_from(n).map_err(|e| e.to_string()))
    };
}

/// The table, in the order in which it is printed.
pub const KEYS: &[Key] = &[
    key!(
        "sensor.realtime",
        "ask for real-time priority, without which very short processes are missed under load",
        "true or false",
        flag,
        shown,
        sensor.realtime
    ),
    key!(
        "sensor.receive_buffer_bytes",
        "receive buffer of the proc connector before the kernel doubles it; an event takes 832 bytes",
        "64KiB to 512MiB",
        number!(64 << 10..=512 << 20, usize),
        shown,
        sensor.receive_buffer_bytes
    ),
    key!(
        "sensor.canary_seconds",
        "seconds between two proofs that the kernel still sends events",
        "1 to 3600",
        number!(1..=3600, u64),
        shown,
        sensor.canary_seconds
    ),
    key!(
        "sensor.socket_lookup",
        "ways of finding out what a socket is, tried in this order",
        "a list of getfd, diag, proc",
        lookups,
        lookups_shown,
        sensor.socket_lookup
    ),
    key!(
        "sensor.sweep_per_second",
        "processes that a sweep of /proc may look at in one second",
        "100 to 1000000",
        number!(100..=1_000_000, u32),
        shown,
        sensor.sweep_per_second
    ),
    key!(
        "watch.commands",
        "commands watched besides the shipped list, by base name",
        "a list of base names",
        names,
        texts_shown,
        engine.commands
    ),
    key!(
        "watch.shells",
        "shells besides the shipped list, by base name; their options are read like sh's",
        "a list of base names",
        names,
        texts_shown,
        engine.shells
    ),
    key!(
        "watch.ignore",
        "shipped names that are not to be watched",
        "a list of base names",
        names,
        texts_shown,
        engine.ignore
    ),
    key!(
        "incident.loopback_lowers",
        "a peer on loopback lowers the severity by one step",
        "true or false",
        flag,
        shown,
        engine.loopback_lowers
    ),
    key!(
        "incident.reissue_seconds",
        "least seconds between two records of one incident",
        "1 to 3600",
        number!(1..=3600, u64),
        shown,
        engine.reissue_seconds
    ),
    key!(
        "incident.processes_max",
        "most processes listed in one record; counts go on beyond it",
        "2 to 64",
        number!(2..=64, usize),
        shown,
        engine.processes_max
    ),
    key!(
        "incident.incidents_max",
        "most incidents open at one time",
        "16 to 65536",
        number!(16..=65_536, usize),
        shown,
        engine.incidents_max
    ),
    key!(
        "incident.table_max",
        "most processes followed at one time",
        "256 to 1048576",
        number!(256..=1_048_576, usize),
        shown,
        engine.table_max
    ),
    key!(
        "incident.one_way_max",
        "most sockets remembered that were used one way only",
        "256 to 1048576",
        number!(256..=1_048_576, usize),
        shown,
        engine.one_way_max
    ),
    key!("enrich.digest", "take SHA-256 digests of executables", "true or false", flag, shown, enrich.digest),
    key!(
        "enrich.digest_max_bytes",
        "most bytes of one executable that are hashed",
        "1MiB to 1GiB",
        number!(1 << 20..=1 << 30, u64),
        shown,
        enrich.digest_max_bytes
    ),
    key!(
        "enrich.digest_wait_ms",
        "longest that a record waits for a digest, in milliseconds; later ones come with the next record",
        "0 to 1000",
        number!(0..=1000, u64),
        shown,
        enrich.digest_wait_ms
    ),
    key!(
        "node.name",
        "this node's name; empty: the host name",
        "a name without control characters",
        plain,
        quoted,
        enrich.node_name
    ),
    key!(
        "node.resource_name",
        "full resource name of the cluster or host; empty: //tetherd/hosts/NAME",
        "empty, or a name that begins with //",
        resource,
        quoted,
        enrich.resource_name
    ),
    key!(
        "node.resource_display_name",
        "what people call the resource; empty: the node's name",
        "a name without control characters",
        plain,
        quoted,
        enrich.resource_display_name
    ),
    key!(
        "spool.directory",
        "where findings are stored",
        "an absolute path",
        path,
        path_shown,
        spool.directory
    ),
    key!(
        "spool.segment_bytes",
        "a segment is closed when it has grown to this size",
        "64KiB to 1GiB",
        number!(64 << 10..=1 << 30, u64),
        shown,
        spool.segment_bytes
    ),
    key!(
        "spool.segment_hours",
        "a segment is closed when it is this many hours old",
        "1 to 8760",
        number!(1..=8760, u64),
        shown,
        spool.segment_hours
    ),
    key!(
        "spool.max_bytes",
        "the oldest segments are dropped when all together are larger",
        "128KiB to 1TiB",
        number!(128 << 10..=1 << 40, u64),
        shown,
        spool.max_bytes
    ),
    key!(
        "spool.min_free_bytes",
        "the oldest segments are dropped when the filesystem has less free",
        "0 to 1TiB",
        number!(0..=1 << 40, u64),
        shown,
        spool.min_free_bytes
    ),
    key!("syslog.enabled", "send findings to syslog", "true or false", flag, shown, syslog.enabled),
    key!("syslog.path", "the syslog socket", "an absolute path", path, path_shown, syslog.path),
    key!(
        "syslog.facility",
        "the syslog facility",
        "a facility's name: authpriv, daemon, local0, ...",
        facility,
        quoted,
        syslog.facility
    ),
    key!(
        "rules.directory",
        "where allow rules are: every *.toml in it",
        "an absolute path",
        path,
        path_shown,
        control.rules_directory
    ),
    key!(
        "control.socket",
        "the socket for `tetherd status`",
        "an absolute path",
        path,
        path_shown,
        control.socket
    ),
    key!(
        "control.metrics_file",
        "a file for node_exporter's textfile collector; empty: none",
        "empty, or an absolute path that ends in .prom",
        metrics,
        path_shown,
        control.metrics_file
    ),
];

fn flag(value: Value) -> Result<bool, String> {
    match value {
        Value::Bool(flag) => Ok(flag),
        _ => Err("this is not true or false".into()),
    }
}

fn within(value: Value, range: std::ops::RangeInclusive<u64>) -> Result<u64, String> {
    let number = match value {
        Value::Number(number) => number,
        Value::Text(text) => size(&text).ok_or("this is no number or size")?,
        _ => return Err("this is no number".into()),
    };
    if range.contains(&number) { Ok(number) } else { Err(format!("{number} is out of range")) }
}

/// `16MiB`, `2 GiB`, `500kB`.
fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "kB" => 1000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

fn text(value: Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err("this is no text".into()),
    }
}

fn plain(value: Value) -> Result<String, String> {
    let text = text(value)?;
    if text.len() > 253 || text.chars().any(char::is_control) {
        return Err("it is longer than 253 bytes or holds control characters".into());
    }
    Ok(text)
}

fn resource(value: Value) -> Result<String, String> {
    let text = plain(value)?;
    if text.is_empty() || text.starts_with("//") { Ok(text) } else { Err("it does not begin with //".into()) }
}

fn path(value: Value) -> Result<PathBuf, String> {
    let path = PathBuf::from(plain_path(value)?);
    if path.is_absolute() { Ok(path) } else { Err("it is not absolute".into()) }
}

fn plain_path(value: Value) -> Result<String, String> {
    let text = text(value)?;
    if text.len() > 4095 || text.contains('\0') { Err("it is no path".into()) } else { Ok(text) }
}

fn metrics(value: Value) -> Result<PathBuf, String> {
    let path = PathBuf::from(plain_path(value)?);
    let fits = path.as_os_str().is_empty()
        || (path.is_absolute() && path.extension().is_some_and(|extension| extension == "prom"));
    if fits { Ok(path) } else { Err("it is not absolute, or does not end in .prom".into()) }
}

fn facility(value: Value) -> Result<String, String> {
    let text = text(value)?;
    match text.parse::<syslog::Facility>() {
        Ok(_) => Ok(text),
        Err(()) => Err(format!("{text:?} is no facility")),
    }
}

fn texts(value: Value) -> Result<Vec<String>, String> {
    match value {
        Value::Texts(list) if list.len() <= 1024 => Ok(list),
        Value::Texts(_) => Err("more than 1024 entries".into()),
        _ => Err("this is no list of texts".into()),
    }
}

fn names(value: Value) -> Result<Vec<String>, String> {
    let list = texts(value)?;
    match list.iter().find(|name| name.is_empty() || name.contains('/') || name.len() > 255) {
        Some(name) => Err(format!("{name:?} is no base name")),
        None => Ok(list),
    }
}

fn lookups(value: Value) -> Result<Vec<SocketLookup>, String> {
    let mut ways = Vec::new();
    for name in texts(value)? {
        let way = match name.as_str() {
            "getfd" => SocketLookup::Getfd,
            "diag" => SocketLookup::Diag,
            "proc" => SocketLookup::Proc,
            _ => return Err(format!("{name:?} is no lookup")),
        };
        if ways.contains(&way) {
            return Err(format!("{name:?} stands there twice"));
        }
        ways.push(way);
    }
    if ways.is_empty() { Err("the list is empty".into()) } else { Ok(ways) }
}

fn shown(value: &impl ToString) -> String {
    value.to_string()
}

fn quoted(value: &str) -> String {
    toml::Value::String(value.to_owned()).to_string()
}

fn path_shown(value: &std::path::Path) -> String {
    quoted(&value.to_string_lossy())
}

fn texts_shown(value: &[String]) -> String {
    let all: Vec<String> = value.iter().map(|text| quoted(text)).collect();
    format!("[{}]", all.join(", "))
}

fn lookups_shown(value: &[SocketLookup]) -> String {
    let name = |way: &SocketLookup| match way {
        SocketLookup::Getfd => "getfd".to_owned(),
        SocketLookup::Diag => "diag".to_owned(),
        SocketLookup::Proc => "proc".to_owned(),
    };
    texts_shown(&value.iter().map(name).collect::<Vec<_>>())
}
