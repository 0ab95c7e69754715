//! A program's file that is replaced, cut short or rewritten while it is read.

use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::finding::Finding;
use crate::common::victim::Victim;
use crate::{alone, found, is_of, on_socket, require, still_finds};

/// How large the program is: reading it takes a while.
const SIZE: u64 = 16 << 20;

fn make(path: &Path) {
    // By another process: a descriptor open for writing could be inherited by what another test starts.
    assert!(Command::new("cp").args(["/bin/sleep".as_ref(), path]).status().unwrap().success());
    assert!(Command::new("truncate").args(["-s", &SIZE.to_string()]).arg(path).status().unwrap().success());
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn sum(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap().to_owned()
}

/// Runs a program on a socket for a moment and lets `change` do something to its file meanwhile and after.
fn run(daemon: &Daemon, path: &Path, change: impl Fn()) -> (Vec<Finding>, u32) {
    let port = Listener::tcp().swallow();
    let mut command = Command::new(path);
    command.arg("0.8");
    let (mut victim, own): (Victim, u16) = on_socket(port, command);
    let end = Instant::now() + Duration::from_millis(1000);
    while Instant::now() < end {
        change();
        // A thousand times a second is often enough, and fills no disk.
        std::thread::sleep(Duration::from_millis(1));
    }
    let pid = victim.pid();
    victim.wait();
    // A record that waits for no digest comes first, and the last one has none any more.
    daemon.wait_for("its end", |record| is_of(record, own) && record.state() == "INACTIVE");
    let records: Vec<Finding> = daemon.records().into_iter().filter(|record| is_of(record, own)).collect();
    (records, pid)
}

#[test]
fn changed_while_it_is_hashed() {
    require!("sha256sum", "truncate");
    let _alone = alone();
    let daemon = Daemon::start("[enrich]\ndigest_wait_ms = 1000\n");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("program");
    type Change = fn(&Path, &Path);
    let changes: [(&str, Change); 4] = [
        ("replaced", |path, other| {
            let _ = std::fs::copy(other, path.with_extension("new"));
            let _ = std::fs::rename(path.with_extension("new"), path);
        }),
        ("rewritten", |path, _| {
            if let Ok(file) = std::fs::File::options().write(true).open(path) {
                let _ = file.write_all_at(b"another", SIZE - 4096);
            }
        }),
        ("cut short", |path, _| {
            if let Ok(file) = std::fs::File::options().write(true).open(path) {
                let _ = file.set_len(SIZE / 2);
                let _ = file.set_len(SIZE);
            }
        }),
        ("grown", |path, _| {
            if let Ok(file) = std::fs::File::options().append(true).open(path) {
                let _ = std::io::Write::write_all(&mut &file, &[0; 65_536]);
            }
        }),
    ];
    for (what, change) in changes {
        make(&path);
        let old = sum(&path);
        let (records, pid) = run(&daemon, &path, || change(&path, Path::new("/bin/true")));
        let mut said: Vec<String> = Vec::new();
        for record in records {
            let binary = &record.process(pid).unwrap()["binary"];
            let shown = binary["sha256"].as_str();
            assert!(shown.is_none_or(|shown| shown == old), "{what}: a digest of a mixture: {binary}");
            said.push(shown.map_or_else(|| record.property("Enrichment_Status").to_string(), str::to_owned));
        }
        said.dedup();
        eprintln!("{what}: {said:?}");
        std::fs::remove_file(&path).unwrap();
    }
    still_finds(&daemon);
    daemon.stop();
}

/// A shell under another name whose file changes while it is looked into: a finding in any case, with the shell's name or a
/// sentence that says why that is not known.
#[test]
fn a_disguised_shell_that_is_rewritten() {
    require!("dash");
    let _alone = alone();
    let daemon = Daemon::shared();
    let directory = tempfile::tempdir().unwrap();
    for n in 0..10 {
        let path = directory.path().join(format!("apache{n}"));
        assert!(Command::new("cp").args(["/bin/dash".as_ref(), path.as_path()]).status().unwrap().success());
        let port = Listener::tcp().swallow();
        let mut command = Command::new(&path);
        command.args(["-c", "read line"]);
        let (_victim, own) = on_socket(port, command);
        let new = path.with_extension("new");
        std::fs::copy("/bin/true", &new).unwrap();
        std::fs::rename(&new, &path).unwrap();
        let record = found(daemon, own);
        assert!(record.row() == 1 || record.row() == 7, "{}", record.brief());
        assert!(
            record.says("dash under another name") || record.says("whether the program is a shell"),
            "{}",
            record.property("Evidence")
        );
    }
}
