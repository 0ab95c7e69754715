//! Rules that ask for containers, replayed: known at once, late, never.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::policy::Source;
use super::tests::{NULL, Script, socket, tied};
use super::*;
use crate::model::contained::{Contained, ContainerFacts};
use crate::model::ids::ContainerId;
use crate::model::stdio::Backing;

const CGROUP: &[u8] = b"0::/kubepods/x\n";
const MS: u64 = 1_000_000;

fn facts(
    image: Option<&str>,
    namespace: Option<&str>,
    labels: Option<&[(&str, &str)]>,
) -> Arc<ContainerFacts> {
    let owned = |text: &str| text.to_owned();
    let labels =
        labels.map(|list| list.iter().map(|(k, v)| (owned(k), owned(v))).collect::<BTreeMap<_, _>>());
    Arc::new(ContainerFacts {
        id: ContainerId::new("c0ffee").unwrap(),
        image: image.map(owned),
        namespace: namespace.map(owned),
        labels,
    })
}

fn script(more: &str) -> Script {
    let mut script = Script::new();
    let text = format!("[[allow]]\nname = \"ours\"\nreason = \"they ask\"\n{more}\n");
    let rules = RuleSet::compile(&[Source::new("r.toml", text)]).unwrap().rules;
    script.engine.reload(EngineSettings::default(), Arc::new(rules));
    script
}

/// Executes something in a container.
fn exec(script: &mut Script, pid: u32, parent: u32, argv: &[&str], stdio: [Backing; 3]) -> Vec<Detection> {
    let mut look = script.look(pid, parent, argv, stdio);
    look.namespaces.mnt = Some(Inode(77));
    look.cgroup = CGROUP.to_vec();
    script.handle(Event::Look(Box::new(look)))
}

fn hits(script: &Script) -> u64 {
    script.engine.rules.hits().find(|(name, _)| *name == "ours").unwrap().1
}

#[test]
fn known_at_once() {
    for (more, known, excused) in [
        ("namespace = \"debug\"", facts(None, Some("debug"), None), true),
        ("namespace = \"debug\"", facts(None, Some("shop"), None), false),
        ("namespace = \"debug\"", facts(None, None, None), false),
        ("container_image = \"r/echo:*\"", facts(Some("r/echo:1"), None, None), true),
        ("container_image = \"r/echo:*\"", facts(Some("r/echo2"), None, None), false),
        ("pod_label = \"app=echo*\"", facts(None, None, Some(&[("x", "y"), ("app", "echo-1")])), true),
        ("pod_label = \"app=echo*\"", facts(None, None, Some(&[("app", "x"), ("bapp", "echo")])), false),
        ("pod_label = \"app=echo*\"", facts(None, None, None), false),
        ("container = \"c0f*\"", facts(None, None, None), true),
        ("container = \"beef\"", facts(None, None, None), false),
        ("namespace = \"debug\"\npod_label = \"a=b\"", facts(None, Some("debug"), Some(&[])), false),
        ("namespace = \"debug\"\nport = 1", facts(None, Some("debug"), None), false),
    ] {
        let mut script = script(more);
        script.host.contained.insert(CGROUP.to_vec(), Contained::Known(known));
        let found = exec(&mut script, 10, 1, &["sh"], [tied(5), tied(5), tied(5)]);
        assert_eq!(found.is_empty(), excused, "{more}");
        assert_eq!((script.engine.tally().allowed, hits(&script)), (u64::from(excused), u64::from(excused)));
        assert!(script.engine.pending.is_empty(), "{more}: nothing is in doubt");
    }
    // On the host, and in what is not known beyond doubt, nothing of this holds.
    let mut script = script("namespace = \"*\"");
    assert_eq!(exec(&mut script, 10, 1, &["sh"], [tied(5), tied(5), tied(5)]).len(), 1);
}

