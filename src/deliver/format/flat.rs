//! A record as one flat list of fields.
//!
//! Owns: which fields a record has when it is told without nesting, their names, their order (what matters most comes
//! first, because some receivers cut), and shortening them until a form of them fits. Must not own: how a form writes
//! them (`compact`, `structured`, `cef`).
//!
//! Fields are shortened, longest first, between characters; bytes are never cut, so that every form stays valid.

use serde::ser::{Serialize, Serializer};
use serde_json::Value;

use crate::model::detection::State;
use crate::model::finding::{Process, Record, property};
use crate::model::text::{cut, shell_quote};

/// Says that something was shortened or left out.
pub(super) const TRUNCATED: &str = "truncated";
/// What a person reads.
pub(super) const MESSAGE: &str = "msg";
/// Fields that say which record it is: never left out.
const KEPT: [&str; 6] = ["id", "seq", "severity", "state", "time", TRUNCATED];
/// The longest name of a field; RFC 5424 allows no longer ones.
const KEY_MAX: usize = 32;
/// The most fields of a record about tetherd itself beyond those that every record has.
const MORE_MAX: usize = 200;
/// A text that is no longer than this is not shortened.
const SHORT: usize = 40;

/// The fields: texts, numbers and flags; no lists, no objects.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Flat(Vec<(String, Value)>);

impl Flat {
    /// The fields of a record.
    pub(super) fn of(record: &Record) -> Self {
        let mut flat = Self::default();
        flat.identity(record);
        flat.process(record);
        flat.socket(record);
        flat.place(record);
        if !is_finding(record) {
            flat.more(record);
        }
        flat
    }

    /// Adds a field, unless there is no value, or one that is empty, or it is there already.
    pub(super) fn put(&mut self, key: &str, value: Option<impl Into<Value>>) {
        let value = value.map(Into::into).filter(|value| !value.is_null() && value != "");
        if let Some(value) = value
            && self.get(key).is_none()
        {
            self.0.push((key.to_owned(), value));
        }
    }

    /// The value of a field.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The text of a field; a number in digits.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.get(key).map(text)
    }

    /// Names and values, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// Shortens the fields until `write` gives at most `most` bytes, and gives that. Where there is nothing left to
    /// shorten, what is left may be longer; every form keeps its fixed part below the least that it is asked for.
    pub(super) fn fit(mut self, most: usize, kept: &[&str], write: impl Fn(&Self) -> String) -> String {
        let mut written = write(&self);
        while written.len() > most {
            if self.get(TRUNCATED).is_none() {
                self.put(TRUNCATED, Some(true));
            }
            if !self.shorten(written.len() - most) && !self.leave_out(kept) {
                break;
            }
            written = write(&self);
        }
        written
    }

    /// As [`Flat::fit`], keeping the fields that say which record it is.
    pub(super) fn fit_record(self, most: usize, write: impl Fn(&Self) -> String) -> String {
        self.fit(most, &KEPT, write)
    }

    /// Shortens the longest text by about `excess` bytes; false if nothing is left to shorten.
    fn shorten(&mut self, excess: usize) -> bool {
        let texts = self.0.iter_mut().filter_map(|(_, value)| match value {
            Value::String(text) if text.len() > SHORT => Some(text),
            _ => None,
        });
        // By what it takes up in JSON: an escaped control character is six bytes long.
        let Some(text) = texts.max_by_key(|text| Value::from(text.as_str()).to_string().len()) else {
            return false;
        };
        let keep = text.len().saturating_sub(excess.max(text.len() / 4)).max(32);
        *text = format!("{}...", cut(text, keep.min(text.len().saturating_sub(4))));
        true
    }

    /// Leaves out the longest field but those that are kept; false if there is none.
    fn leave_out(&mut self, kept: &[&str]) -> bool {
        let others = self.0.iter().enumerate().filter(|(_, (key, _))| !kept.contains(&key.as_str()));
        let longest = others.max_by_key(|(_, (key, value))| value.to_string().len() + key.len());
        let Some(place) = longest.map(|(place, _)| place) else { return false };
        self.0.remove(place);
        true
    }

    fn identity(&mut self, record: &Record) {
        let finding = &record.finding;
        self.put("id", Some(record.id()));
        self.put("seq", Some(record.sequence()));
        self.put("severity", finding.severity.map(|severity| severity.name()));
        self.put("state", Some(state(record)));
        self.put("excused_by", excused_by(record));
        self.put("time", Some(finding.event_time.as_str()));
        self.put("category", Some(finding.category.as_str()));
        self.put("row", scalar(record, property::ROW));
        self.put("node", scalar(record, property::VM_INSTANCE_NAME));
        self.put(MESSAGE, Some(finding.description.as_str()));
    }

    fn process(&mut self, record: &Record) {
        let property = |key: &str| scalar(record, key);
        self.put("exe", property(property::PROCESS_BINARY_FULLPATH));
        self.put("args", command_line(record));
        if let Some(process) = subject(record) {
            self.put("comm", Some(process.name.as_str()));
            self.put("pid", Some(process.pid.as_str()));
            self.put("ppid", Some(process.parent_pid.as_str()));
            self.put("uid", Some(process.user_id.as_str()));
            self.put("args_truncated", process.arguments_truncated.then_some(true));
            self.put("sha256", process.binary.as_ref().and_then(|file| file.sha256.as_deref()));
        }
        self.put("user", property(property::PROCESS_USER_NAME));
        self.put("process_count", property(property::PROCESS_COUNT));
    }

    fn socket(&mut self, record: &Record) {
        if let Some(connection) = record.finding.connections.first() {
            self.put("peer_ip", connection.destination_ip.as_deref());
            self.put("peer_port", connection.destination_port);
            self.put("local_ip", connection.source_ip.as_deref());
            self.put("local_port", connection.source_port);
        }
        let property = |key: &str| scalar(record, key);
        self.put("protocol", property(property::SOCKET_PROTOCOL));
        self.put("direction", property(property::TETHER_DIRECTION));
        self.put("scope", property(property::PEER_SCOPE));
        self.put("tether", property(property::TETHER_KIND));
    }

    fn place(&mut self, record: &Record) {
        let property = |key: &str| scalar(record, key);
        self.put("container_id", property(property::CONTAINER_ID));
        self.put("runtime", property(property::CONTAINER_RUNTIME));
        self.put("container", property(property::CONTAINER_NAME));
        self.put("image", property(property::CONTAINER_IMAGE_URI));
        self.put("pod", property(property::POD_NAME));
        self.put("ns", property(property::POD_NAMESPACE));
        self.put("pod_uid", property(property::POD_UID));
        self.put("service_account", within(record, property::SERVICE_ACCOUNT, "name"));
        self.put("boot_id", property(property::BOOT_ID));
        self.put("evidence", evidence(record));
    }

    /// What a record about tetherd itself says beyond that: whatever properties it has, one level deep, so that a new
    /// kind of record needs nothing here.
    fn more(&mut self, record: &Record) {
        let rest = record.finding.source_properties.iter().filter(|(key, _)| !is_told(key));
        let mut more = rest.flat_map(|(key, value)| match value {
            Value::Object(fields) => {
                fields.iter().map(|(below, value)| (name(&[key, below]), value)).collect()
            }
            _ => vec![(name(&[key]), value)],
        });
        for (key, value) in more.by_ref().take(MORE_MAX) {
            match value {
                Value::Array(_) | Value::Object(_) => self.put(&key, Some(value.to_string())),
                value => self.put(&key, Some(value.clone())),
            }
        }
        self.put(TRUNCATED, more.next().map(|_| true));
    }
}

