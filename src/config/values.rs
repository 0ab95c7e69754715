//! Reading and showing the values of keys.
//!
//! Owns: what a flag, a number, a size, a path, a list is, and the sentence about what is wrong. Must not own: which keys
//! there are (`keys`).

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use crate::config::control::SystemCalls;
use crate::engine::policy::report::quoted as safe;
use crate::enrich::settings::{CriSockets, KEY_MAX, Provider};
use crate::model::socket::SocketLookup;
use crate::sensor::settings::FanotifyMode;

/// A value from a file, by type.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `true`.
    Bool(bool),
    /// `17`.
    Number(u64),
    /// `"text"`; for sizes also `"16MiB"`.
    Text(String),
    /// `["a", "b"]`.
    Texts(Vec<String>),
}

/// The longest path of a UNIX socket, in bytes (`sun_path` without its NUL, unix(7)).
const SOCKET_PATH_MAX: usize = 107;

pub(super) fn flag(value: Value) -> Result<bool, String> {
    match value {
        Value::Bool(flag) => Ok(flag),
        _ => Err("this is not true or false".into()),
    }
}

pub(super) fn fanotify(value: Value) -> Result<FanotifyMode, String> {
    let text = text(value)?;
    text.parse().map_err(|what| format!("{}: {what}", safe(&text)))
}

pub(super) fn fanotify_shown(value: &FanotifyMode) -> String {
    quoted(value.name())
}

pub(super) fn provider(value: Value) -> Result<Provider, String> {
    let text = text(value)?;
    Provider::of(&text).ok_or_else(|| format!("{} is no provider", safe(&text)))
}

pub(super) fn provider_shown(value: &Provider) -> String {
    quoted(value.name())
}

pub(super) fn system_calls(value: Value) -> Result<SystemCalls, String> {
    let text = text(value)?;
    let found = SystemCalls::ALL.into_iter().find(|what| what.name() == text);
    found.ok_or_else(|| format!("{} is none of refuse, log, off", safe(&text)))
}

pub(super) fn system_calls_shown(value: &SystemCalls) -> String {
    quoted(value.name())
}

pub(super) fn cri(value: Value) -> Result<CriSockets, String> {
    match text(value)?.as_str() {
        "off" => Ok(CriSockets::Off),
        "auto" => Ok(CriSockets::Auto),
        path => socket(Value::Text(path.to_owned())).map(CriSockets::At),
    }
}

pub(super) fn cri_shown(value: &CriSockets) -> String {
    match value {
        CriSockets::Off => quoted("off"),
        CriSockets::Auto => quoted("auto"),
        CriSockets::At(path) => path_shown(path),
    }
}

/// Keys of Kubernetes' annotations.
pub(super) fn annotations(value: Value) -> Result<Vec<String>, String> {
    let list = texts(value)?;
    let bad = |name: &&String| name.is_empty() || name.len() > KEY_MAX || name.chars().any(char::is_control);
    match list.iter().find(bad) {
        Some(name) => Err(format!("{} is no annotation's key", safe(name))),
        None => Ok(list),
    }
}

/// An absolute path, or nothing.
pub(super) fn optional_path(value: Value) -> Result<String, String> {
    let text = text(value)?;
    if !text.is_empty() {
        path(Value::Text(text.clone()))?;
    }
    Ok(text)
}

pub(super) fn within(number: u64, range: RangeInclusive<u64>) -> Result<u64, String> {
    if range.contains(&number) { Ok(number) } else { Err(format!("{number} is out of range")) }
}

pub(super) fn number(value: Value) -> Result<u64, String> {
    match value {
        Value::Number(number) => Ok(number),
        _ => Err("this is no whole number".into()),
    }
}

/// `17`, or a text like `"16MiB"`, `"2 GiB"`, `"500kB"`.
pub(super) fn size(value: Value) -> Result<u64, String> {
    match value {
        Value::Number(number) => Ok(number),
        Value::Text(text) => size_text(&text).ok_or_else(|| format!("{} is no size", safe(&text))),
        _ => Err("this is no size".into()),
    }
}

pub(super) fn size_text(text: &str) -> Option<u64> {
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
        "TB" => 1_000_000_000_000,
        "TiB" => 1 << 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

pub(super) fn text(value: Value) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err("this is no text".into()),
    }
}

