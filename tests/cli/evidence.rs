//! `tetherd evidence`: what is in a bundle, that it can be checked without tetherd, and what it refuses.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tetherd::model::finding::{Record, property};

use crate::hostile::TEXTS;
use crate::spools::{append, finding, id, printed, reading, spool};

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn linked(mut record: Record, to: &str) -> Record {
    let link = json!([{"id": to, "reasons": ["peer"], "firstSeen": "2026-11-24T03:50:17Z"}]);
    record.finding.source_properties.insert(property::RELATED_FINDINGS.into(), link);
    record
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn manifest(bundle: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(bundle.join("manifest.json")).unwrap()).unwrap()
}

fn not_kept(manifest: &Value) -> String {
    manifest["notKept"].to_string()
}

/// `sha256sum -c`, as whoever gets the bundle would do it.
fn sums_hold(bundle: &Path) -> bool {
    let mut command = Command::new("sha256sum");
    command.args(["--check", "--strict", "--quiet", "SHA256SUMS"]).current_dir(bundle);
    command.output().unwrap().status.success()
}

#[test]
fn records_word_for_word_with_their_chain() {
    let own = id("aa11");
    let directory = spool(vec![
        finding(&id("0001"), "before"),
        finding(&own, "one"),
        finding(&id("0002"), "between"),
        linked(finding(&own, "two"), &id("bb22")),
        finding(&id("bb22"), "related"),
        linked(finding(&id("cc33"), "names it"), &own),
        finding(&id("0003"), "after"),
    ]);
    let place = tempfile::tempdir().unwrap();
    let output = place.path().join("case");
    let said = printed(reading(directory.path(), &["evidence", "aa11"]).arg("-o").arg(&output));
    assert!(sums_hold(&output));
    let sums = std::fs::read(output.join("SHA256SUMS")).unwrap();
    assert!(said.contains(&format!("SHA-256 of its SHA256SUMS: {}", sha256(&sums))), "{said}");
    let all = lines(&directory.path().join("findings-000000000001.jsonl"));
    let kept = lines(&output.join("records/finding.jsonl"));
    assert_eq!(kept, [all[1].clone(), all[3].clone()]);
    assert_eq!(lines(&output.join("records/related.jsonl")), [all[4].clone(), all[5].clone()]);
    let manifest = manifest(&output);
    let records = manifest["records"].as_array().unwrap();
    assert_eq!(records.len(), 2);
    for (record, line) in records.iter().zip(&kept) {
        assert_eq!(record["sha256"], sha256(line.as_bytes()));
        assert_eq!(
            (&record["previousMatches"], &record["nextMatches"]),
            (&json!(true), &json!(true)),
            "{record}"
        );
    }
    // The chain from the record before the first one to the one after the last.
    let chain = lines(&output.join("records/chain.tsv"));
    let rows: Vec<Vec<&str>> = chain.iter().skip(1).map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), ["1", "2", "3", "4", "5"]);
    for (row, line) in rows.iter().zip(&all) {
        assert_eq!(row[1], sha256(line.as_bytes()));
    }
    assert!(rows.windows(2).all(|pair| pair[1][2] == pair[0][1]));
    for file in manifest["files"].as_array().unwrap() {
        let content = std::fs::read(output.join(file["name"].as_str().unwrap())).unwrap();
        assert_eq!((&file["sha256"], &file["bytes"]), (&json!(sha256(&content)), &json!(content.len())));
    }
    assert!(manifest["collected"]["tetherd"].is_string() && manifest["collected"]["bootId"].is_string());
    // The record's boot is none of this machine's: nothing of a process with that id is taken.
    assert!(not_kept(&manifest).contains("another boot"), "{manifest:#}");
    assert!(!output.join("live").exists());
}

#[test]
fn a_changed_record_shows() {
    let own = id("aa11");
    let directory =
        spool(vec![finding(&id("0001"), "before"), finding(&own, "one"), finding(&id("0002"), "after")]);
    let segment = directory.path().join("findings-000000000001.jsonl");
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replace("/tmp/one", "/tmp/two")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let output = place.path().join("case");
    let said = printed(reading(directory.path(), &["evidence", "aa11"]).arg("-o").arg(&output));
    let manifest = manifest(&output);
    let record = &manifest["records"][0];
    assert_eq!(
        (&record["previousMatches"], &record["nextMatches"]),
        (&json!(true), &json!(false)),
        "{record}"
    );
    assert_eq!(manifest["spool"]["breaks"], 1);
    assert!(said.contains("not kept: the spool's chain of hashes: 1 breaks"), "{said}");
}

