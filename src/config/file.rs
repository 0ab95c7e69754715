//! Reading a configuration file.
//!
//! Owns: the file's safety, walking its tables, checks that concern two keys, and collecting all problems in one run.
//! Must not own: what each key wants (`keys`), TOML's syntax and places (`engine::policy::report`).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::destinations::{self, BLOCK_KEYS, Block, TABLE};
use crate::config::key::Key;
use crate::config::keys::KEYS;
use crate::config::values::Value;
use crate::config::{Config, ConfigError, Loaded};
use crate::deliver::settings::{DESTINATIONS_MAX, SyslogSettings, Transport};
use crate::engine::policy::report::{Report, nearest, quoted, unsigned};
use crate::model::problem::Problem;
use crate::model::text;
use crate::sys::small_file;

/// The longest file.
const FILE_MAX: u64 = 1 << 20;
/// What a wrong setting leads to.
const REFUSED: &str = "tetherd does not start with it, and a reload keeps what is in force";

/// Reads the text.
///
/// # Errors
/// A file that cannot be read; one that others than root may write while we are root, that is longer than 1 MiB, or
/// that is not UTF-8.
pub fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let (file, found) = small_file::open(path).map_err(unreadable)?;
    if let Some(problem) = untrusted(path, &found) {
        return Err(ConfigError::Problems(vec![problem]));
    }
    let Some(bytes) = small_file::read(file, FILE_MAX).map_err(unreadable)? else {
        let remedy = "shorten it, or divide it";
        return Err(ConfigError::Problems(vec![whole(
            path,
            "it is longer than 1 MiB".into(),
            REFUSED,
            remedy,
        )]));
    };
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes().get(..good).unwrap_or_default()).into_owned();
        let mut report = Report::new(path, &text, REFUSED);
        report.add(good..good, "", "it is not UTF-8 from here on", "write the file in UTF-8");
        ConfigError::Problems(report.finish())
    })
}

/// Why root should not follow a file or directory: others could have written it. `None` where that is not so, or we
/// are not root.
pub fn untrusted(path: &Path, found: &Metadata) -> Option<Problem> {
    let owner = if nix::unistd::geteuid().is_root() { found.uid() } else { return None };
    let what = unsafe_to_follow(owner, found.mode())?;
    let remedy = format!("chown root {0} && chmod go-w {0}", text::shell_quote(&path.to_string_lossy()));
    Some(whole(path, what, "anyone who can write it can switch the detection off", &remedy))
}

fn unsafe_to_follow(owner: u32, mode: u32) -> Option<String> {
    if owner != 0 {
        return Some(format!("it belongs to user {owner}, not to root"));
    }
    match (mode & 0o020 != 0, mode & 0o002 != 0) {
        (_, true) => Some(format!("everybody may write it (mode {:04o})", mode & 0o7777)),
        (true, false) => Some(format!("its group may write it (mode {:04o})", mode & 0o7777)),
        (false, false) => None,
    }
}

fn whole(path: &Path, what: String, consequence: &str, remedy: &str) -> Problem {
    Problem {
        file: path.to_owned(),
        line: 0,
        column: 0,
        key: String::new(),
        what,
        consequence: consequence.into(),
        remedy: remedy.into(),
    }
}

/// Parses a text.
///
/// # Errors
/// All problems in it, in the order of the text.
pub fn parse(path: &Path, text: &str) -> Result<Loaded, ConfigError> {
    let mut reading = Reading {
        path: text::escape(path.as_os_str().as_encoded_bytes()),
        report: Report::new(path, text, REFUSED),
        config: Config::defaults(),
        values: BTreeMap::new(),
        wrong: BTreeSet::new(),
    };
    let table = reading.report.parse();
    reading.tables(&table);
    reading.cross_checks();
    let problems = reading.report.finish();
    if problems.is_empty() {
        Ok(Loaded { config: reading.config, warnings: Vec::new() })
    } else {
        Err(ConfigError::Problems(problems))
    }
}