pub(super) fn plain(value: Value) -> Result<String, String> {
    let text = text(value)?;
    if text.chars().any(char::is_control) {
        return Err(format!("{} holds control characters", safe(&text)));
    }
    if text.len() > 253 { Err("it is longer than 253 bytes".into()) } else { Ok(text) }
}

pub(super) fn resource(value: Value) -> Result<String, String> {
    let text = plain(value)?;
    let named = text.strip_prefix("//").is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/'));
    if text.is_empty() || named { Ok(text) } else { Err(format!("{} does not begin with //", safe(&text))) }
}

pub(super) fn path(value: Value) -> Result<PathBuf, String> {
    let text = text(value)?;
    if text.len() > 4095 || text.contains('\0') {
        return Err("it is longer than 4095 bytes or holds a NUL".into());
    }
    let path = PathBuf::from(&text);
    if path.is_absolute() { Ok(path) } else { Err(format!("{} is not absolute", safe(&text))) }
}

pub(super) fn socket(value: Value) -> Result<PathBuf, String> {
    let path = path(value)?;
    let length = path.as_os_str().len();
    if length > SOCKET_PATH_MAX { Err(format!("it is {length} bytes long")) } else { Ok(path) }
}

pub(super) fn metrics(value: Value) -> Result<PathBuf, String> {
    if value == Value::Text(String::new()) {
        return Ok(PathBuf::new());
    }
    let path = path(value)?;
    let fits = path.extension().is_some_and(|extension| extension == "prom");
    if fits { Ok(path) } else { Err("it does not end in .prom".into()) }
}

pub(super) fn facility(value: Value) -> Result<String, String> {
    let text = text(value)?;
    match text.parse::<syslog::Facility>() {
        Ok(_) => Ok(text),
        Err(()) => Err(format!("{} is no facility", safe(&text))),
    }
}

/// A list of texts, none of them twice.
pub(super) fn texts(value: Value) -> Result<Vec<String>, String> {
    let Value::Texts(list) = value else { return Err("this is no list of texts".into()) };
    if list.len() > 1024 {
        return Err(format!("there are {} entries, and 1024 are the most", list.len()));
    }
    let mut seen = HashSet::new();
    match list.iter().find(|text| !seen.insert(text.as_str())) {
        Some(twice) => Err(format!("{} stands there twice", safe(twice))),
        None => Ok(list),
    }
}

pub(super) fn names(value: Value) -> Result<Vec<String>, String> {
    let list = texts(value)?;
    let bad = |name: &&String| {
        name.is_empty() || name.len() > 255 || name.chars().any(|c| c == '/' || c.is_control())
    };
    match list.iter().find(bad) {
        Some(name) => Err(format!("{} is no base name", safe(name))),
        None => Ok(list),
    }
}

pub(super) fn paths(value: Value) -> Result<Vec<String>, String> {
    let list = texts(value)?;
    for text in &list {
        path(Value::Text(text.clone()))?;
    }
    Ok(list)
}

pub(super) fn lookups(value: Value) -> Result<Vec<SocketLookup>, String> {
    let ways: Result<Vec<_>, _> = texts(value)?
        .iter()
        .map(|name| match name.as_str() {
            "getfd" => Ok(SocketLookup::Getfd),
            "diag" => Ok(SocketLookup::Diag),
            "proc" => Ok(SocketLookup::Proc),
            _ => Err(format!("{} is no lookup", safe(name))),
        })
        .collect();
    ways.and_then(|ways| if ways.is_empty() { Err("the list is empty".into()) } else { Ok(ways) })
}

pub(super) fn shown(value: &impl ToString) -> String {
    value.to_string()
}

pub(super) fn quoted(value: &str) -> String {
    toml::Value::String(value.to_owned()).to_string()
}

pub(super) fn path_shown(value: &Path) -> String {
    quoted(&value.to_string_lossy())
}

pub(super) fn texts_shown(value: &[String]) -> String {
    let all: Vec<String> = value.iter().map(|text| quoted(text)).collect();
    format!("[{}]", all.join(", "))
}

pub(super) fn lookups_shown(value: &[SocketLookup]) -> String {
    let name = |way: &SocketLookup| match way {
        SocketLookup::Getfd => "getfd".to_owned(),
        SocketLookup::Diag => "diag".to_owned(),
        SocketLookup::Proc => "proc".to_owned(),
    };
    texts_shown(&value.iter().map(name).collect::<Vec<_>>())
}
