//! Commands of an ordinary user: they do what they can, and say what they could not see.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::common::daemon::copy_program;
use crate::common::{is_root, which};
use crate::require;
use crate::spools::{finding, id, spool};

/// A copy of the program where everybody may execute it.
fn copy() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    open_to(directory.path(), 0o755);
    copy_program(&directory.path().join("tetherd"));
    directory
}

fn open_to(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs `tetherd` as nobody.
fn as_nobody(copy: &TempDir, arguments: &[&str]) -> Output {
    let mut command = Command::new(which("setpriv").unwrap());
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]);
    command.arg(copy.path().join("tetherd")).args(arguments).current_dir("/").stdin(Stdio::null());
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn scan_says_what_it_could_not_see() {
    require!("setpriv");
    assert!(is_root());
    let output = as_nobody(&copy(), &["scan"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("of other users could not be seen; run as root"), "{}", said(&output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("processes"));
}

#[test]
fn run_says_what_it_needs() {
    require!("setpriv");
    let output = as_nobody(&copy(), &["run", "--spool", "/tmp/none"]);
    assert_eq!(output.status.code(), Some(77));
    assert!(said(&output).starts_with("tetherd: run needs root"), "{}", said(&output));
    assert!(!Path::new("/tmp/none").exists());
}

#[test]
fn doctor_names_what_is_missing() {
    require!("setpriv");
    let output = as_nobody(&copy(), &["doctor"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("FAIL capabilities") && text.contains("CAP_NET_ADMIN"), "{text}");
}

#[test]
fn a_spool_that_may_not_be_read() {
    require!("setpriv");
    let copy = copy();
    let parent = spool(vec![finding(&id("aa11"), "x")]);
    open_to(parent.path(), 0o750);
    let at = parent.path().to_str().unwrap();
    for arguments in [
        &["list", "--spool", at][..],
        &["show", "aa", "--spool", at],
        &["follow", "--spool", at],
        &["verify", at],
    ] {
        let output = as_nobody(&copy, arguments);
        assert_eq!(output.status.code(), Some(77), "{arguments:?}: {}", said(&output));
        assert!(
            said(&output).contains("no permission") && said(&output).contains("run as root"),
            "{}",
            said(&output)
        );
        assert!(output.stdout.is_empty());
    }
    // The directory may be read, its segments (0640) may not.
    open_to(parent.path(), 0o755);
    let output = as_nobody(&copy, &["list", "--spool", at]);
    assert_eq!(output.status.code(), Some(77), "{}", said(&output));
}

#[test]
fn status_of_a_daemon_of_root() {
    require!("setpriv");
    let daemon = crate::common::daemon::Daemon::shared();
    let directory = daemon.place().path("");
    open_to(&directory, 0o755);
    let output = as_nobody(&copy(), &["status", "--config", daemon.place().config().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(69), "{}", said(&output));
    assert!(said(&output).contains("run this as root"), "{}", said(&output));
}
