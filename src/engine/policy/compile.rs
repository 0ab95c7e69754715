//! From TOML to rules.
//!
//! Owns: the keys of `[[allow]]`, what a rule must have, and whose rule of a name holds. Must not own: matching
//! (`matcher`), reading single values (`values`).

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::AtomicU64;

use toml::de::{DeTable, DeValue};

use crate::engine::policy::matcher::{Matcher, Place};
use crate::engine::policy::report::{PROBLEMS_MAX, Report, nearest, quoted, unsigned};
use crate::engine::policy::values::{self, PeerAt, Value, each, one};
use crate::engine::policy::{Rule, Source};
use crate::model::problem::Problem;
use crate::model::socket::Direction;
use crate::model::stdio::TetherKind;

/// The most rules.
const RULES_MAX: usize = 4096;
/// What every problem leads to.
const KEPT: &str = "no rule of any file is taken over, and those in force stay";
const PATH: &str = "the pattern of an absolute path";
const PORT: &str = "a port or a range like \"8000-8099\"";

/// A rule that was read.
struct Entry {
    rule: Rule,
    enabled: bool,
    shipped: bool,
    /// Where, for messages.
    place: String,
}

/// All rules of all sources.
#[derive(Default)]
struct Compiler {
    entries: Vec<Entry>,
    by_name: HashMap<String, usize>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

/// Compiles the shipped rules and then the others, in order: rules and warnings, or all problems.
pub fn compile(shipped: &Source, sources: &[Source]) -> Result<(Vec<Rule>, Vec<Problem>), Vec<Problem>> {
    let mut compiler = Compiler::default();
    compiler.source(shipped, true);
    sources.iter().for_each(|source| compiler.source(source, false));
    if !compiler.problems.is_empty() {
        return Err(compiler.problems);
    }
    let unlisted = compiler.warnings.len().saturating_sub(PROBLEMS_MAX);
    compiler.warnings.truncate(PROBLEMS_MAX);
    if let Some(last) = compiler.warnings.last_mut().filter(|_| unlisted > 0) {
        last.what.push_str(&format!(" (and {unlisted} warnings more are not listed)"));
    }
    let rules = compiler.entries.into_iter().filter(|entry| entry.enabled).map(|entry| entry.rule);
    Ok((rules.collect(), compiler.warnings))
}

impl Compiler {
    fn source(&mut self, source: &Source, shipped: bool) {
        let mut report = Report::new(&source.file, &source.text, KEPT);
        for (key, value) in &report.parse() {
            let list = value.get_ref().as_array().filter(|_| key.get_ref() == "allow");
            let Some(list) = list else {
                report.add(key.span(), key.get_ref(), "this is no rule", "write rules as [[allow]] tables");
                continue;
            };
            for entry in list {
                match entry.get_ref().as_table() {
                    Some(table) => self.rule(&mut report, source, shipped, table, entry.span()),
                    None => report.add(entry.span(), "allow", "this is no table", "write [[allow]]"),
                }
            }
        }
        self.problems.append(&mut report.finish());
    }

