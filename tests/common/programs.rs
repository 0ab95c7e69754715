//! The tests' own C programs (`tests/programs`), compiled when first needed, statically so that they run in any root.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

/// The compiled program called `name`.
pub fn program(name: &'static str) -> PathBuf {
    static DONE: OnceLock<Mutex<BTreeMap<&'static str, PathBuf>>> = OnceLock::new();
    let mut done = DONE.get_or_init(Mutex::default).lock().unwrap();
    done.entry(name).or_insert_with(|| compile(name)).clone()
}

fn compile(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/programs").join(format!("{name}.c"));
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let fresh = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
    if fresh(&target).is_some_and(|built| fresh(&source).is_some_and(|written| written < built)) {
        return target;
    }
    // Test binaries may run at the same time: each compiles to a name of its own.
    let mine = target.with_extension(std::process::id().to_string());
    let output = Command::new("gcc")
        .args(["-O1", "-Wall", "-Wextra", "-Werror", "-static", "-o"])
        .arg(&mine)
        .arg(&source)
        .output()
        .expect("gcc starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::rename(&mine, &target).unwrap();
    target
}
