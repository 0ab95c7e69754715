//! Exit codes (sysexits.h), one sentence on stderr, and help that teaches.

use std::path::Path;

use crate::spools::{finding, id, reading, spool, tetherd};

const COMMANDS: [&str; 13] = [
    "run",
    "scan",
    "list",
    "show",
    "explain",
    "report",
    "follow",
    "status",
    "doctor",
    "self-test",
    "verify",
    "check-config",
    "print-config",
];

#[test]
fn wrong_command_lines() {
    let directory = spool(vec![finding(&id("aa11"), "x")]);
    let at = directory.path().to_str().unwrap();
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["list", "--frobnicate"],
        &["list", "-n", "many"],
        &["list", "--severity", "dreadful"],
        &["list", "--state", "gone"],
        &["list", "--since", "yesterday", "--spool", at],
        &["follow", "--until", "-1", "--spool", at],
        &["show"],
        &["show", "aa", "bb"],
        &["run", "--frobnicate"],
        &["verify", "a", "b"],
    ] {
        let output = tetherd(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty() && !said.is_empty(), "{arguments:?}: {said}");
    }
}

#[test]
fn what_is_not_there() {
    let directory = spool(vec![finding(&id("aa11"), "x")]);
    let at = directory.path().to_str().unwrap();
    let config = directory.path().join("tetherd.toml");
    std::fs::write(&config, format!("[control]\nsocket = \"{at}/none.sock\"\n")).unwrap();
    let bad = directory.path().join("bad.toml");
    std::fs::write(&bad, "[spol]\nx = 1\n").unwrap();
    let (config, bad) = (config.to_str().unwrap(), bad.to_str().unwrap());
    for (arguments, code, about) in [
        (&["show", "bb", "--spool", at][..], 66, "no finding in"),
        (&["show", "", "--spool", at], 66, "no finding in"),
        (&["show", "\u{1b}[2J", "--spool", at], 66, "\\x1b[2J"),
        (&["list", "--spool", "/none/such"], 66, "there is no spool at /none/such"),
        (&["follow", "--spool", "/none/such"], 66, "there is no spool"),
        (&["verify", "/none/such"], 66, "there is no spool"),
        (&["list", "--config", "/none/such"], 66, "cannot read /none/such"),
        (&["check-config", "/none/such"], 66, "cannot read /none/such"),
        (&["list", "--config", bad], 78, "did you mean"),
        (&["run", "--config", bad], 78, "did you mean"),
        (&["scan", "--config", bad], 78, "did you mean"),
        (&["status", "--config", config], 69, "no daemon answers"),
        (&["self-test", "--config", config], 69, "no daemon answers"),
    ] {
        let output = tetherd(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
        assert!(said.starts_with("tetherd: ") && said.contains(about), "{arguments:?}: {said}");
        assert!(output.stdout.is_empty() && said.lines().count() == 1, "{arguments:?}: {said}");
    }
}

#[test]
fn answers_that_are_no() {
    let directory = spool(vec![finding(&id("aa11"), "first"), finding(&id("bb22"), "second")]);
    reading(directory.path(), &["verify"]).assert().code(0);
    let segment = directory.path().join("findings-000000000001.jsonl");
    let text = std::fs::read_to_string(&segment).unwrap().replace("first", "fi4st");
    std::fs::write(&segment, text).unwrap();
    reading(directory.path(), &["verify"]).assert().code(1);
    reading(directory.path(), &["verify", "--json"]).assert().code(1);

    let bad = directory.path().join("bad.toml");
    std::fs::write(&bad, "[spool]\nmax_bytes = -1\n[spol]\n").unwrap();
    let output = tetherd(&["check-config"]).arg(&bad).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(said.contains("bad.toml:2:13: spool.max_bytes") && said.contains("bad.toml:3:"), "{said}");
}

#[test]
fn ids_by_their_first_digits() {
    let directory = spool(["aa11", "aa22", "bb33"].iter().map(|b| finding(&id(b), "x")).collect());
    let show = |wanted: &str| reading(directory.path(), &["show", wanted]).output().unwrap();
    let output = show("aa");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(64), "{said}");
    assert!(said.contains("2 findings begin with aa"), "{said}");
    assert!(
        said.contains(&id("aa11")) && said.contains(&id("aa22")) && !said.contains(&id("bb33")),
        "{said}"
    );
    for wanted in ["aa1", "AA11", &id("aa11")] {
        let output = show(wanted);
        assert!(
            output.status.success() && String::from_utf8_lossy(&output.stdout).contains(&id("aa11")),
            "{wanted}"
        );
    }
}

#[test]
fn help_teaches() {
    for command in COMMANDS {
        let output = tetherd(&[command, "--help"]).output().unwrap();
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{command}");
        assert!(help.contains("Example: ") || help.contains("Exit code "), "{command} --help:\n{help}");
        assert!(help.contains(&format!("Usage: tetherd {command}")), "{command} --help:\n{help}");
        for line in help.lines() {
            assert!(line.chars().count() <= 120, "{command} --help: {line}");
        }
    }
    let help = String::from_utf8(tetherd(&["--help"]).output().unwrap().stdout).unwrap();
    assert!(COMMANDS.iter().all(|command| help.contains(command)) && help.contains("sysexits"), "{help}");
    let version = String::from_utf8(tetherd(&["--version"]).output().unwrap().stdout).unwrap();
    assert_eq!(version.trim_end(), format!("tetherd {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_spool_elsewhere_needs_no_configuration() {
    let directory = spool(vec![finding(&id("aa11"), "x")]);
    assert!(!Path::new("/none/such").exists());
    let output = reading(directory.path(), &["list"]).env("HOME", "/none/such").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty());
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 2);
}
