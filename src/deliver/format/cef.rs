//! A record in the Common Event Format of ArcSight, version 0.
//!
//! Owns: which CEF key each field has, how long it may be there, escaping. Must not own: the fields (`flat`).
//!
//! Keys, lengths and escaping are those of "ArcSight Common Event Format: CEF key names for event producers": in the
//! header `\` and `|` stand behind a backslash, in the extension `\` and `=`, and line ends are `\n` and `\r`. Version 0
//! has IPv4 addresses in `src` and `dst`; others go to `c6a2` and `c6a3`.
//!
//! `src` is who opened the connection: this machine for an outbound tether, the peer for an inbound one. The process
//! stands with the side that it runs on: `sproc`, `spid`, … or `dproc`, `dpid`, ….

use std::net::Ipv4Addr;

use serde_json::Value;

use super::flat::{Flat, MESSAGE, TRUNCATED, excused_by, is_finding, scalar, state, subject, text};
use crate::model::clock::parse_rfc3339;
use crate::model::detection::Severity;
use crate::model::finding::{Record, property};
use crate::model::text::{cut, visible};

const VENDOR: &str = "tetherd";
const PRODUCT: &str = "tetherd";
/// Most bytes of the header's signature and name.
const CLASS_MAX: usize = 64;
const NAME_MAX: usize = 128;

/// Keys that are never left out.
const KEPT: [&str; 5] = ["rt", "externalId", "cn1Label", "cn1", TRUNCATED];

/// Keys that have a label, and what it says.
const LABELLED: [(&str, &str); 13] = [
    ("cn1", "sequence"),
    ("cn2", "commands"),
    ("cn3", "row"),
    ("c6a2", "Source IPv6 Address"),
    ("c6a3", "Destination IPv6 Address"),
    ("cs1", "pod"),
    ("cs2", "container"),
    ("cs3", "image"),
    ("cs4", "arguments"),
    ("cs5", "tether"),
    ("cs6", "details"),
    ("flexString1", "state"),
    ("flexString2", "excused by"),
];

/// One line, in at most `most` bytes (at least 600).
pub fn cef(record: &Record, most: usize) -> String {
    let header = header(record);
    extension(record).fit(most, &KEPT, |fields| {
        let mut out = header.clone();
        let mut first = true;
        for (key, value) in fields.iter() {
            // A label whose field was left out names nothing.
            if key.strip_suffix("Label").is_some_and(|named| fields.get(named).is_none()) {
                continue;
            }
            if !std::mem::take(&mut first) {
                out.push(' ');
            }
            out.push_str(key);
            out.push('=');
            push_value(&mut out, &text(value));
        }
        out
    })
}

fn header(record: &Record) -> String {
    let category = &record.finding.category;
    let name = category.split_once(": ").map_or(category.as_str(), |(_, name)| name);
    let parts = [
        "CEF:0",
        VENDOR,
        PRODUCT,
        env!("CARGO_PKG_VERSION"),
        &class(name),
        &or_unnamed(cut(&visible(name), NAME_MAX)),
        severity(record),
    ];
    let escape = |part: &str| part.replace('\\', r"\\").replace('|', r"\|");
    parts.map(escape).join("|") + "|"
}

/// The signature: the name in lower case, in one word.
pub(super) fn class(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    or_unnamed(cut(&words.collect::<Vec<_>>().join("-").to_ascii_lowercase(), CLASS_MAX))
}

fn or_unnamed(text: &str) -> String {
    if text.trim().is_empty() { "unnamed".into() } else { text.into() }
}

/// 0 to 10; records that are no findings have the lowest class, in which nobody is woken.
fn severity(record: &Record) -> &'static str {
    match record.finding.severity {
        Some(Severity::Critical) => "10",
        Some(Severity::High) => "8",
        Some(Severity::Medium) => "5",
        Some(Severity::Low) => "3",
        None => "1",
    }
}