/// A path proves something where the rule names the image, of a file that the image's owner alone can have made.
#[test]
fn a_path_in_a_container() {
    let mut file = crate::model::look::FileId {
        device: 1,
        inode: Inode(1),
        size: 1,
        mtime_ns: 0,
        ctime_ns: 0,
        owner: crate::model::ids::Uid(0),
        mode: 0o755,
    };
    let mut run = |more: &str, mode: u32, deleted: bool| {
        file.mode = mode;
        let mut script = script(more);
        let known = Contained::Known(facts(Some("r/echo:1"), Some("debug"), None));
        script.host.contained.insert(CGROUP.to_vec(), known);
        let mut look = script.look(10, 1, &["cat"], [tied(5), tied(5), tied(5)]);
        look.namespaces.mnt = Some(Inode(77));
        look.cgroup = CGROUP.to_vec();
        (look.exe.file, look.exe.deleted) = (Some(file), deleted);
        script.handle(Event::Look(Box::new(look))).is_empty()
    };
    let rule = "executable = \"/usr/bin/cat\"\ncontainer_image = \"r/echo:*\"";
    assert!(run(rule, 0o755, false));
    assert!(!run(rule, 0o757, false), "anybody may have written it");
    assert!(!run(rule, 0o755, true));
    assert!(!run(&rule.replace("echo", "other"), 0o755, false));
    assert!(!run("executable = \"/usr/bin/cat\"", 0o755, false), "without the image it is the host's path");
}

#[test]
fn what_comes_late_withdraws_the_finding() {
    let mut script = script("pod_label = \"app=echo\"\nnamespace = \"debug\"");
    let late = Contained::Late(facts(None, Some("debug"), None));
    script.host.contained.insert(CGROUP.to_vec(), late);
    let found = exec(&mut script, 10, 1, &["sh"], [tied(5), tied(5), tied(5)]);
    assert_eq!(
        (found.len(), found[0].state, &found[0].excused_by),
        (1, State::Active, &None),
        "nothing waits"
    );
    assert!(
        found[0].evidence.iter().any(|text| text.contains("the allow rule ours")),
        "{:?}",
        found[0].evidence
    );
    // What it starts meanwhile is on its timeline.
    script.fork(10, 11);
    exec(&mut script, 11, 10, &["id"], [NULL, tied(5), NULL]);
    assert!(script.tick(100 * MS).is_empty() && hits(&script) == 0);
    let known = Contained::Known(facts(None, Some("debug"), Some(&[("app", "echo")])));
    script.host.contained.insert(CGROUP.to_vec(), known);
    let due = script.engine.next_due_ns().unwrap();
    assert!(due <= script.now().mono_ns + SECOND / 2, "it is asked again soon");
    let last = script.tick(SECOND / 2);
    assert_eq!((last.len(), last[0].id, last[0].state), (1, found[0].id, State::Inactive));
    assert_eq!(last[0].excused_by, Some(("ours".into(), "they ask".into())));
    assert_eq!((script.engine.tally().withdrawn, script.engine.tally().incidents), (1, 1));
    assert!(hits(&script) >= 1);
    // Nothing more is said of it, and what follows on the same socket is excused at once.
    assert!(script.exit(11).is_empty() && script.tick(5 * SECOND).is_empty());
    assert!(exec(&mut script, 12, 1, &["sh"], [tied(5), tied(5), tied(5)]).is_empty());
    assert_eq!(script.engine.sizes().0, 0);
}

#[test]
fn what_comes_late_and_is_no_excuse() {
    for known in [
        Contained::Known(facts(None, None, Some(&[("app", "web")]))),
        Contained::Known(facts(None, None, None)),
        Contained::Untold,
    ] {
        let mut script = script("pod_label = \"app=echo\"");
        script.host.contained.insert(CGROUP.to_vec(), Contained::Late(facts(None, None, None)));
        assert_eq!(exec(&mut script, 10, 1, &["sh"], [tied(5), tied(5), tied(5)]).len(), 1);
        script.host.contained.insert(CGROUP.to_vec(), known);
        assert!(script.tick(SECOND).is_empty());
        // Decided: what is heard later changes nothing.
        let other = Contained::Known(facts(None, None, Some(&[("app", "echo")])));
        script.host.contained.insert(CGROUP.to_vec(), other);
        script.tick(SECOND);
        script.exit(10);
        let last = script.tick(3 * SECOND);
        assert_eq!((last[0].state, &last[0].excused_by), (State::Inactive, &None));
    }
}

