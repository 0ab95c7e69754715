//! From TOML to rules.
//!
//! Owns: the grammar of `[[allow]]`, and naming every problem with its place. Must not own: matching.

use std::ops::Range;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::engine::policy::matcher::{Matcher, Network, Place};
use crate::engine::policy::{Rule, Source};
use crate::model::clock::parse_rfc3339;
use crate::model::problem::Problem;
use crate::model::socket::{Direction, Scope};
use crate::model::stdio::TetherKind;

/// The most rules.
const RULES_MAX: usize = 4096;
/// The most values of one key.
const VALUES_MAX: usize = 256;
/// The keys of a rule.
const KEYS: [&str; 18] = [
    "name",
    "reason",
    "expires",
    "enabled",
    "executable",
    "arguments",
    "ancestor",
    "user",
    "peer",
    "port",
    "local_port",
    "direction",
    "tether",
    "row",
    "container",
    "container_image",
    "namespace",
    "pod_label",
];
const KEPT: &str = "the rules in force stay as they are";

type Value<'a> = Spanned<DeValue<'a>>;

/// Compiles sources in order: rules, problems, warnings.
pub fn compile<'s>(sources: impl Iterator<Item = &'s Source>) -> (Vec<Rule>, Vec<Problem>, Vec<Problem>) {
    let mut rules: Vec<Rule> = Vec::new();
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    for source in sources {
        let mut file = Reader { path: &source.file, text: &source.text, problems: &mut problems };
        file.rules(&mut rules, &mut warnings);
    }
    (rules, problems, warnings)
}

/// Line and column, from 1, of a byte in a text.
pub fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before.get(line_start..).unwrap_or_default().chars().count() + 1)
}

struct Reader<'s, 'p> {
    path: &'s Path,
    text: &'s str,
    problems: &'p mut Vec<Problem>,
}

impl Reader<'_, '_> {
    fn problem(&mut self, span: Range<usize>, key: &str, what: String, remedy: &str) {
        let (line, column) = place(self.text, span.start);
        self.problems.push(Problem {
            file: self.path.to_owned(),
            line,
            column,
            key: key.to_owned(),
            what,
            consequence: KEPT.to_owned(),
            remedy: remedy.to_owned(),
        });
    }

    fn rules(&mut self, rules: &mut Vec<Rule>, warnings: &mut Vec<Problem>) {
        let table = match DeTable::parse(self.text) {
            Ok(table) => table,
            Err(error) => {
                let what = error.message().to_owned();
                return self.problem(error.span().unwrap_or(0..0), "", what, "correct the TOML syntax");
            }
        };
        for (key, value) in table.get_ref() {
            let name: &str = key.get_ref();
            if name != "allow" {
                self.problem(
                    key.span(),
                    name,
                    "unknown key".into(),
                    "a file of rules holds [[allow]] tables only",
                );
                continue;
            }
            let Some(list) = value.get_ref().as_array() else {
                self.problem(value.span(), name, "this is no list of tables".into(), "write [[allow]]");
                continue;
            };
            for entry in list.iter() {
                let Some(table) = entry.get_ref().as_table() else {
                    self.problem(entry.span(), name, "this is no table".into(), "write [[allow]]");
                    continue;
                };
                let before = self.problems.len();
                let Some((rule, enabled)) = self.rule(table, entry.span()) else { continue };
                if self.problems.len() > before {
                    continue;
                }
                if rules.len() >= RULES_MAX {
                    self.problem(
                        entry.span(),
                        name,
                        format!("more than {RULES_MAX} rules"),
                        "join some of them",
                    );
                    return;
                }
                if rule.expires_ns.is_some_and(|end| end <= now_ns()) {
                    let (line, column) = place(self.text, entry.span().start);
                    warnings.push(Problem {
                        file: self.path.to_owned(),
                        line,
                        column,
                        key: rule.name.clone(),
                        what: "the rule has expired".into(),
                        consequence: "it excuses nothing".into(),
                        remedy: "remove it, or give it a later date".into(),
                    });
                }
                rules.retain(|known| known.name != rule.name);
                if enabled {
                    rules.push(rule);
                }
            }
        }
    }

