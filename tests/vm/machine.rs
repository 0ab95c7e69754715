//! The virtual machine: started once for all tests, and what it said.
//!
//! Owns: the payload, the one boot, and reading its lines. Must not own: how a machine is made (`tests/vm/root`,
//! `tests/vm/kernel`, `tests/vm/boot`), what is run in it (`tests/vm/guest`).

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::common::daemon::TETHERD;
use crate::common::finding::Finding;
use crate::image;

/// The longest that the machine may run, in seconds.
const SECONDS: &str = "900";

/// What the machine said.
#[derive(Default)]
pub struct Said {
    facts: BTreeMap<(String, String), String>,
    records: BTreeMap<String, Finding>,
    failed: BTreeMap<String, String>,
}

impl Said {
    /// `fact CASE KEY VALUE`.
    pub fn fact(&self, case: &str, key: &str) -> &str {
        let value = self.facts.get(&(case.to_owned(), key.to_owned()));
        value.unwrap_or_else(|| panic!("the machine said nothing of {key} of {case}"))
    }

    /// The same, where it is JSON.
    pub fn json(&self, case: &str, key: &str) -> Value {
        serde_json::from_str(self.fact(case, key)).unwrap()
    }

    /// The newest record of a case's finding, which has to be its only one and be over.
    pub fn finding(&self, case: &str) -> &Finding {
        assert_eq!(self.failed.get(case), None, "{case}");
        let found = self.records.get(case).unwrap_or_else(|| panic!("no record of {case}"));
        assert_eq!(self.fact(case, "findings"), "1", "{case}");
        assert_eq!((found.state(), found.row()), ("INACTIVE", 1), "{case}: {}", found.brief());
        found
    }

    /// How many cases there were.
    pub fn cases(&self) -> usize {
        self.records.len() + self.failed.len()
    }
}

/// Whether the machine is asked for.
pub fn asked() -> bool {
    std::env::var_os("TETHERD_TESTS_VM").is_some_and(|value| value == "1")
}

/// Ends the test, and says so, unless the machine is asked for.
#[macro_export]
macro_rules! require_machine {
    () => {
        if !$crate::machine::asked() {
            return $crate::common::impossible("it takes minutes; tests/vm/run runs it");
        }
        $crate::require!("qemu-system-x86_64", "mmdebstrap", "mkfs.ext4", "busybox", "gcc", "strip");
    };
}

/// What it said; starts it where no other test has.
pub fn said() -> &'static Said {
    static SAID: OnceLock<Said> = OnceLock::new();
    SAID.get_or_init(|| read(&boot()))
}

fn boot() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let script = |name: &str| Command::new(root.join("tests/vm").join(name));
    // The root takes the modules of every kernel that there is.
    assert!(script("kernel").arg("bookworm").status().unwrap().success());
    assert!(script("root").status().unwrap().success());
    let payload = tempfile::tempdir().unwrap();
    let at = |name: &str| payload.path().join(name);
    for (name, from) in [("run", "containers"), ("lib.sh", "lib.sh"), ("tool.py", "tool.py")] {
        fs::copy(root.join("tests/vm/guest").join(from), at(name)).unwrap();
    }
    fs::copy(image::archive(), at("box.tar")).unwrap();
    let stripped = Command::new("strip").arg("-o").arg(at("tetherd")).arg(TETHERD).status().unwrap();
    assert!(stripped.success());
    let output = script("boot").args(["bookworm"]).arg(payload.path()).arg(SECONDS).output().unwrap();
    let console = fs::read_to_string(payload.path().with_extension("console")).unwrap_or_default();
    let _ = fs::remove_file(payload.path().with_extension("console"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let last: Vec<_> = console.lines().rev().take(20).collect();
    assert!(
        !text.is_empty(),
        "the machine said nothing; {output:?}; its console, last line first: {last:#?}"
    );
    text
}

fn read(text: &str) -> Said {
    let mut said = Said::default();
    for line in text.lines() {
        let mut words = line.splitn(3, ' ');
        let (kind, case, rest) = (words.next(), words.next().unwrap_or(""), words.next().unwrap_or(""));
        match kind {
            Some("fact") => {
                let (key, value) = rest.split_once(' ').unwrap_or((rest, ""));
                said.facts.insert((case.into(), key.into()), value.trim_end().into());
            }
            Some("record") => {
                said.records
                    .insert(case.into(), Finding(std::sync::Arc::new(serde_json::from_str(rest).unwrap())));
            }
            Some("failed") => {
                said.failed.insert(case.into(), rest.into());
            }
            Some("time") => eprintln!("{case}: {rest} s"),
            _ => {}
        }
    }
    said
}
