//! The AppArmor profile and the SELinux module that are shipped: they compile, and give what the unit gives.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::require;
use crate::unit::{shipped, values};

fn conf(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conf").join(name)
}

/// Capabilities that the unit gives with everything that its drop-ins add, in small letters and without `CAP_`.
fn given() -> BTreeSet<String> {
    let texts = [shipped("tetherd.service"), shipped("drop-ins/hold.conf")];
    let names = values(&texts, "CapabilityBoundingSet");
    names.iter().map(|name| name.trim_start_matches("CAP_").to_lowercase()).collect()
}

#[test]
fn an_apparmor_profile() {
    let text = std::fs::read_to_string(conf("apparmor/tetherd")).unwrap();
    let named: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("capability ")?.strip_suffix(','))
        .map(str::to_owned)
        .collect();
    assert_eq!(named, given());
    let profile = values(&[shipped("drop-ins/apparmor.conf")], "AppArmorProfile");
    assert_eq!(profile, ["tetherd"]);
    assert!(text.contains("\nprofile tetherd flags="), "the drop-in's name for it");
    require!("apparmor_parser");
    // Compiled and not loaded: --stdout gives what the kernel would get.
    let output =
        Command::new("apparmor_parser").args(["-QKS"]).arg(conf("apparmor/tetherd")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && output.stdout.len() > 1000, "{said}");
    assert!(!said.to_lowercase().contains("warning"), "{said}");
}

#[test]
fn an_selinux_module() {
    let text = std::fs::read_to_string(conf("selinux/tetherd.te")).unwrap();
    let rule = text.split("allow tetherd_t self:capability {").nth(1).unwrap();
    let named: BTreeSet<String> =
        rule.split('}').next().unwrap().split_whitespace().map(str::to_owned).collect();
    assert_eq!(named, given());
    let makefile = "/usr/share/selinux/devel/Makefile";
    require!("make", "checkmodule", makefile);
    let work = tempfile::tempdir().unwrap();
    for kind in ["te", "fc", "if"] {
        let name = format!("tetherd.{kind}");
        std::fs::copy(conf(&format!("selinux/{name}")), work.path().join(name)).unwrap();
    }
    let output =
        Command::new("make").args(["-f", makefile, "tetherd.pp"]).current_dir(work.path()).output().unwrap();
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && work.path().join("tetherd.pp").exists(), "{said}");
    assert!(!said.to_lowercase().contains("warning"), "{said}");
}