impl Serialize for Flat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// Whether a record is a finding; others are what tetherd says about itself.
pub(super) fn is_finding(record: &Record) -> bool {
    record.finding.finding_class == "THREAT"
}

/// The allow rule that a withdrawn finding is excused by.
pub(super) fn excused_by(record: &Record) -> Option<&str> {
    within(record, property::EXCUSED_BY, "rule")
}

/// A text in a property that is an object.
fn within<'a>(record: &'a Record, property: &str, key: &str) -> Option<&'a str> {
    record.finding.source_properties.get(property)?.get(key)?.as_str()
}

/// The state as the API names it.
pub(super) fn state(record: &Record) -> &'static str {
    match record.finding.state {
        State::Active => "ACTIVE",
        State::Inactive => "INACTIVE",
    }
}

/// A text as it is, anything else as JSON.
pub(super) fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A property that is neither list nor object: those could not be shortened, and a record of ours has none there.
pub(super) fn scalar(record: &Record, key: &str) -> Option<Value> {
    record.finding.source_properties.get(key).filter(|value| !value.is_array() && !value.is_object()).cloned()
}

/// The process that gave the severity.
pub(super) fn subject(record: &Record) -> Option<&Process> {
    let exe = record.text(property::PROCESS_BINARY_FULLPATH);
    let processes = &record.finding.processes;
    processes
        .iter()
        .find(|one| exe == one.binary.as_ref().map(|file| file.path.as_str()))
        .or(processes.first())
}

/// The main process's arguments as a shell would take them.
pub(super) fn command_line(record: &Record) -> Option<String> {
    let list = record.finding.source_properties.get(property::PROCESS_ARGUMENTS)?.as_array()?;
    Some(list.iter().filter_map(Value::as_str).map(shell_quote).collect::<Vec<_>>().join(" "))
}

/// Why it is a finding.
pub(super) fn evidence(record: &Record) -> Option<String> {
    let list = record.finding.source_properties.get(property::EVIDENCE)?.as_array()?;
    Some(list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("; "))
}

/// Properties that have a field of their own, or say nothing to a receiver.
pub(super) fn is_told(key: &str) -> bool {
    [
        property::BOOT_ID,
        property::EVIDENCE,
        property::PREVIOUS_SHA256,
        property::SCHEMA_VERSION,
        property::SEQUENCE,
        property::VM_INSTANCE_NAME,
        "Padding",
    ]
    .contains(&key)
}

/// A field's name from a property's, of letters, digits and underscores.
fn name(parts: &[&str]) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let name: String = parts.join("_").chars().map(plain).collect();
    cut(&name, KEY_MAX).to_owned()
}
