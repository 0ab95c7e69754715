//! What is in the packages.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::built::{all, build, built, root, said};
use crate::common::daemon::TETHERD;
use crate::require_builders;

/// What an installation has to have, of both kinds.
const FILES: [&str; 11] = [
    "/usr/bin/tetherd",
    "/usr/lib/systemd/system/tetherd.service",
    "/etc/tetherd/tetherd.toml",
    "/usr/share/bash-completion/completions/tetherd",
    "/usr/share/fish/vendor_completions.d/tetherd.fish",
    "/usr/share/man/man1/tetherd.1.gz",
    "/usr/share/man/man5/tetherd.toml.5.gz",
    "/usr/share/man/man8/tetherd-run.8.gz",
    "/usr/share/doc/tetherd/examples/systemd/hold.conf",
    "/usr/share/doc/tetherd/examples/apparmor/tetherd",
    "/usr/share/doc/tetherd/examples/selinux/tetherd.te",
];

/// Two builds of one program give the same bytes.
#[test]
fn builds_are_the_same() {
    require_builders!();
    let (first, second) = (built(), build("second", env!("CARGO_PKG_VERSION")));
    for (one, other) in [(&first.deb, &second.deb), (&first.rpm, &second.rpm), (&first.bill, &second.bill)] {
        assert!(std::fs::read(one).unwrap() == std::fs::read(other).unwrap(), "{one:?} and {other:?} differ");
    }
    let sums = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert_eq!(sums(&first.sums), sums(&second.sums));
    assert!(sums(&first.sums).lines().count() >= 4);
    said(
        Command::new("sha256sum")
            .args(["--check", "--strict", "SHA256SUMS"])
            .current_dir(first.sums.parent().unwrap()),
    );
}

/// A program that an older C library cannot run is found out.
#[test]
fn symbols_of_a_newer_library() {
    require_builders!();
    let symbols = |release: &str| {
        Command::new(root().join("packaging/symbols")).arg(TETHERD).arg(release).output().unwrap()
    };
    let (newer, older) = (symbols("99.0"), symbols("2.0"));
    assert!(newer.status.success(), "{}", all(&newer));
    assert!(
        !older.status.success() && all(&older).contains("does not run with glibc 2.0"),
        "{}",
        all(&older)
    );
}

#[test]
fn a_debian_package() {
    require_builders!();
    let deb = &built().deb;
    let field = |name: &str| said(Command::new("dpkg-deb").arg("-f").arg(deb).arg(name)).trim().to_owned();
    assert_eq!(field("Version"), format!("{}-1", env!("CARGO_PKG_VERSION")));
    assert!(field("Depends").starts_with("libc6 (>= 2."), "{}", field("Depends"));
    let control = tempfile::tempdir().unwrap();
    said(Command::new("dpkg-deb").arg("-e").arg(deb).arg(control.path()));
    let conffiles = std::fs::read_to_string(control.path().join("conffiles")).unwrap();
    assert_eq!(conffiles, "/etc/needrestart/conf.d/tetherd.conf\n/etc/tetherd/tetherd.toml\n");
    for script in ["postinst", "prerm", "postrm"] {
        said(Command::new("sh").arg("-n").arg(control.path().join(script)));
    }
    let listing = said(Command::new("dpkg-deb").arg("-c").arg(deb));
    let names: BTreeSet<&str> =
        listing.lines().map(|line| line.split_whitespace().nth(5).unwrap().trim_start_matches('.')).collect();
    for file in
        FILES.iter().chain(&["/usr/share/doc/tetherd/copyright", "/usr/share/doc/tetherd/THIRD-PARTY.gz"])
    {
        assert!(names.contains(file), "{file} is missing in {listing}");
    }
    for line in listing.lines() {
        assert!(line.contains(" root/root "), "{line}");
        let mode = line.split_whitespace().next().unwrap();
        assert!(!mode[5..].contains('w') || mode.starts_with('l'), "others may write: {line}");
    }
    // The program itself, unpacked.
    let root = tempfile::tempdir().unwrap();
    said(Command::new("dpkg-deb").arg("-x").arg(deb).arg(root.path()));
    let version = said(Command::new(root.path().join("usr/bin/tetherd")).arg("--version"));
    assert_eq!(version.trim(), format!("tetherd {}", env!("CARGO_PKG_VERSION")));
    let check = Command::new(root.path().join("usr/bin/tetherd"))
        .arg("check-config")
        .arg(root.path().join("etc/tetherd/tetherd.toml"))
        .output()
        .unwrap();
    assert!(check.status.success(), "{}", all(&check));
}