struct Reading<'a> {
    path: String,
    report: Report<'a>,
    config: Config,
    /// Where the value of each key stands.
    values: BTreeMap<&'static str, Range<usize>>,
    /// Keys whose value could not be taken: what it is compared with is not what the user meant.
    wrong: BTreeSet<&'static str>,
}

impl Reading<'_> {
    fn tables(&mut self, table: &DeTable<'_>) {
        let mut blocks = None;
        for (name, value) in table {
            let head: &str = name.get_ref();
            let mut heads = KEYS.iter().map(|key| key.table());
            if head == TABLE {
                blocks = Some((name.span(), value));
                continue;
            }
            match value.get_ref().as_table() {
                Some(entries) if heads.any(|known| known == head) => self.entries(head, entries),
                Some(_) => {
                    let remedy = match nearest(head, KEYS.iter().map(|key| key.table())) {
                        Some(known) => format!("did you mean [{known}]?"),
                        None => {
                            "remove it, or see `tetherd print-config` for the tables there are".to_owned()
                        }
                    };
                    self.report.add(name.span(), head, "unknown table", remedy);
                }
                None if heads.any(|known| known == head) => {
                    let remedy = format!("write [{head}] on a line of its own, and its keys below");
                    self.report.add(name.span(), head, "this is no table", remedy);
                }
                None => self.unknown(name.span(), head),
            }
        }
        // Last: what a block contradicts may stand in any table.
        if let Some((name, value)) = blocks {
            self.blocks(name, value);
        }
    }

    fn blocks(&mut self, name: Range<usize>, value: &Spanned<DeValue<'_>>) {
        let list = value.get_ref().as_array();
        let tables = list.and_then(|list| {
            list.iter()
                .map(|entry| Some((entry.span(), entry.get_ref().as_table()?)))
                .collect::<Option<Vec<_>>>()
        });
        let Some(tables) = tables else {
            let remedy =
                format!("write [[{TABLE}]] on a line of its own, and its keys below, for each destination");
            return self.report.add(name, TABLE, "this is no list of blocks", remedy);
        };
        for (place, entries) in tables {
            self.block(place, entries);
            if self.config.deliver.len() > DESTINATIONS_MAX {
                break;
            }
        }
    }

    fn block(&mut self, place: Range<usize>, entries: &DeTable<'_>) {
        let mut block = Block::default();
        block.places.insert("", self.report.place(place.start));
        let mut places: BTreeMap<&str, Range<usize>> = BTreeMap::new();
        let mut wrong = Vec::new();
        for (name, value) in entries {
            let word: &str = name.get_ref();
            let path = format!("{TABLE}.{word}");
            let Some(key) = BLOCK_KEYS.iter().find(|key| key.name == word) else {
                let remedy = match nearest(word, BLOCK_KEYS.iter().map(|key| key.name)) {
                    Some(known) => format!("did you mean {known}?"),
                    None => "remove it, or see `tetherd print-config` for the keys there are".to_owned(),
                };
                self.report.add(name.span(), &path, "unknown key", remedy);
                continue;
            };
            let read = convert(value);
            match read
                .and_then(|read| (key.set)(&mut block.destination, read).map_err(|what| (value.span(), what)))
            {
                Ok(()) => {
                    let (line, _) = self.report.place(name.span().start);
                    block.origins.insert(key.name, format!("{}:{line}", self.path));
                    block.places.insert(key.name, self.report.place(value.span().start));
                    places.insert(key.name, value.span());
                }
                Err((span, what)) => {
                    wrong.push(key.name);
                    self.report.add(span, &path, what, format!("write {}", key.wants));
                }
            }
        }
        if block.destination.transport == Some(Transport::DevLog) && block.destination.address.is_empty() {
            block.destination.address = SyslogSettings::default().path.to_string_lossy().into_owned();
        }
        for (key, what, remedy) in destinations::check(&block, &wrong, &self.config.deliver, &self.config) {
            let span = places.get(key).cloned().unwrap_or(place.clone());
            self.report.add(span, &format!("{TABLE}.{key}"), what, remedy);
        }
        self.config.deliver.push(block);
    }

    fn entries(&mut self, head: &str, entries: &DeTable<'_>) {
        for (name, value) in entries {
            let known = KEYS.iter().find(|key| key.table() == head && key.name() == name.get_ref());
            match known {
                Some(key) => self.key(key, name.span(), value),
                None => self.unknown(name.span(), &format!("{head}.{}", name.get_ref())),
            }
        }
    }

    /// A key that there is not, at least not in this table.
    fn unknown(&mut self, span: Range<usize>, path: &str) {
        let name = path.rsplit('.').next().unwrap_or(path);
        let elsewhere = KEYS.iter().find(|key| key.name() == name);
        let remedy = match (elsewhere, nearest(path, KEYS.iter().map(|key| key.path))) {
            (Some(key), _) => format!("it belongs into the table [{}]", key.table()),
            (None, Some(known)) => format!("did you mean {known}?"),
            (None, None) => "remove it, or see `tetherd print-config` for the keys there are".to_owned(),
        };
        self.report.add(span, path, "unknown key", remedy);
    }

    fn key(&mut self, key: &'static Key, name: Range<usize>, value: &Spanned<DeValue<'_>>) {
        let outcome = convert(value)
            .and_then(|read| (key.set)(&mut self.config, read).map_err(|what| (value.span(), what)));
        match outcome {
            Ok(()) => {
                let (line, _) = self.report.place(name.start);
                self.config.origins.insert(key.path, format!("{}:{line}", self.path));
                self.values.insert(key.path, value.span());
            }
            Err((span, what)) => {
                self.wrong.insert(key.path);
                self.report.add(span, key.path, what, format!("write {}", key.wants));
            }
        }
    }

    /// Checks that concern two keys; each names the key that the file sets.
    fn cross_checks(&mut self) {
        let Config { spool, engine, syslog, control, .. } = &self.config;
        let mut found: Vec<([&'static str; 2], String, &str)> = Vec::new();
        if spool.max_bytes < spool.segment_bytes.saturating_mul(2) {
            found.push((
                ["spool.max_bytes", "spool.segment_bytes"],
                format!(
                    "spool.max_bytes ({}) is less than two segments of spool.segment_bytes ({})",
                    spool.max_bytes, spool.segment_bytes
                ),
                "raise spool.max_bytes, or lower spool.segment_bytes",
            ));
        }
        for (key, names) in [("watch.commands", &engine.commands), ("watch.shells", &engine.shells)] {
            if let Some(name) = names.iter().find(|name| engine.ignore.contains(name)) {
                let what = format!("{} is in watch.ignore and in {key}", quoted(name));
                found.push((["watch.ignore", key], what, "remove it from one of them"));
            }
        }
        if control.socket == syslog.path {
            found.push((
                ["control.socket", "syslog.path"],
                "control.socket and syslog.path are the same file".into(),
                "give tetherd's own socket a path of its own",
            ));
        }
        for (keys, what, remedy) in found {
            if keys.iter().any(|key| self.wrong.contains(key)) {
                continue;
            }
            if let Some((key, span)) = keys.iter().find_map(|key| Some((*key, self.values.get(key)?.clone())))
            {
                self.report.add(span, key, what, remedy);
            }
        }
    }
}

/// A value in our terms; what is wrong with it, and where, if it has none.
fn convert(value: &Spanned<DeValue<'_>>) -> Result<Value, (Range<usize>, String)> {
    match value.get_ref() {
        DeValue::Boolean(flag) => Ok(Value::Bool(*flag)),
        DeValue::Integer(number) => match unsigned(number) {
            Some(number) => Ok(Value::Number(number)),
            None => Err((value.span(), "this number is out of range".into())),
        },
        DeValue::String(text) => Ok(Value::Text(text.to_string())),
        DeValue::Array(list) => list
            .iter()
            .map(|entry| match entry.get_ref().as_str() {
                Some(text) => Ok(text.to_owned()),
                None => Err((entry.span(), format!("this is no text but {}", kind(entry.get_ref())))),
            })
            .collect::<Result<_, _>>()
            .map(Value::Texts),
        other => Err((value.span(), format!("this is {}", kind(other)))),
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