    fn rule(&mut self, table: &DeTable<'_>, span: Range<usize>) -> Option<(Rule, bool)> {
        let mut rule = Rule {
            name: String::new(),
            reason: String::new(),
            expires_ns: None,
            matcher: Matcher::default(),
            hits: AtomicU64::new(0),
        };
        let mut enabled = true;
        let mut asks = 0;
        for (key, value) in table {
            let name: &str = key.get_ref();
            match name {
                "name" => rule.name = self.one(name, value)?,
                "reason" => rule.reason = self.one(name, value)?,
                "expires" => rule.expires_ns = self.date(name, value),
                "enabled" => match value.get_ref().as_bool() {
                    Some(value) => enabled = value,
                    None => self.problem(
                        value.span(),
                        name,
                        "this is not true or false".into(),
                        "write true or false",
                    ),
                },
                _ if KEYS.contains(&name) => {
                    asks += 1;
                    self.matcher(&mut rule.matcher, name, value);
                }
                _ => {
                    let nearest = nearest(name, KEYS.iter().copied());
                    self.problem(key.span(), name, "unknown key".into(), &nearest);
                }
            }
        }
        if rule.name.is_empty() {
            self.problem(span.clone(), "name", "the rule has no name".into(), "give it a name of its own");
        }
        if rule.reason.is_empty() && enabled {
            self.problem(
                span.clone(),
                "reason",
                "the rule has no reason".into(),
                "say why this is no finding",
            );
        }
        if asks == 0 && enabled {
            let what = "the rule asks nothing, and would excuse everything".into();
            self.problem(span, &rule.name.clone(), what, "name an executable, a peer, a port, ...");
        }
        Some((rule, enabled))
    }

    fn matcher(&mut self, matcher: &mut Matcher, key: &str, value: &Value<'_>) {
        let texts = self.texts(key, value);
        let span = value.span();
        match key {
            "executable" => matcher.executable = texts,
            "arguments" => matcher.arguments = texts,
            "ancestor" => matcher.ancestor = texts,
            "container_image" | "namespace" | "pod_label" => matcher.wants_pod = true,
            "user" => matcher.user = self.each(key, span, texts, "a user id", |text| text.parse().ok()),
            "row" => matcher.row = self.each(key, span, texts, "a row's number, 1 to 9", |t| t.parse().ok()),
            "port" => matcher.port = self.each(key, span, texts, "a port or a range like 8000-8099", ports),
            "local_port" => {
                matcher.local_port = self.each(key, span, texts, "a port or a range like 8000-8099", ports);
            }
            "peer" => {
                let wanted =
                    "a network like 10.0.0.0/8, or loopback, link-local, private, public, unconnected";
                for peer in self.each(key, span, texts, wanted, peer) {
                    match peer {
                        Ok(network) => matcher.peer.push(network),
                        Err(scope) => matcher.scope.push(scope),
                    }
                }
            }
            "direction" => {
                let found = self.each(key, span, texts, "inbound or outbound", |text| match text {
                    "inbound" => Some(Direction::Inbound),
                    "outbound" => Some(Direction::Outbound),
                    _ => None,
                });
                matcher.direction = found.first().copied();
            }
            "tether" => {
                let found = self.each(key, span, texts, "direct or relayed", |text| match text {
                    "direct" => Some(TetherKind::Direct),
                    "relayed" => Some(TetherKind::Relayed),
                    _ => None,
                });
                matcher.tether = found.first().copied();
            }
            _ => {
                matcher.place = texts.first().map(|text| match text.as_str() {
                    "host" => Place::Host,
                    "any" => Place::Any,
                    id => Place::Container(id.to_owned()),
                });
            }
        }
    }

    fn each<T>(
        &mut self,
        key: &str,
        span: Range<usize>,
        texts: Vec<String>,
        wanted: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Vec<T> {
        let mut found = Vec::new();
        for text in texts {
            match read(&text) {
                Some(value) => found.push(value),
                None => {
                    self.problem(span.clone(), key, format!("{text:?} is not {wanted}"), "correct the value")
                }
            }
        }
        found
    }

    fn one(&mut self, key: &str, value: &Value<'_>) -> Option<String> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.problem(value.span(), key, "this is no text".into(), "write it in quotes");
        }
        text.map(str::to_owned)
    }

