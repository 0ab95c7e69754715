//! Reading the values of a rule's keys.
//!
//! Owns: what a text, a number, a port, a network, a date is in a file of rules, and how many there may be. Must not
//! own: which keys there are (`compile`).

use std::net::IpAddr;

use toml::Spanned;
use toml::de::DeValue;

use crate::engine::policy::matcher::Network;
use crate::engine::policy::report::{Report, quoted, unsigned};
use crate::model::clock::parse_rfc3339;
use crate::model::socket::Scope;

/// The most values of one key.
const VALUES_MAX: usize = 256;
/// The longest value, in bytes.
const VALUE_BYTES_MAX: usize = 4096;

/// A value with its place.
pub type Value<'i> = Spanned<DeValue<'i>>;

/// Reads one value, or a list of them; problems name the value they are about.
pub fn each<T>(
    report: &mut Report<'_>,
    key: &str,
    value: &Value<'_>,
    wants: &str,
    read: impl Fn(&DeValue<'_>) -> Option<T>,
) -> Vec<T> {
    let entries: Vec<&Value<'_>> = match value.get_ref().as_array() {
        Some(list) => list.iter().collect(),
        None => vec![value],
    };
    if entries.is_empty() {
        report.add(value.span(), key, "the list is empty", "name something, or remove the key");
    }
    if entries.len() > VALUES_MAX {
        let what = format!("there are {} values, and {VALUES_MAX} are the most", entries.len());
        report.add(value.span(), key, what, "use patterns, or several rules");
        return Vec::new();
    }
    let mut found = Vec::new();
    for entry in entries {
        let short = entry.get_ref().as_str().is_none_or(|text| text.len() <= VALUE_BYTES_MAX);
        match read(entry.get_ref()).filter(|_| short) {
            Some(value) => found.push(value),
            None => report.add(entry.span(), key, format!("{} is not {wants}", show(entry)), "correct it"),
        }
    }
    found
}

/// Reads one value; a list may hold one, not more.
pub fn one<T>(
    report: &mut Report<'_>,
    key: &str,
    value: &Value<'_>,
    wants: &str,
    read: impl Fn(&DeValue<'_>) -> Option<T>,
) -> Option<T> {
    if value.get_ref().as_array().is_some_and(|list| list.len() > 1) {
        let what = "there is more than one value";
        report.add(value.span(), key, what, "keep one, or remove the key if it does not matter");
        return None;
    }
    each(report, key, value, wants, read).pop()
}

fn show(value: &Value<'_>) -> String {
    match value.get_ref() {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => text_of(number),
        DeValue::Boolean(flag) => flag.to_string(),
        other => format!("this {}", other.type_str()),
    }
}

fn text_of(number: &toml::de::DeInteger<'_>) -> String {
    let text = number.to_string();
    if text.len() <= 40 { text } else { "this number".to_owned() }
}

/// A line of text for people: not empty, without control characters.
pub fn line(value: &DeValue<'_>) -> Option<String> {
    let text = value.as_str()?;
    (!text.trim().is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

/// Any pattern.
pub fn pattern(value: &DeValue<'_>) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// A pattern for a path, which says more than that there is one.
pub fn path_pattern(value: &DeValue<'_>) -> Option<String> {
    let text = value.as_str()?;
    let says = text.bytes().any(|byte| !matches!(byte, b'*' | b'?' | b'/'));
    (says && text.starts_with(['/', '*'])).then(|| text.to_owned())
}

/// A row of the table of findings by its number.
pub fn row(value: &DeValue<'_>) -> Option<u8> {
    let number = unsigned(value.as_integer()?)?;
    u8::try_from(number).ok().filter(|row| (1..=9).contains(row))
}

/// A port, or a range of them as text.
pub fn ports(value: &DeValue<'_>) -> Option<(u16, u16)> {
    if let Some(number) = value.as_integer() {
        let port = u16::try_from(unsigned(number)?).ok()?;
        return Some((port, port));
    }
    let text = value.as_str()?;
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some((first, last))
}

/// Where a peer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerAt {
    /// In a network.
    Network(Network),
    /// At this distance.
    Scope(Scope),
}

/// A network in CIDR notation (RFC 4632), an address, or a scope's name.
pub fn peer(value: &DeValue<'_>) -> Option<PeerAt> {
    let text = value.as_str()?;
    let scopes = [Scope::Loopback, Scope::LinkLocal, Scope::Private, Scope::Public, Scope::Unconnected];
    if let Some(scope) = scopes.into_iter().find(|scope| scope.name() == text) {
        return Some(PeerAt::Scope(scope));
    }
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address.parse::<IpAddr>().ok()?, Some(bits.parse::<u8>().ok()?)),
        None => (text.parse().ok()?, None),
    };
    let width = |ip: IpAddr| if ip.is_ipv4() { 32u8 } else { 128 };
    let bits = bits.unwrap_or(width(address));
    if bits > width(address) {
        return None;
    }
    // Peers are shown, and compared, as IPv4 where they are IPv4-mapped.
    let plain = address.to_canonical();
    let bits = bits.checked_sub(width(address) - width(plain))?;
    Some(PeerAt::Network(Network { address: plain, bits }))
}

/// A TOML date or date-time, as nanoseconds after 1970; a date is its first moment in UTC.
pub fn date(value: &DeValue<'_>) -> Option<u64> {
    let text = value.as_datetime()?.to_string();
    parse_rfc3339(&if text.len() == 10 { format!("{text}T00:00:00Z") } else { text })
}
