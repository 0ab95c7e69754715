//! A reader that goes away (`tetherd list | head -1`) is no error.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::common::daemon::TETHERD;
use crate::common::wait_for;
use crate::spools::{finding, id, spool};

/// Reads one line and goes; the command has to end by itself, with nothing said.
fn first_line_only(arguments: &[&str]) -> String {
    let mut child = Command::new(TETHERD)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let status = wait_for("the command ends after its reader", || child.try_wait().unwrap());
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""), "{arguments:?}");
    line
}

#[test]
fn head() {
    // Far more than a pipe holds (64 KiB, pipe(7)).
    let records =
        (0..1200).map(|n| finding(&format!("{n:032x}"), "a rather long argument, to fill the line"));
    let directory = spool(records.collect());
    let at = directory.path().to_str().unwrap();
    assert!(first_line_only(&["list", "--spool", at]).starts_with("TIME"));
    assert!(first_line_only(&["list", "--json", "--spool", at]).starts_with("{\"finding\""));
    assert!(first_line_only(&["follow", "--from-start", "--spool", at]).starts_with("2026-11-24"));
    assert!(
        first_line_only(&["follow", "--from-start", "--json", "--spool", at]).starts_with("{\"finding\"")
    );
}

#[test]
fn nobody_reads_at_all() {
    let directory = spool(vec![finding(&id("aa11"), "x")]);
    let at = directory.path().to_str().unwrap();
    for arguments in [
        &["list", "--spool", at][..],
        &["show", "aa", "--spool", at],
        &["show", "aa", "--json", "--spool", at],
        &["verify", at],
        &["print-config", "--defaults"],
        &["--help"],
        &["list", "--help"],
        &["--version"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = Command::new(TETHERD).args(arguments).stdout(writer).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), said.as_ref()), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let directory = spool(vec![finding(&id("aa11"), "x")]);
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output =
        Command::new(TETHERD).args(["list", "--spool"]).arg(directory.path()).stdout(full).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(74), "{said}");
    assert!(said.starts_with("tetherd: cannot write the output: "), "{said}");
}