    fn rule(
        &mut self,
        report: &mut Report<'_>,
        source: &Source,
        shipped: bool,
        table: &DeTable<'_>,
        span: Range<usize>,
    ) {
        let before = report.count();
        let Some(draft) = Draft::read(report, source, table, &span) else { return };
        if report.count() > before {
            return;
        }
        let Draft { rule, enabled, asked } = draft;
        let name = rule.name.clone();
        let known = self.by_name.get(&name).copied();
        let warnings = &mut self.warnings;
        let mut warn = |what: &str, consequence: &str, remedy: String| {
            let key = format!("allow.{name}");
            warnings.push(report.note(span.start, &key, what.into(), consequence.into(), remedy));
        };
        if enabled && rule.expires_ns.is_some_and(|end| end <= source.read_ns) {
            warn("the rule has expired", "it excuses nothing", "remove it, or give it a later date".into());
        }
        if enabled && asked == ["pod_label"] {
            let what = "it asks for a pod's label alone";
            let consequence = "whoever may make a pod in any namespace can give it that label";
            warn(what, consequence, "name the namespace or the image too".into());
        }
        if enabled && asked == ["arguments"] {
            let what = "it asks for arguments alone";
            warn(what, "anybody can give any program these arguments", "name the executable too".into());
        }
        if known.is_none() && !enabled && asked.is_empty() {
            let shipped = self.entries.iter().filter(|entry| entry.shipped);
            let remedy = match nearest(&name, shipped.map(|entry| entry.rule.name.as_str())) {
                Some(near) => format!("did you mean {}?", quoted(near)),
                None => "remove it".to_owned(),
            };
            return warn("no rule of this name came before", "nothing is switched off", remedy);
        }
        let place = format!("{}:{}", source.file.display(), report.place(span.start).0);
        let entry = Entry { rule, enabled, shipped, place };
        let full = self.entries.len() >= RULES_MAX;
        match known.and_then(|at| self.entries.get_mut(at)) {
            Some(older) if older.shipped && !shipped => *older = entry,
            Some(older) => {
                let what = format!("the name {} is taken by the rule at {}", quoted(&name), older.place);
                report.add(span, "name", what, "give each rule a name of its own");
            }
            None if full => {
                report.add(span, "allow", format!("there are more than {RULES_MAX} rules"), "join some");
            }
            None => {
                self.by_name.insert(name, self.entries.len());
                self.entries.push(entry);
            }
        }
    }
}

/// How to read what one key asks.
type Ask = fn(&mut Report<'_>, &Source, &mut Matcher, &str, &Value<'_>);

/// The keys that ask something of a candidate.
const ASKS: [(&str, Ask); 15] = [
    ("executable", |report, _, matcher, key, value| {
        matcher.executable = each(report, key, value, PATH, values::path_pattern);
    }),
    ("arguments", |report, _, matcher, key, value| {
        matcher.arguments = each(report, key, value, "a pattern", values::pattern);
    }),
    ("ancestor", |report, _, matcher, key, value| {
        matcher.ancestor = each(report, key, value, PATH, values::path_pattern);
    }),
    ("user", |report, source, matcher, key, value| {
        matcher.user = each(report, key, value, "a user of /etc/passwd or a user id", |value| match value {
            DeValue::Integer(number) => unsigned(number).and_then(|id| u32::try_from(id).ok()),
            DeValue::String(name) => source.users.get(name.as_ref()).copied(),
            _ => None,
        });
    }),
    ("peer", |report, _, matcher, key, value| {
        let wants = "a network like 10.0.0.0/8, or loopback, link-local, private, public, unconnected";
        for peer in each(report, key, value, wants, values::peer) {
            match peer {
                PeerAt::Network(network) => matcher.peer.push(network),
                PeerAt::Scope(scope) => matcher.scope.push(scope),
            }
        }
    }),
    ("port", |report, _, matcher, key, value| matcher.port = each(report, key, value, PORT, values::ports)),
    ("local_port", |report, _, matcher, key, value| {
        matcher.local_port = each(report, key, value, PORT, values::ports);
    }),
    ("direction", |report, _, matcher, key, value| {
        matcher.direction = one(report, key, value, "inbound or outbound", |value| {
            [Direction::Inbound, Direction::Outbound]
                .into_iter()
                .find(|way| value.as_str() == Some(way.name()))
        });
    }),
    ("tether", |report, _, matcher, key, value| {
        matcher.tether = one(report, key, value, "direct or relayed", |value| {
            [TetherKind::Direct, TetherKind::Relayed].into_iter().find(|it| value.as_str() == Some(it.name()))
        });
    }),
    ("row", |report, _, matcher, key, value| {
        matcher.row = each(report, key, value, "a row's number, 1 to 9", values::row);
    }),
    ("container", |report, _, matcher, key, value| {
        let wants = "host, any, or the pattern of a container's id";
        matcher.place = one(report, key, value, wants, |value| match value.as_str()? {
            "" => None,
            "host" => Some(Place::Host),
            "any" => Some(Place::Any),
            id => Some(Place::Container(id.to_owned())),
        });
    }),
    ("container_image", |report, _, matcher, key, value| {
        matcher.images = each(report, key, value, "a pattern", values::line);
    }),
    ("namespace", |report, _, matcher, key, value| {
        matcher.namespaces = each(report, key, value, "a pattern", values::line);
    }),
    ("pod_label", |report, _, matcher, key, value| {
        matcher.labels = each(report, key, value, "a label like app=echo", |value| {
            values::line(value).filter(|label| label.split_once('=').is_some_and(|(key, _)| !key.is_empty()))
        });
    }),
    ("relay", |report, _, matcher, key, value| {
        matcher.relay = each(report, key, value, PATH, values::path_pattern);
    }),
];

/// The keys that every rule has.
const PLAIN: [&str; 4] = ["name", "reason", "expires", "enabled"];

/// A rule being read.
struct Draft {
    rule: Rule,
    enabled: bool,
    /// The keys that ask something.
    asked: Vec<&'static str>,
}

impl Draft {
    /// Reads a table, naming all its problems; `None` where not even a name could be read.
    fn read(
        report: &mut Report<'_>,
        source: &Source,
        table: &DeTable<'_>,
        span: &Range<usize>,
    ) -> Option<Self> {
        let mut matcher = Matcher::default();
        let (mut name, mut reason, mut expires_ns, mut enabled) = (None, None, None, true);
        let mut asked = Vec::new();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                word @ "name" => name = one(report, word, value, "a line of text", values::line),
                word @ "reason" => reason = one(report, word, value, "a line of text", values::line),
                word @ "expires" => {
                    expires_ns = one(report, word, value, "a date like 2027-01-31", values::date);
                }
                word @ "enabled" => {
                    enabled =
                        one(report, word, value, "true or false", |value| value.as_bool()).unwrap_or(true);
                }
                word => match ASKS.iter().find(|(known, _)| *known == word) {
                    Some((known, ask)) => {
                        asked.push(*known);
                        ask(report, source, &mut matcher, known, value);
                    }
                    None => {
                        let known = PLAIN.into_iter().chain(ASKS.iter().map(|(known, _)| *known));
                        let remedy = match nearest(word, known) {
                            Some(known) => format!("did you mean {known}?"),
                            None => "remove it".to_owned(),
                        };
                        report.add(key.span(), word, "unknown key", remedy);
                    }
                },
            }
        }
        // What is missing may stand in a line that could not be read.
        let mut missing = |key: &str, what: &str, remedy: &str| {
            if !report.is_broken() {
                report.add(span.clone(), key, what, remedy);
            }
        };
        if name.is_none() && !table.contains_key("name") {
            missing("name", "the rule has no name", "give it a name of its own");
        }
        if reason.is_none() && enabled && !table.contains_key("reason") {
            missing("reason", "the rule has no reason", "say why this is no finding");
        }
        if asked.is_empty() && enabled {
            let what = "the rule asks nothing, and would excuse everything";
            missing("", what, "name an executable, a peer, a port, ...");
        }
        let inside = matches!(matcher.place, Some(Place::Any | Place::Container(_)))
            || asked.iter().any(|key| matches!(*key, "namespace" | "pod_label"));
        let path = asked.iter().find(|key| matches!(**key, "executable" | "ancestor"));
        if let Some(key) = path.filter(|_| inside && !asked.contains(&"container_image")) {
            let what = "a path proves nothing inside a container, where anybody may have made the file";
            report.add(span.clone(), key, what, "name the container_image, or remove the path");
        }
        let of_container =
            asked.iter().find(|key| matches!(**key, "container_image" | "namespace" | "pod_label"));
        if let Some(key) = of_container.filter(|_| matcher.place == Some(Place::Host)) {
            let what = "on the host there is none: the rule would excuse nothing";
            report.add(span.clone(), key, what, "remove it, or remove container = \"host\"");
        }
        let reason = reason.unwrap_or_default();
        let rule = Rule { name: name?, reason, expires_ns, matcher, hits: AtomicU64::new(0) };
        Some(Self { rule, enabled, asked })
    }
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