/// The extension, what matters most first.
fn extension(record: &Record) -> Flat {
    let (told, finding) = (Flat::of(record), &record.finding);
    let property = |key: &str| scalar(record, key).map(|value| text(&value));
    let inbound = property(property::TETHER_DIRECTION).as_deref() == Some("inbound");
    let mut out = Extension::default();
    let time = |text: &str| parse_rfc3339(text).map(|ns| (ns / 1_000_000).to_string());
    out.put("rt", 13, time(&finding.create_time));
    out.put("externalId", 40, Some(record.id().to_owned()));
    out.put("cn1", 20, Some(record.sequence().to_string()));
    out.put("dvchost", 100, told.text("node"));
    out.put("cat", 1023, Some(finding.category.clone()));
    out.put("start", 13, time(&finding.event_time));
    out.put("end", 13, property(property::LAST_SEEN).as_deref().and_then(time));
    if let Some(process) = subject(record) {
        let side = |key: &str| format!("{}{key}", if inbound { 'd' } else { 's' });
        out.put(&side("proc"), 1023, told.text("exe").or_else(|| Some(process.name.clone())));
        out.put(&side("pid"), 20, number(&process.pid));
        out.put(&side("uid"), 1023, Some(process.user_id.clone()));
        out.put(&side("user"), 1023, told.text("user"));
    }
    if let Some(connection) = finding.connections.first() {
        let here = (&connection.source_ip, connection.source_port);
        let there = (&connection.destination_ip, connection.destination_port);
        let (from, to) = if inbound { (there, here) } else { (here, there) };
        out.address(["src", "c6a2"], from.0.as_deref());
        out.put("spt", 5, from.1.map(|port| port.to_string()));
        out.address(["dst", "c6a3"], to.0.as_deref());
        out.put("dpt", 5, to.1.map(|port| port.to_string()));
    }
    out.put("proto", 31, told.text("protocol"));
    out.put("deviceDirection", 1, direction(record));
    let pod = [told.text("ns"), told.text("pod")];
    out.put("cs1", 4000, (pod != [None, None]).then(|| pod.map(Option::unwrap_or_default).join("/")));
    out.put("cs2", 4000, told.text("container").or_else(|| told.text("container_id")));
    out.put("cs3", 4000, told.text("image"));
    out.put("cs4", 4000, told.text("args"));
    out.put("cs5", 4000, told.text("tether"));
    out.put("filePath", 1023, told.text("exe"));
    out.put("fileHash", 255, told.text("sha256"));
    out.put("cn2", 20, told.text("process_count").as_deref().and_then(number));
    out.put("cn3", 20, told.text("row").as_deref().and_then(number));
    out.put("flexString1", 1023, Some(state(record).to_owned()));
    out.put("flexString2", 1023, excused_by(record).map(str::to_owned));
    out.put("deviceExternalId", 255, told.text("boot_id"));
    out.put("reason", 1023, told.text("evidence"));
    out.put("cs6", 4000, (!is_finding(record)).then(|| details(&told)));
    out.put(MESSAGE, 1023, Some(finding.description.clone()));
    out.0
}

/// What a record about tetherd itself says beyond the keys that there are.
fn details(told: &Flat) -> String {
    let known = [
        "id", "seq", "severity", "state", "time", "category", "node", MESSAGE, "boot_id", "evidence",
        TRUNCATED,
    ];
    let rest = told.iter().filter(|(key, _)| !known.contains(key));
    rest.map(|(key, value)| format!("{key}={}", text(value))).collect::<Vec<_>>().join(" ")
}

/// 0: from outside, 1: from here.
fn direction(record: &Record) -> Option<String> {
    match record.text(property::TETHER_DIRECTION)? {
        "inbound" => Some("0".into()),
        "outbound" => Some("1".into()),
        _ => None,
    }
}

/// Digits, for the keys that hold numbers.
fn number(text: &str) -> Option<String> {
    text.parse::<i64>().ok().map(|number| number.to_string())
}

#[derive(Default)]
struct Extension(Flat);

impl Extension {
    /// Adds a key, its label before it, cut to what the dictionary allows.
    fn put(&mut self, key: &str, most: usize, value: Option<String>) {
        let Some(value) = value.filter(|value| !value.trim().is_empty()) else { return };
        let label = LABELLED.iter().find(|(labelled, _)| *labelled == key).map(|(_, label)| *label);
        self.0.put(&format!("{key}Label"), label);
        self.0.put(key, Some(Value::from(cut(&readable(&value), most))));
    }

    /// An address, under the key that its family has.
    fn address(&mut self, [four, six]: [&str; 2], ip: Option<&str>) {
        let is_four = ip.is_some_and(|ip| ip.parse::<Ipv4Addr>().is_ok());
        self.put(if is_four { four } else { six }, 45, ip.map(str::to_owned));
    }
}

/// Control characters but for line ends, which CEF has a way to write, shown as `\xNN`.
fn readable(text: &str) -> String {
    let lines = text.split('\n').map(|line| line.split('\r').map(visible).collect::<Vec<_>>().join("\r"));
    lines.collect::<Vec<_>>().join("\n")
}

