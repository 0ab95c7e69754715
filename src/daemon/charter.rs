//! What a run goes by.
//!
//! Owns: every key's value and every rules file's hash, their digests, and how two of them differ. Must not own: reading
//! them (`config`), telling (`journal`).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::engine::policy::Source;
use crate::model::text::{cut, hexadecimal};

/// The longest value that is told, in bytes.
const VALUE_MAX: usize = 300;
/// What a reload takes over; the rest takes a restart.
const RELOADED: [&str; 3] = ["watch.", "incident.", "rules."];
/// A key with one of these in its name has a value that nobody is told.
const SECRET: [&str; 3] = ["password", "secret", "token"];

/// Configuration and rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charter {
    values: BTreeMap<String, String>,
    /// SHA-256 of each file's text.
    rules: BTreeMap<String, String>,
}

impl Charter {
    /// Of a configuration and the rules that were read by it.
    pub fn new(config: &Config, sources: &[Source]) -> Self {
        let name = |source: &Source| source.file.to_string_lossy().into_owned();
        let hash = |source: &Source| hexadecimal(&Sha256::digest(&source.text));
        let rules = sources.iter().map(|source| (name(source), hash(source))).collect();
        Self { values: config.values(), rules }
    }

    /// SHA-256 of all keys and values, one `key = value` a line, in the order of the keys: 64 hexadecimal digits.
    pub fn config_sha256(&self) -> String {
        digest(&self.values)
    }

    /// SHA-256 of all files of rules, one `name = hash` a line, in the order of the names.
    pub fn rules_sha256(&self) -> String {
        digest(&self.rules)
    }

    /// How many files of rules there are.
    pub fn rules_files(&self) -> usize {
        self.rules.len()
    }

    /// The keys that another has otherwise: old and new value, as TOML, and whether it takes a restart.
    pub fn changed_keys(&self, new: &Self) -> Vec<Value> {
        let told = |key: &str, value: Option<&String>| match value {
            Some(_) if SECRET.iter().any(|word| key.contains(word)) => json!("(not told)"),
            Some(value) => json!(cut(value, VALUE_MAX)),
            None => Value::Null,
        };
        let one = |key: &str| {
            let restart = !RELOADED.iter().any(|table| key.starts_with(table));
            let (old, new) = (told(key, self.values.get(key)), told(key, new.values.get(key)));
            json!({ "key": key, "old": old, "new": new, "takesRestart": restart })
        };
        differences(&self.values, &new.values).map(one).collect()
    }

    /// The files of rules that another has otherwise.
    pub fn changed_rules(&self, new: &Self) -> Value {
        let (mut added, mut removed, mut changed) = (Vec::new(), Vec::new(), Vec::new());
        for name in differences(&self.rules, &new.rules) {
            match (self.rules.contains_key(name), new.rules.contains_key(name)) {
                (true, true) => changed.push(name),
                (true, false) => removed.push(name),
                _ => added.push(name),
            }
        }
        json!({ "added": added, "removed": removed, "changed": changed })
    }
}

fn differences<'a>(
    old: &'a BTreeMap<String, String>,
    new: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = &'a str> {
    let mut names: Vec<&str> = old.keys().chain(new.keys()).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().filter(|name| old.get(*name) != new.get(*name))
}

fn digest(entries: &BTreeMap<String, String>) -> String {
    let mut sum = Sha256::new();
    for (name, value) in entries {
        sum.update(format!("{name} = {value}\n"));
    }
    hexadecimal(&sum.finalize())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn charter(text: &str, rules: &[(&str, &str)]) -> Charter {
        let config = crate::config::file::parse(Path::new("t.toml"), text).unwrap().config;
        let sources: Vec<Source> = rules.iter().map(|(file, text)| Source::new(*file, *text)).collect();
        Charter::new(&config, &sources)
    }

    #[test]
    fn what_differs_is_told() {
        let old = charter("[incident]\nreissue_seconds = 2\n", &[("a.toml", "x"), ("b.toml", "y")]);
        let same = charter("[incident]\nreissue_seconds = 2 # two\n", &[("a.toml", "x"), ("b.toml", "y")]);
        assert_eq!((old.config_sha256(), old.rules_sha256()), (same.config_sha256(), same.rules_sha256()));
        let block = "[[deliver]]\nname = \"siem\"\ntransport = \"tcp\"\naddress = \"siem.example:601\"\n";
        let text = format!("[spool]\nmax_days = 9\n{block}");
        let new = charter(&text, &[("b.toml", "z"), ("c.toml", "x")]);
        assert_ne!((old.config_sha256(), old.rules_sha256()), (new.config_sha256(), new.rules_sha256()));
        let keys = old.changed_keys(&new);
        let found = |key: &str| keys.iter().find(|change| change["key"] == key).cloned().unwrap_or_default();
        assert_eq!(
            found("incident.reissue_seconds"),
            json!({"key": "incident.reissue_seconds", "old": "2", "new": "1", "takesRestart": false})
        );
        assert_eq!(found("spool.max_days")["takesRestart"], true);
        assert_eq!(found("deliver.siem.address")["new"], "\"siem.example:601\"");
        assert_eq!(found("deliver.siem.address")["old"], Value::Null);
        assert_eq!(found("spool.max_bytes"), Value::Null);
        let files = json!({"added": ["c.toml"], "removed": ["a.toml"], "changed": ["b.toml"]});
        assert_eq!(old.changed_rules(&new), files);
        assert!(old.changed_keys(&same).is_empty());
    }

    #[test]
    fn secrets_stay_secret() {
        let of = |value: &str| Charter {
            values: BTreeMap::from([("deliver.x.token".into(), value.into())]),
            ..Charter::default()
        };
        let told = of("a").changed_keys(&of("b"));
        assert_eq!((&told[0]["old"], &told[0]["new"]), (&json!("(not told)"), &json!("(not told)")));
    }
}