/// A runtime that never answers.
#[test]
fn doubt_has_an_end() {
    let mut script = script("pod_label = \"app=echo\"");
    script.host.contained.insert(CGROUP.to_vec(), Contained::Late(facts(None, None, None)));
    assert_eq!(exec(&mut script, 10, 1, &["sh"], [tied(5), tied(5), tied(5)]).len(), 1);
    for _ in 0..40 {
        assert!(script.tick(SECOND).is_empty());
    }
    assert_eq!(script.engine.next_due_ns(), None, "nobody is asked any more");
}

/// One command on the tether that no rule excuses, and the finding stays, whatever becomes of the others.
#[test]
fn one_command_that_is_not_excused() {
    let mut script = script("pod_label = \"app=echo\"\nrow = 7");
    script.host.contained.insert(CGROUP.to_vec(), Contained::Late(facts(None, None, None)));
    assert_eq!(exec(&mut script, 10, 1, &["frobnicate"], [tied(5), tied(5), NULL]).len(), 1);
    exec(&mut script, 11, 1, &["sh"], [tied(5), tied(5), tied(5)]);
    let known = Contained::Known(facts(None, None, Some(&[("app", "echo")])));
    script.host.contained.insert(CGROUP.to_vec(), known);
    let next = script.tick(SECOND);
    assert_eq!(
        (next[0].state, next[0].row, &next[0].excused_by),
        (State::Active, Row::WatchedBothWays, &None)
    );

    // Two that are in doubt, of which the rule excuses both.
    let mut script = self::script("pod_label = \"app=echo\"");
    script.host.contained.insert(CGROUP.to_vec(), Contained::Late(facts(None, None, None)));
    assert_eq!(exec(&mut script, 10, 1, &["cat"], [tied(5), tied(5), NULL]).len(), 1);
    exec(&mut script, 11, 1, &["sh"], [tied(5), tied(5), tied(5)]);
    let known = Contained::Known(facts(None, None, Some(&[("app", "echo")])));
    script.host.contained.insert(CGROUP.to_vec(), known);
    let last = script.tick(SECOND);
    assert!(last[0].excused_by.is_some() && last.len() == 1);
}

/// A tether of a process's own, below one that is a finding, is never excused; below one that is in doubt it is as if
/// that were none.
#[test]
fn below_another_tether() {
    let run = |first: Contained, second: &str| {
        let mut script = script("pod_label = \"app=echo\"\npeer = \"203.0.113.9\"");
        script.host.contained.insert(CGROUP.to_vec(), first);
        let parent = exec(&mut script, 10, 1, &["sh"], [tied(5), tied(5), tied(5)]);
        assert_eq!(parent.len(), 1);
        let known = Contained::Known(facts(None, None, Some(&[("app", "echo")])));
        script.host.contained.insert(CGROUP.to_vec(), known);
        script.fork(10, 11);
        script.after(MS);
        let other = Backing::Network(socket(6, second));
        let found = exec(&mut script, 11, 10, &["sh"], [other.clone(), other.clone(), other]);
        found.iter().filter(|found| found.id != parent[0].id).count()
    };
    let late = || Contained::Late(facts(None, None, None));
    assert_eq!(run(late(), "203.0.113.9:4444"), 0);
    assert_eq!(run(late(), "203.0.113.10:4444"), 1);
    assert_eq!(run(Contained::Untold, "203.0.113.9:4444"), 1);
}

#[test]
fn doubts_are_bounded() {
    let mut script = script("pod_label = \"app=echo\"");
    script.host.contained.insert(CGROUP.to_vec(), Contained::Late(facts(None, None, None)));
    for pid in 10..400 {
        exec(&mut script, pid, 1, &["sh"], [tied(pid.into()), tied(pid.into()), NULL]);
    }
    assert_eq!(script.engine.pending.len(), 256);
    for pid in 1000..1020 {
        exec(&mut script, pid, 1, &["sh"], [tied(10), tied(10), NULL]);
    }
    assert_eq!(script.engine.pending.len(), 255, "too many commands on one tether");
}