fn push_value(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str(r"\\"),
            '=' => out.push_str(r"\="),
            '\n' => out.push_str(r"\n"),
            '\r' => out.push_str(r"\r"),
            _ => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{any_record, observation, record};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Header and extension; `None` for what CEF does not allow.
    fn parse(line: &str) -> Option<(Vec<String>, BTreeMap<String, String>)> {
        let (mut header, mut chars) = (vec![String::new()], line.char_indices());
        let rest = loop {
            match chars.next()? {
                (_, '\\') => header.last_mut()?.push(chars.next().filter(|(_, c)| "\\|".contains(*c))?.1),
                (place, '|') if header.len() == 7 => break line.get(place + 1..)?,
                (_, '|') => header.push(String::new()),
                (_, c) => header.last_mut()?.push(c),
            }
        };
        // A key begins after the last space before an equals sign that no backslash is before.
        let (mut pairs, mut word, mut escaped) = (Vec::<(String, String)>::new(), String::new(), false);
        for c in rest.chars() {
            match c {
                _ if escaped => {
                    word.push(match c {
                        'n' => '\n',
                        'r' => '\r',
                        '\\' | '=' => c,
                        _ => return None,
                    });
                    escaped = false;
                }
                '\\' => escaped = true,
                '=' => {
                    let (value, key) = match pairs.is_empty() {
                        true => ("", word.as_str()),
                        false => word.rsplit_once(' ')?,
                    };
                    if key.is_empty() || !key.chars().all(|c| c.is_ascii_alphanumeric()) {
                        return None;
                    }
                    if let Some(last) = pairs.last_mut() {
                        last.1 = value.to_owned();
                    }
                    pairs.push((key.to_owned(), String::new()));
                    word.clear();
                }
                _ => word.push(c),
            }
        }
        pairs.last_mut()?.1 = word;
        let count = pairs.len();
        let pairs: BTreeMap<_, _> = pairs.into_iter().collect();
        (!escaped && pairs.len() == count).then_some((header, pairs))
    }

    #[test]
    fn the_shape() {
        let (header, fields) = parse(&cef(&record(), 7900)).unwrap();
        let class = "possible-remote-command-execution-detected";
        let name = "Possible Remote Command Execution Detected";
        assert_eq!(header, ["CEF:0", "tetherd", "tetherd", env!("CARGO_PKG_VERSION"), class, name, "10"]);
        for (key, value) in [
            ("rt", "1795492217131"),
            ("start", "1795492217123"),
            ("externalId", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            ("cn1Label", "sequence"),
            ("cn1", "1042"),
            ("src", "10.8.3.17"),
            ("dst", "203.0.113.9"),
            ("dpt", "4444"),
            ("deviceDirection", "1"),
            ("sproc", "/bin/dash"),
            ("spid", "48213"),
            ("suser", "www-data"),
            ("cs1", "shop/web-7c966b5d85-wvtln"),
            ("cs4", "sh -i"),
        ] {
            assert_eq!(fields.get(key).map(String::as_str), Some(value), "{key}");
        }
    }

    #[test]
    fn the_process_stands_on_its_own_side() {
        let mut record = record();
        record.finding.source_properties.insert(property::TETHER_DIRECTION.into(), "inbound".into());
        record.finding.connections[0].destination_ip = Some("2001:db8::9".into());
        let (_, fields) = parse(&cef(&record, 7900)).unwrap();
        assert_eq!((fields["c6a2"].as_str(), fields["dst"].as_str()), ("2001:db8::9", "10.8.3.17"));
        assert_eq!((fields["c6a2Label"].as_str(), fields["spt"].as_str()), ("Source IPv6 Address", "4444"));
        assert_eq!((fields["dpid"].as_str(), fields.get("spid")), ("48213", None));
    }

    #[test]
    fn what_an_attacker_writes_stays_in_its_field() {
        let mut record = record();
        let args = serde_json::json!(["sh", "x dst=8.8.8.8\nCEF:0|a|b\\", "|=\\"]);
        record.finding.source_properties.insert(property::PROCESS_ARGUMENTS.into(), args);
        record.finding.category = "A: b|c\\d=\ne".into();
        let line = cef(&record, 7900);
        let (header, fields) = parse(&line).unwrap();
        assert_eq!(fields["cs4"], "sh 'x dst=8.8.8.8\nCEF:0|a|b\\' '|=\\'");
        assert_eq!(fields["dst"], "203.0.113.9");
        assert_eq!((header[4].as_str(), header[5].as_str()), ("b-c-d-e", "b|c\\d=\\ne"));
    }

    #[test]
    fn a_record_that_is_no_finding_tells_all_it_has() {
        let (header, fields) = parse(&cef(&observation(), 7900)).unwrap();
        assert_eq!((header[4].as_str(), header[6].as_str()), ("coverage-lost", "1"));
        assert!(fields["cs6"].contains("losses_kernel_overflow=3"), "{fields:?}");
        assert_eq!(fields["cn1"], "1042");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn always_whole_and_short(record in any_record(), most in 600usize..8000) {
            let line = cef(&record, most);
            prop_assert!(line.len() <= most, "{} of {most}: {line}", line.len());
            prop_assert!(!line.contains(char::is_control));
            let (_, fields) = parse(&line).expect("CEF");
            prop_assert_eq!(&fields["cn1"], &record.sequence().to_string());
            prop_assert!(fields.values().all(|value| value.len() <= 4000));
        }
    }
}