#[test]
fn an_rpm_package() {
    require_builders!();
    let rpm = &built().rpm;
    let query = |arguments: &[&str]| said(Command::new("rpm").arg("-qp").args(arguments).arg(rpm));
    let names = query(&["-l"]);
    let names: BTreeSet<&str> = names.lines().collect();
    for file in FILES.iter().chain(&["/usr/share/licenses/tetherd/THIRD-PARTY.gz", "/etc/tetherd/rules.d"]) {
        assert!(names.contains(file), "{file} is missing in {names:?}");
    }
    assert_eq!(query(&["-c"]).trim(), "/etc/tetherd/tetherd.toml");
    let scripts = query(&["--scripts"]);
    for needed in [
        "systemctl --no-reload preset tetherd.service",
        "disable --now tetherd.service",
        "try-restart tetherd.service",
        "tetherd check-config",
    ] {
        assert!(scripts.contains(needed), "{needed} is missing in {scripts}");
    }
    let flags = query(&["--qf", "[%{FILEFLAGS:fflags} %{FILENAMES}\\n]"]);
    assert!(
        flags.lines().any(|line| line == "cn /etc/tetherd/tetherd.toml"),
        "not replaced at an upgrade: {flags}"
    );
}

/// Each library of the program is in the bill of materials, with its hash and a licence that is allowed.
#[test]
fn a_bill_of_materials() {
    require_builders!();
    let bill: Value = serde_json::from_slice(&std::fs::read(&built().bill).unwrap()).unwrap();
    assert_eq!((bill["bomFormat"].as_str(), bill["specVersion"].as_str()), (Some("CycloneDX"), Some("1.5")));
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let allowed = std::fs::read_to_string(root().join("deny.toml")).unwrap();
    let components = bill["components"].as_array().unwrap();
    let names: BTreeSet<&str> = components.iter().map(|part| part["name"].as_str().unwrap()).collect();
    for library in ["libc", "rustix", "serde_json", "clap", "seccompiler", "rust-std"] {
        assert!(names.contains(library), "{library}");
    }
    for not_in_it in ["proptest", "criterion", "clap_mangen", "serde_derive", "tempfile"] {
        assert!(!names.contains(not_in_it), "{not_in_it}");
    }
    for part in components.iter().filter(|part| part["name"] != "rust-std") {
        assert!(lock.contains(part["hashes"][0]["content"].as_str().unwrap()), "{part}");
        let licence = part["licenses"][0]["expression"].as_str().unwrap();
        let named = |one: &str| allowed.contains(&format!("\"{}\"", one.trim_matches(['(', ')'])));
        let fits = licence.split(" OR ").any(|one| one.split(" AND ").all(named));
        assert!(fits, "{licence} of {}", part["name"]);
    }
}

/// lintian and rpmlint find nothing, whether error or warning.
#[test]
fn the_distributions_checkers() {
    require_builders!();
    crate::require!("lintian", "rpmlint");
    let lintian = Command::new("lintian")
        .args(["--fail-on", "error,warning", "--info"])
        .arg(&built().deb)
        .output()
        .unwrap();
    assert!(lintian.status.success(), "{}", all(&lintian));
    let rpmlint = Command::new("rpmlint")
        .arg("--config")
        .arg(root().join("packaging/rpm/rpmlint.toml"))
        .arg(&built().rpm)
        .output()
        .unwrap();
    let said = all(&rpmlint);
    assert!(said.contains(" 0 errors, 0 warnings"), "{said}");
}