#[test]
fn copies_are_what_their_names_say() {
    let content = b"#!/bin/sh\necho pwned\n".to_vec();
    let (sum, other, link) = (sha256(&content), "ab".repeat(32), "cd".repeat(32));
    let mut record = finding(&id("aa11"), "x");
    let mut file = |sum: &str| {
        let mut process = record.finding.processes[0].clone();
        process.binary = Some(serde_json::from_value(json!({"path": "/x", "sha256": sum})).unwrap());
        record.finding.processes.push(process);
    };
    ["../../../../etc/passwd", &sum, &other, &link, &"ef".repeat(32)].into_iter().for_each(&mut file);
    let directory = spool(vec![record]);
    let copies = directory.path().join("evidence");
    std::fs::create_dir(&copies).unwrap();
    std::fs::write(copies.join(&sum), &content).unwrap();
    std::fs::write(copies.join(&other), "changed").unwrap();
    symlink("/etc/passwd", copies.join(&link)).unwrap();
    let place = tempfile::tempdir().unwrap();
    let output = place.path().join("case");
    let said = printed(reading(directory.path(), &["evidence", "aa11"]).arg("-o").arg(&output));
    assert_eq!(std::fs::read(output.join("programs").join(&sum)).unwrap(), content);
    let mode = std::fs::metadata(output.join("programs").join(&sum)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(said.contains(&format!("the copy {other} as it was made")), "{said}");
    assert_eq!(std::fs::read(output.join("programs").join(&other)).unwrap(), b"changed");
    assert!(
        said.contains(&format!("the copy {link}")) && !output.join("programs").join(&link).exists(),
        "{said}"
    );
    // A link in place of the directory is not followed either.
    std::fs::rename(&copies, place.path().join("moved")).unwrap();
    symlink(place.path().join("moved"), &copies).unwrap();
    let again = place.path().join("again");
    printed(reading(directory.path(), &["evidence", "aa11"]).arg("-o").arg(&again));
    assert!(!again.join("programs").exists());
}

#[test]
fn refusals() {
    let directory = spool(vec![finding(&id("aa11"), "x"), finding(&id("ab22"), "x")]);
    let place = tempfile::tempdir().unwrap();
    let there = place.path().join("there");
    std::fs::create_dir(&there).unwrap();
    symlink("/nowhere", place.path().join("link")).unwrap();
    let run = |wanted: &str, output: &Path| {
        let output = reading(directory.path(), &["evidence", wanted]).arg("-o").arg(output).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    for (wanted, name, code, about) in [
        ("aa11", "there", 73, "there already"),
        ("aa11", "link", 73, "there already"),
        ("aa11", "no/such/place", 73, "cannot make"),
        ("aa11", "x.tar.gz", 64, "a directory or a .tar"),
        ("a", "x", 64, "2 findings begin with a"),
        ("ff", "x", 66, "no finding in"),
        ("\u{1b}[2J", "x", 66, "\\x1b[2J"),
    ] {
        let (status, said) = run(wanted, &place.path().join(name));
        assert!(status == Some(code) && said.contains(about), "{wanted:?} {name}: {status:?} {said}");
    }
    assert_eq!(std::fs::read_dir(&there).unwrap().count(), 0);
    let mut left: Vec<_> =
        std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["link", "there"], "nothing is left behind");
}

/// Whatever a record says: names in the bundle are tetherd's own, and the terminal is safe.
#[test]
fn hostile_records() {
    for text in TEXTS {
        let mut record = finding(&id("aa11"), text);
        record.finding.source_properties.insert(property::EVIDENCE_FILE.into(), json!({"sha256": text}));
        record
            .finding
            .source_properties
            .insert(property::RELATED_FINDINGS.into(), json!([{"id": text}, text, 7]));
        record.finding.source_properties.insert(property::BOOT_ID.into(), json!(text));
        let directory = spool(vec![record]);
        let place = tempfile::tempdir().unwrap();
        let output = place.path().join("case");
        let said = printed(reading(directory.path(), &["evidence", "aa11"]).arg("-o").arg(&output));
        assert!(!said.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{said:?}");
        let mut names: Vec<_> =
            std::fs::read_dir(&output).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["SHA256SUMS", "manifest.json", "records"], "{text:?}");
        assert!(sums_hold(&output));
    }
}

/// A spool that grows under it, and an archive that tar reads.
#[test]
fn an_archive() {
    let directory = spool(vec![finding(&id("aa11"), "x")]);
    append(directory.path(), &mut [finding(&id("aa11"), "y")]);
    let place = tempfile::tempdir().unwrap();
    let output = place.path().join("case.tar");
    printed(reading(directory.path(), &["evidence", "aa11"]).arg("-o").arg(&output));
    assert_eq!(std::fs::metadata(&output).unwrap().permissions().mode() & 0o777, 0o600);
    let mut tar = Command::new("tar");
    assert!(tar.arg("-xf").arg(&output).arg("-C").arg(place.path()).status().unwrap().success());
    assert!(sums_hold(&place.path().join("case")));
    assert_eq!(lines(&place.path().join("case/records/finding.jsonl")).len(), 2);
}
