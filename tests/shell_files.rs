//! Which programs are shells by what is in their files: all programs of the machine that the tests run on, and none of
//! them but the real shells.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tetherd::host::characteristic::shell_in;

/// What a shell's file is called, and what it is recognised as.
const SHELLS: &[(&str, &str)] = &[
    ("bash", "bash"),
    ("bash-static", "bash"),
    ("bsd-csh", "csh"),
    ("busybox", "busybox"),
    ("dash", "dash"),
    ("elvish", "elvish"),
    ("fish", "fish"),
    ("ksh93", "ksh93"),
    ("lksh", "mksh"),
    ("mksh", "mksh"),
    ("mksh-static", "mksh"),
    ("posh", "posh"),
    ("rc.byron", "rc"),
    ("sash", "sash"),
    ("tcsh", "tcsh"),
    ("toybox", "toybox"),
    ("yash", "yash"),
    ("zsh", "zsh"),
    ("zsh-static", "zsh"),
];

/// Every file with a program's name, links followed, each file once.
fn programs() -> BTreeMap<PathBuf, File> {
    let mut seen = BTreeSet::new();
    let mut found = BTreeMap::new();
    for directory in ["/usr/bin", "/usr/sbin", "/bin", "/sbin", "/usr/local/bin"] {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let Ok(path) = entry.path().canonicalize() else { continue };
            let Ok(meta) = path.metadata() else { continue };
            if meta.is_file() && seen.insert((meta.dev(), meta.ino())) {
                found.insert(path.clone(), File::open(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn none_but_the_shells() {
    if !common::is_root() {
        return common::skip("root");
    }
    let programs = programs();
    assert!(programs.len() > 300, "only {} programs", programs.len());
    let mut wrong = Vec::new();
    let (mut shells, mut time) = (0, Duration::ZERO);
    for (path, file) in &programs {
        let began = Instant::now();
        let found = shell_in(file, began + Duration::from_secs(60));
        time += began.elapsed();
        let name = path.file_name().unwrap().to_string_lossy();
        let expected = SHELLS.iter().find(|(shell, _)| *shell == name).map(|(_, what)| *what);
        shells += usize::from(expected.is_some());
        if found != Ok(expected) {
            wrong.push(format!("{}: {found:?}, not {expected:?}", path.display()));
        }
    }
    eprintln!(
        "{} programs, {shells} of them shells, {:?} each",
        programs.len(),
        time / programs.len() as u32
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(shells >= 2, "bash and dash at least");
}