    /// A text, a number, or a list of them.
    fn texts(&mut self, key: &str, value: &Value<'_>) -> Vec<String> {
        let entries: Vec<&Value<'_>> = match value.get_ref().as_array() {
            Some(list) => list.iter().take(VALUES_MAX).collect(),
            None => vec![value],
        };
        let mut texts = Vec::new();
        for entry in entries {
            match entry.get_ref() {
                DeValue::String(text) => texts.push(text.to_string()),
                DeValue::Integer(number) => texts.push(number.as_str().to_owned()),
                _ => {
                    self.problem(entry.span(), key, "this is no text or number".into(), "write it in quotes")
                }
            }
        }
        if texts.is_empty() {
            self.problem(value.span(), key, "the list is empty".into(), "name something, or remove the key");
        }
        texts
    }

    fn date(&mut self, key: &str, value: &Value<'_>) -> Option<u64> {
        let text = match value.get_ref() {
            DeValue::Datetime(date) => date.to_string(),
            DeValue::String(text) => text.to_string(),
            _ => String::new(),
        };
        let whole = if text.len() == 10 { format!("{text}T00:00:00Z") } else { text };
        let found = parse_rfc3339(&whole);
        if found.is_none() {
            self.problem(value.span(), key, "this is no date".into(), "write it as 2027-01-31");
        }
        found
    }
}

fn ports(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some((first, last))
}

fn peer(text: &str) -> Option<Result<Network, Scope>> {
    let scopes = [Scope::Loopback, Scope::LinkLocal, Scope::Private, Scope::Public, Scope::Unconnected];
    if let Some(scope) = scopes.into_iter().find(|scope| scope.name() == text) {
        return Some(Err(scope));
    }
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address.parse().ok()?, bits.parse().ok()?),
        None => {
            let address: std::net::IpAddr = text.parse().ok()?;
            (address, if address.is_ipv4() { 32 } else { 128 })
        }
    };
    let widest = if address.is_ipv4() { 32 } else { 128 };
    (bits <= widest).then_some(Ok(Network { address, bits }))
}

/// Compiling happens at start and on reload, where a warning may depend on today; matching gets its time from events.
fn now_ns() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |time| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX))
}

/// The remedy for an unknown key.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let best = known.map(|key| (strsim::damerau_levenshtein(key, name), key)).min();
    match best {
        Some((distance, key)) if distance <= 1 + name.len() / 3 => format!("did you mean {key}?"),
        _ => "remove it, or see `tetherd print-config`".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::policy::RuleSet;
    use proptest::prelude::*;

    fn problems(text: &str) -> Vec<String> {
        let source = Source { file: "r.toml".into(), text: text.into() };
        match RuleSet::compile(&[source]) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn the_shipped_rules_compile() {
        assert!(RuleSet::shipped().len() > 2);
    }

    #[test]
    fn every_problem_in_one_run() {
        let found = problems(
            "[[allow]]\nname = \"a\"\nexecutabel = \"/x\"\nport = 99999\npeer = [\"10.0.0.0/64\"]\n",
        );
        let text = found.join("\n");
        assert!(text.contains("r.toml:3:1: executabel: unknown key"), "{text}");
        assert!(text.contains("did you mean executable?"), "{text}");
        assert!(text.contains("r.toml:4:8: port: \"99999\" is not a port"), "{text}");
        assert!(text.contains("is not a network"), "{text}");
        assert!(text.contains("the rule has no reason"), "{text}");
    }

    #[test]
    fn a_rule_must_ask_something() {
        assert!(problems("[[allow]]\nname = \"a\"\nreason = \"b\"\n")[0].contains("would excuse everything"));
    }

    #[test]
    fn a_later_rule_replaces_or_removes() {
        let source = |text: &str| Source { file: "r.toml".into(), text: text.into() };
        let off = source("[[allow]]\nname = \"sshd\"\nenabled = false\n");
        let all = RuleSet::shipped().len();
        assert_eq!(RuleSet::compile(&[off]).unwrap().rules.len(), all - 1);
    }

    proptest! {
        #[test]
        fn any_text_is_safe(text in "(\\[\\[allow\\]\\]\n)?([a-z_]{1,9} ?= ?[ -~]{0,9}\n){0,5}") {
            problems(&text);
        }
    }
}
