//! The shape of the source: imports run one way, `unsafe` has one place, files stay small.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Which modules each module may use: `cli -> daemon -> {stages} -> host -> sys -> model`. An entry `a::b` allows that
/// part of `a` alone.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("sys", &["model"]),
    ("stats", &["model"]),
    ("host", &["sys", "model"]),
    ("sensor", &["host", "sys", "model", "stats"]),
    // Pure: the machine comes through the trait alone.
    ("engine", &["host::Host", "host::scripted", "model", "stats"]),
    ("enrich", &["host", "sys", "model", "stats"]),
    ("spool", &["sys", "model", "stats"]),
    (
        "deliver",
        &["spool::reader", "spool::summary", "spool::cursor", "spool::error", "sys", "model", "stats"],
    ),
    (
        "config",
        &[
            "sensor::settings",
            "engine::settings",
            "engine::policy",
            "enrich::settings",
            "spool::settings",
            "deliver::settings",
            "deliver::format",
            "deliver::tls",
            "model",
            "sys",
            "host",
            "stats",
        ],
    ),
    (
        "daemon",
        &["sensor", "engine", "enrich", "spool", "deliver", "config", "stats", "host", "sys", "model"],
    ),
    (
        "cli",
        &[
            "daemon", "sensor", "engine", "enrich", "spool", "deliver", "config", "stats", "host", "sys",
            "model",
        ],
    ),
    ("lib", &[]),
    ("main", &["cli"]),
];

struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The first component under `src/`, without `.rs`.
    fn module(&self) -> String {
        let first = self.path.components().next().unwrap().as_os_str().to_string_lossy();
        first.trim_end_matches(".rs").to_owned()
    }

    /// The lines before the tests, comments left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
        lines.enumerate().map(|(n, line)| (n + 1, line.split("//").next().unwrap_or_default()))
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut left = vec![root.clone()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push(Source { path: path.strip_prefix(&root).unwrap().to_owned(), text });
            }
        }
    }
    assert!(found.len() > 10, "the source was found");
    found
}

/// Every path under `crate::` (or `tetherd::`) in some code, `{a, b}` groups taken apart.
fn paths(code: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for root in ["crate::", "tetherd::"] {
        for (at, _) in code.match_indices(root) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            expand("", &code[at + root.len()..], &mut found);
        }
    }
    found
}

/// Adds the paths that begin `text`; returns how much of it they are.
fn expand(prefix: &str, text: &str, found: &mut BTreeSet<String>) -> usize {
    let name = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(text.len());
    let path = format!("{prefix}{}", &text[..name]);
    if !path.ends_with("::") || !text[name..].starts_with('{') {
        found.insert(path.trim_end_matches("::").to_owned());
        return name;
    }
    let mut at = name + 1;
    while !text[at..].starts_with('}') {
        let skipped =
            text[at..].find(|c: char| c.is_alphanumeric() || c == '_' || c == '}').expect("a closed group");
        at += skipped;
        if !text[at..].starts_with('}') {
            at += expand(&path, &text[at..], found);
            // ` as name` and the comma.
            at += text[at..].find([',', '}']).expect("a closed group");
        }
    }
    at + 1
}

fn allowed(module: &str, path: &str) -> bool {
    let first = path.split("::").next().unwrap_or_default();
    let own = first == module || !MAY_USE.iter().any(|(name, _)| *name == first);
    let (_, may) =
        MAY_USE.iter().find(|(name, _)| *name == module).unwrap_or_else(|| panic!("{module} is not listed"));
    own || may.iter().any(|entry| path == *entry || path.starts_with(&format!("{entry}::")))
}

#[test]
fn imports_run_one_way() {
    let mut wrong = Vec::new();
    for source in sources() {
        let module = source.module();
        let code: Vec<&str> = source.code().map(|(_, line)| line).collect();
        for path in paths(&code.join("\n")) {
            if !allowed(&module, &path) {
                wrong.push(format!("src/{}: {module} may not use {path}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn unsafe_is_in_sys_only() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.module() != "sys") {
        for (n, line) in source.code() {
            let words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
            if words.into_iter().any(|word| word == "unsafe") {
                wrong.push(format!("src/{}:{n}", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "unsafe outside src/sys: {}", wrong.join(" "));
}

#[test]
fn files_stay_small() {
    let mut wrong = Vec::new();
    for source in sources() {
        let lines = source.code().count();
        let most = if source.path == Path::new("main.rs") { 29 } else { 500 };
        if lines > most {
            wrong.push(format!("src/{}: {lines} lines, at most {most}", source.path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_module_says_what_it_owns() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| source.path != Path::new("main.rs")) {
        if !source.text.starts_with("//!") {
            wrong.push(source.path.display().to_string());
        }
    }
    assert!(wrong.is_empty(), "without an opening //! comment: {}", wrong.join(" "));
}

/// The reader of paths itself: without it every rule would hold.
#[test]
fn paths_are_taken_apart() {
    let code = "use crate::engine::{policy::{compile, Rule as R}, table};\nlet x = crate::host::live::Live::new();\n\
        use std::sync; mycrate::not";
    let found: Vec<String> = paths(code).into_iter().collect();
    let expected =
        ["engine::policy::Rule", "engine::policy::compile", "engine::table", "host::live::Live::new"];
    assert_eq!(found, expected);
    assert!(
        !allowed("spool", "engine::table") && allowed("spool", "model::finding") && allowed("cli", "daemon")
    );
    assert!(!allowed("engine", "host::live::Live") && allowed("engine", "host::Host"));
    assert!(!allowed("deliver", "spool::writer::Writer") && allowed("deliver", "spool::reader::Reader"));
}
