//! Reading a configuration file.
//!
//! Owns: the file's safety, TOML's syntax with places, and collecting all problems in one run. Must not own: what each
//! key wants (`keys`).

use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use crate::config::keys::{KEYS, Key, Value};
use crate::config::{Config, ConfigError, Loaded};
use crate::engine::policy::compile::{nearest, place};
use crate::model::problem::Problem;

/// The longest file.
const FILE_MAX: u64 = 1 << 20;

/// Reads the text; refuses files that others than root may write while running as root.
pub fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let found = file.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Err(unreadable(std::io::Error::other("it is no regular file")));
    }
    if nix::unistd::geteuid().is_root() && (found.uid() != 0 || found.mode() & 0o022 != 0) {
        return Err(ConfigError::Problems(vec![whole_file(
            path,
            "it is not owned by root, or others may write it".into(),
            "whoever may write it could switch the detection off",
            "chown root and chmod go-w the file",
        )]));
    }
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(unreadable(std::io::Error::other("it is larger than 1 MiB")));
    }
    String::from_utf8(bytes).map_err(|_| unreadable(std::io::Error::other("it is not UTF-8")))
}

fn whole_file(path: &Path, what: String, consequence: &str, remedy: &str) -> Problem {
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

/// Parses a text; every problem is named.
pub fn parse(path: &Path, text: &str) -> Result<Loaded, ConfigError> {
    let mut reading = Reading { path, text, config: Config::defaults(), problems: Vec::new() };
    match DeTable::parse(text) {
        Ok(table) => reading.tables(table.get_ref()),
        Err(error) => {
            let what = error.message().lines().collect::<Vec<_>>().join(" ");
            reading.problem(error.span().unwrap_or(0..0), "", what, "correct the TOML syntax".into());
        }
    }
    reading.cross_checks();
    if reading.problems.is_empty() {
        Ok(Loaded { config: reading.config, warnings: Vec::new() })
    } else {
        Err(ConfigError::Problems(reading.problems))
    }
}

struct Reading<'a> {
    path: &'a Path,
    text: &'a str,
    config: Config,
    problems: Vec<Problem>,
}

impl Reading<'_> {
    fn problem(&mut self, span: Range<usize>, key: &str, what: String, remedy: String) {
        let (line, column) = place(self.text, span.start);
        let consequence = "tetherd does not start with it, and a reload keeps what is in force".to_owned();
        let (file, key) = (self.path.to_owned(), key.to_owned());
        self.problems.push(Problem { file, line, column, key, what, consequence, remedy });
    }

    fn tables(&mut self, table: &DeTable<'_>) {
        for (name, value) in table {
            let head: &str = name.get_ref();
            let heads = KEYS.iter().filter_map(|key| key.path.split('.').next());
            if !heads.clone().any(|known| known == head) {
                self.problem(name.span(), head, "unknown table".into(), nearest(head, heads));
                continue;
            }
            let Some(entries) = value.get_ref().as_table() else {
                self.problem(
                    name.span(),
                    head,
                    "this is no table".into(),
                    format!("write [{head}] on a line"),
                );
                continue;
            };
            for (name, value) in entries {
                let path = format!("{head}.{}", name.get_ref());
                match KEYS.iter().find(|key| key.path == path) {
                    Some(key) => self.key(key, name.span(), value.span(), value.get_ref()),
                    None => {
                        let remedy = nearest(&path, KEYS.iter().map(|key| key.path));
                        self.problem(name.span(), &path, "unknown key".into(), remedy);
                    }
                }
            }
        }
    }

    fn key(&mut self, key: &'static Key, name: Range<usize>, span: Range<usize>, value: &DeValue<'_>) {
        let outcome = match convert(value) {
            Some(value) => (key.set)(&mut self.config, value),
            None => Err("this has the wrong type".into()),
        };
        match outcome {
            Ok(()) => {
                let (line, _) = place(self.text, name.start);
                self.config.origins.insert(key.path, format!("{}:{line}", self.path.display()));
            }
            Err(what) => self.problem(span, key.path, what, format!("write {}", key.wants)),
        }
    }

    fn cross_checks(&mut self) {
        let spool = &self.config.spool;
        if spool.max_bytes < 2 * spool.segment_bytes {
            self.problems.push(Problem {
                key: "spool.max_bytes".into(),
                ..whole_file(
                    self.path,
                    "it is less than two segments (spool.segment_bytes)".into(),
                    "the spool could keep nothing but the segment being written",
                    "raise spool.max_bytes or lower spool.segment_bytes",
                )
            });
        }
    }
}

fn convert(value: &DeValue<'_>) -> Option<Value> {
    Some(match value {
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Integer(number) => {
            let digits = number.as_str().replace('_', "");
            Value::Number(u64::from_str_radix(&digits, number.radix()).ok()?)
        }
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Array(list) => {
            let texts: Option<Vec<String>> =
                list.iter().map(|entry| entry.get_ref().as_str().map(str::to_owned)).collect();
            Value::Texts(texts?)
        }
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Table(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn problems(text: &str) -> String {
        match parse(Path::new("t.toml"), text) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_problem_in_one_run() {
        let found = problems(
            "[spool]\ndirectoy = \"/x\"\nsegment_bytes = \"1 parsec\"\n[syslog]\nfacility = \"nobody\"\n[spol]\na = 1\n\
             [sensor]\nrealtime = 3\nsocket_lookup = []\ncanary_seconds = 0\n",
        );
        for part in [
            "t.toml:2:1: spool.directoy: unknown key;",
            "did you mean spool.directory?",
            "t.toml:3:17: spool.segment_bytes: this is no number or size;",
            "t.toml:5:12: syslog.facility: \"nobody\" is no facility;",
            "spol: unknown table;",
            "did you mean spool?",
            "t.toml:9:12: sensor.realtime: this is not true or false;",
            "sensor.socket_lookup: the list is empty;",
            "sensor.canary_seconds: 0 is out of range;",
        ] {
            assert!(found.contains(part), "{part} in\n{found}");
        }
    }

    #[test]
    fn syntax_errors_have_a_place() {
        assert!(problems("[spool]\ndirectory = \n").starts_with("t.toml:2:"));
    }

    #[test]
    fn what_is_printed_reads_back() {
        let text = "[spool]\nsegment_bytes = \"1MiB\"\ndirectory = \"/srv/\\u00e9\"\n[watch]\ncommands = [\"a\", \"b\"]\n";
        let loaded = parse(Path::new("t.toml"), text).unwrap().config;
        assert_eq!(loaded.spool.segment_bytes, 1 << 20);
        assert!(loaded.print().contains("segment_bytes = 1048576 # t.toml:2"));
        let mut again = parse(Path::new("u.toml"), &loaded.print()).unwrap().config;
        again.origins = loaded.origins.clone();
        assert_eq!(again, loaded);
    }

    #[test]
    fn the_shipped_file_shows_every_default() {
        let shipped = include_str!("../../conf/tetherd.toml");
        assert_eq!(parse(Path::new("s.toml"), shipped).unwrap().config, Config::defaults());
        let uncommented: String = shipped
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', '#'])).unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .collect();
        let mut all = parse(Path::new("s.toml"), &uncommented).unwrap().config;
        assert_eq!(all.origins.len(), KEYS.len());
        all.origins.clear();
        assert_eq!(all, Config::defaults());
    }

    proptest! {
        #[test]
        fn any_text_is_safe(text in "(\\[[a-z]{0,6}\\]\n)?([a-z_.]{1,9} ?= ?[ -~]{0,9}\n){0,5}") {
            problems(&text);
        }
    }
}
