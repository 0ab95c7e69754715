//! Every kind of problem of a file of rules, with its place.
//!
//! Owns: the tests of `compile`. Must not own: what rules match (`tests/config_files.rs`).

use super::*;
use crate::engine::policy::RuleSet;
use proptest::prelude::*;
use std::sync::Arc;

fn problems(text: &str) -> Vec<String> {
    match RuleSet::compile(&[Source::new("r.toml", text)]) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// A rule with a name and a reason, and `more`.
fn rule(more: &str) -> String {
    format!("[[allow]]\nname = \"a\"\nreason = \"b\"\n{more}\n")
}

fn one_problem(more: &str) -> String {
    let mut found = problems(&rule(more));
    assert_eq!(found.len(), 1, "{more}: {found:?}");
    found.remove(0)
}

#[test]
fn the_shipped_rules_compile() {
    let compiled = RuleSet::compile(&[]).unwrap();
    assert!(compiled.rules.len() > 2);
    assert!(compiled.warnings.is_empty(), "{:?}", compiled.warnings);
}

#[test]
fn every_problem_in_one_run_in_the_order_of_the_text() {
    let found = problems(
        "[[allow]]\nname = \"a\"\nexecutabel = \"/x\"\nport = 99999\npeer = [\"::1\", \"10.0.0.0/64\"]\n\
         [[allow]]\nreason = 3\nrow = 10\n",
    );
    let starts: Vec<&str> = found.iter().filter_map(|text| text.split(';').next()).collect();
    assert_eq!(
        starts,
        [
            "r.toml:1:1: reason: the rule has no reason",
            "r.toml:3:1: executabel: unknown key",
            "r.toml:4:8: port: 99999 is not a port or a range like \"8000-8099\"",
            "r.toml:5:16: peer: \"10.0.0.0/64\" is not a network like 10.0.0.0/8, or loopback, link-local, private, \
             public, unconnected",
            "r.toml:6:1: name: the rule has no name",
            "r.toml:7:10: reason: 3 is not a line of text",
            "r.toml:8:7: row: 10 is not a row's number, 1 to 9",
        ]
    );
    assert!(found[1].ends_with("did you mean executable?"), "{}", found[1]);
    assert!(found[0].contains("; no rule of any file is taken over, and those in force stay; say why"));
}

#[test]
fn each_kind_of_problem() {
    for (more, wanted) in [
        ("", "r.toml:1:1: the rule asks nothing, and would excuse everything"),
        ("port = []", "4:8: port: the list is empty"),
        ("port = \"9-1\"", "4:8: port: \"9-1\" is not a port"),
        ("executable = \"sshd\"", "4:14: executable: \"sshd\" is not the pattern of an absolute path"),
        ("executable = \"/*\"", "4:14: executable: \"/*\" is not the pattern"),
        ("executable = 7", "4:14: executable: 7 is not the pattern"),
        ("executable = [\"/x\", true]", "4:21: executable: true is not the pattern"),
        ("direction = [\"inbound\", \"outbound\"]", "4:13: direction: there is more than one value"),
        ("tether = \"direkt\"", "4:10: tether: \"direkt\" is not direct or relayed"),
        ("user = \"nobody-here\"", "4:8: user: \"nobody-here\" is not a user of /etc/passwd"),
        ("user = -1", "4:8: user: -1 is not a user"),
        ("port = 1\nexpires = \"soon\"", "5:11: expires: \"soon\" is not a date"),
        ("port = 1\nexpires = 07:32:00", "5:11: expires: this datetime is not a date"),
        ("port = 1\nenabled = \"yes\"", "5:11: enabled: \"yes\" is not true or false"),
        (
            "executable = \"/x\"\ncontainer = \"any\"",
            "1:1: executable: a path proves nothing inside a container",
        ),
        ("ancestor = \"/x\"\ncontainer = \"a*\"", "1:1: ancestor: a path proves nothing inside a container"),
        (
            "executable = \"/x\"\nnamespace = \"a\"",
            "1:1: executable: a path proves nothing inside a container",
        ),
        ("namespace = \"a\"\ncontainer = \"host\"", "1:1: namespace: on the host there is none"),
        ("pod_label = \"app\"", "4:13: pod_label: \"app\" is not a label like app=echo"),
        ("pod_label = \"=x\"", "4:13: pod_label: \"=x\" is not a label like app=echo"),
        ("port = 1\nport = 2", "5:1: port: duplicate key"),
        ("port = \nrow = 1", "4:"),
        ("namespace = \"a\\u001bb\"", "namespace: \"a\\x1bb\" is not a pattern"),
    ] {
        let found = one_problem(more);
        assert!(found.contains(wanted), "{more}: {wanted} in {found}");
    }
    assert!(problems("x = 1")[0].starts_with("r.toml:1:1: x: this is no rule;"));
    assert!(problems("allow = 1")[0].starts_with("r.toml:1:1: allow: this is no rule;"));
    assert!(problems("allow = [1]")[0].starts_with("r.toml:1:10: allow: this is no table;"));
}

#[test]
fn nothing_is_dropped_silently() {
    let many = |n: usize| format!("port = [{}]", "1, ".repeat(n));
    assert!(problems(&rule(&many(256))).is_empty());
    assert!(one_problem(&many(257)).contains("there are 257 values, and 256 are the most"));
    let rules: String = (0..4100).map(|n| format!("[[allow]]\nname='{n}'\nreason='r'\nport=1\n")).collect();
    assert!(problems(&rules)[0].contains("there are more than 4096 rules"));
    let unknown: String = (0..1000).map(|n| format!("k{n} = 1\n")).collect();
    let found = problems(&unknown);
    assert_eq!(found.len(), 101);
    assert!(found[100].contains("900 more problems are not listed"), "{}", found[100]);
}

#[test]
fn numbers_in_any_base() {
    let compiled = RuleSet::compile(&[Source::new("r.toml", rule("port = [0x50, 1_000, 0o17]"))]).unwrap();
    let ports = &compiled.rules.rules.last().unwrap().matcher.port;
    assert_eq!(*ports, [(80, 80), (1000, 1000), (15, 15)]);
}

#[test]
fn users_by_name_and_number() {
    let users = Arc::new(HashMap::from([("web".to_owned(), 33)]));
    let source = Source { users, ..Source::new("r.toml", rule("user = [\"web\", 7]")) };
    let compiled = RuleSet::compile(&[source]).unwrap();
    assert_eq!(compiled.rules.rules.last().unwrap().matcher.user, [33, 7]);
}

#[test]
fn a_rule_of_ones_own_replaces_a_shipped_one() {
    let shipped = RuleSet::shipped().len();
    let off = Source::new("a.toml", "[[allow]]\nname = \"sshd\"\nenabled = false\n");
    assert_eq!(RuleSet::compile(&[off]).unwrap().rules.len(), shipped - 1);
    let other = Source::new("a.toml", "[[allow]]\nname = \"sshd\"\nreason = \"mine\"\nport = 1\n");
    let rules = RuleSet::compile(std::slice::from_ref(&other)).unwrap().rules;
    assert_eq!(rules.len(), shipped);
    assert!(rules.rules.iter().any(|rule| rule.name == "sshd" && rule.reason == "mine"));
    let again = Source::new("b.toml", other.text.clone());
    let problems = RuleSet::compile(&[other, again]).unwrap_err();
    assert!(
        problems[0]
            .to_string()
            .starts_with("b.toml:1:1: name: the name \"sshd\" is taken by the rule at a.toml:1;")
    );
}

#[test]
fn warnings() {
    let warned = |text: &str, read_ns| {
        let source = Source { read_ns, ..Source::new("r.toml", text) };
        let found = RuleSet::compile(&[source]).unwrap().warnings;
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let dated = rule("port = 1\nexpires = 1970-01-02");
    let day = 86_400 * crate::model::clock::SECOND;
    assert_eq!(warned(&dated, day - 1), "");
    assert!(
        warned(&dated, day).starts_with("r.toml:1:1: allow.a: the rule has expired; it excuses nothing;")
    );
    assert_eq!(warned(&rule("namespace = \"x\""), 0), "");
    assert!(warned(&rule("pod_label = \"a=b\""), 0).contains("can give it that label"));
    assert_eq!(warned(&rule("pod_label = \"a=b\"\nnamespace = \"x\""), 0), "");
    assert!(warned(&rule("arguments = \"x\""), 0).contains("anybody can give any program these arguments"));
    let typo = warned("[[allow]]\nname = \"shhd\"\nenabled = false\n", 0);
    assert!(typo.contains("nothing is switched off; did you mean \"sshd\"?"), "{typo}");
    let many: String = (0..500).map(|n| format!("[[allow]]\nname='n{n}'\nenabled=false\n")).collect();
    assert!(warned(&many, 0).contains("(and 400 warnings more are not listed)"));
}

proptest! {
    #[test]
    fn any_rule_is_safe(text in "(\\[\\[allow\\]\\]\n)?([a-z_]{1,9} ?= ?[ -~]{0,9}\n){0,5}") {
        problems(&text);
    }

    #[test]
    fn any_value_is_safe(key in prop::sample::select(ASKS.map(|(key, _)| key).to_vec()), value in ".{0,40}") {
        problems(&rule(&format!("{key} = {value}")));
        problems(&rule(&format!("{key} = {}", toml::Value::String(value.clone()))));
        problems(&value);
    }
}
