//! Shells under another name, replayed from scripts.

use std::fs::File;
use std::os::fd::OwnedFd;

use super::tests::{NULL, Script, tied};
use super::*;
use crate::model::detection::Severity;
use crate::model::recognised::{Behind, How, Recognised};
use crate::model::stdio::Backing;

fn shell(name: &str, how: How) -> Behind {
    Behind::Shell(Recognised { name: name.into(), how })
}

fn all() -> [Backing; 3] {
    [tied(5), tied(5), tied(5)]
}

/// Executes a program whose file can be read.
fn exec(script: &mut Script, pid: u32, path: &str, argv: &[&str], stdio: [Backing; 3]) -> Vec<Detection> {
    let mut look = script.look(pid, 1, argv, stdio);
    look.exe.path = path.as_bytes().to_vec();
    look.exe.handle = Some(Arc::new(OwnedFd::from(File::open("/dev/null").unwrap())));
    script.handle(Event::Look(Box::new(look)))
}

fn says(detection: &Detection, sentence: &str) -> bool {
    detection.evidence.iter().any(|said| said.contains(sentence))
}

#[test]
fn judged_by_what_it_is() {
    let same = || How::SameFile(b"/bin/bash".to_vec());
    for (name, how, said, argv, stdio, row) in [
        ("bash", same(), "the same file as /bin/bash", &["x"][..], all(), 1),
        (
            "dash",
            How::SameContent(b"/bin/sh".to_vec()),
            "the same content as /bin/sh",
            &["x", "-i"],
            all(),
            1,
        ),
        ("zsh", How::Characteristic, "what only zsh has", &["x", "-c", "id"], all(), 1),
        ("bash", same(), "bash under another name", &["x", "--rcfile", "f"], [tied(5), NULL, NULL], 2),
        ("mine", How::SameFile(b"/opt/mine".to_vec()), "/opt/mine", &["x"], [tied(5), NULL, NULL], 2),
        ("bash", same(), "bash under another name", &["x"], [NULL, tied(5), tied(5)], 3),
        (
            "busybox",
            How::Characteristic,
            "sh is an applet of busybox",
            &["x", "sh"],
            [tied(5), NULL, NULL],
            2,
        ),
        ("busybox", How::Characteristic, "sh is an applet of busybox", &["sh"], all(), 1),
        ("busybox", How::Characteristic, "cat is an applet of busybox", &["cat", "f"], all(), 1),
    ] {
        let mut script = Script::new();
        script.host.behind.insert(b"/tmp/x".to_vec(), shell(name, how));
        let found = exec(&mut script, 10, "/tmp/x", argv, stdio);
        assert_eq!(found.len(), 1, "{argv:?}");
        assert_eq!((found[0].row.number(), found[0].severity), (row, found[0].row.severity()), "{argv:?}");
        assert!(says(&found[0], said), "{argv:?}: {:?}", found[0].evidence);
        assert!(script.engine.take_losses().is_empty());
    }
    // With a line to execute it reads nothing from its stdin.
    let mut script = Script::new();
    script.host.behind.insert(b"/tmp/x".to_vec(), shell("bash", same()));
    assert!(exec(&mut script, 10, "/tmp/x", &["x", "-c", "id"], [tied(5), NULL, NULL]).is_empty());
}

#[test]
fn through_the_loader() {
    let mut script = Script::new();
    script.host.behind.insert(b"/tmp/x".to_vec(), shell("bash", How::Characteristic));
    let loader = "/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
    let argv = ["ld.so", "--preload", "/tmp/y", "--argv0", "nginx", "/tmp/x", "-i"];
    let found = exec(&mut script, 10, loader, &argv, [tied(5), NULL, NULL]);
    assert_eq!(found[0].row, Row::ShellReadsSocket);
    assert!(says(&found[0], "what only bash has") && says(&found[0], "started through ld-linux-x86-64.so.2"));
    let argv = ["ld.so", "/tmp/x", "script"];
    assert!(exec(&mut script, 11, loader, &argv, [tied(6), NULL, NULL]).is_empty());
    let argv = ["ld.so", "/tmp/other"];
    let found = exec(&mut script, 12, loader, &argv, [tied(7), tied(7), NULL]);
    assert_eq!((found[0].row, found[0].severity), (Row::OtherBothWays, Severity::Medium));
}

#[test]
fn who_is_not_asked_about() {
    let mut script = Script::new();
    for path in ["/bin/bash", "/bin/busybox", "/tmp/x"] {
        script.host.behind.insert(path.as_bytes().to_vec(), shell("zsh", How::Characteristic));
    }
    // A shell by its name, an applet by its name, and one without a tether.
    for (pid, path, argv) in [(10, "/bin/bash", &["bash"][..]), (11, "/bin/busybox", &["sh"])] {
        let found = exec(&mut script, pid, path, argv, [tied(u64::from(pid)), tied(u64::from(pid)), NULL]);
        assert!(!says(&found[0], "zsh"), "{:?}", found[0].evidence);
    }
    assert!(exec(&mut script, 12, "/tmp/x", &["x"], [NULL, NULL, NULL]).is_empty());
}

#[test]
fn an_argv0_that_lies() {
    for (path, argv0, lies) in [
        ("/bin/bash", "[kworker/0:1]", true),
        ("/bin/bash", "/usr/sbin/nginx", true),
        ("/bin/bash", "-bash", false),
        ("/bin/dash", "sh", false),
        ("/usr/bin/python3.11", "python3", false),
        ("/usr/bin/python3.11", "[kworker/0:1]", true),
        ("/bin/busybox", "sh", false),
    ] {
        let found = exec(&mut Script::new(), 10, path, &[argv0], all());
        assert_eq!(says(&found[0], "argv[0] says"), lies, "{path} {argv0}: {:?}", found[0].evidence);
    }
}

#[test]
fn an_answer_that_comes_late() {
    for (stdio, first) in [(all(), 1), ([tied(5), NULL, NULL], 0)] {
        let mut script = Script::new();
        script.host.behind.insert(b"/tmp/x".to_vec(), Behind::Late);
        let found = exec(&mut script, 10, "/tmp/x", &["x"], stdio);
        assert_eq!(found.len(), first);
        assert!(found.iter().all(|f| f.severity == Severity::Medium && says(f, "was not known in time")));
        assert_eq!(
            script.engine.take_losses(),
            [(Loss::ShellUnsettled, 1)],
            "once, however often it is asked"
        );
        assert!(script.tick(2 * SECOND).is_empty());
        script.host.behind.insert(b"/tmp/x".to_vec(), shell("bash", How::Characteristic));
        let found = script.tick(2 * SECOND);
        assert_eq!(found.len(), 1);
        assert!(found[0].severity >= Severity::High && says(&found[0], "what only bash has"));
        assert_eq!(found[0].process_count, 1);
        script.exit(10);
        assert_eq!(script.tick(3 * SECOND)[0].state, State::Inactive);
        assert!(script.engine.take_losses().is_empty());
    }
}

#[test]
fn an_answer_that_comes_late_about_one_of_another_incident() {
    let mut script = Script::new();
    script.exec(9, 1, &["sh"], all());
    script.host.behind.insert(b"/tmp/x".to_vec(), Behind::Late);
    let mut look = script.look(10, 9, &["x"], [tied(6), NULL, NULL]);
    look.exe.path = b"/tmp/x".to_vec();
    look.exe.handle = Some(Arc::new(OwnedFd::from(File::open("/dev/null").unwrap())));
    script.handle(Event::Look(Box::new(look)));
    script.host.behind.insert(b"/tmp/x".to_vec(), shell("bash", How::Characteristic));
    let found = script.tick(2 * SECOND);
    let counts: Vec<_> = found.iter().map(|f| (f.row.number(), f.process_count)).collect();
    assert!(counts.contains(&(2, 1)) && counts.contains(&(1, 2)), "{counts:?}");
    script.exit(10);
    script.exit(9);
    assert_eq!(script.tick(5 * SECOND).iter().filter(|f| f.state == State::Inactive).count(), 2);
}

#[test]
fn an_answer_that_never_comes() {
    let mut script = Script::new();
    script.host.behind.insert(b"/tmp/x".to_vec(), Behind::Unreadable("reading its file hung"));
    let found = exec(&mut script, 10, "/tmp/x", &["x"], all());
    assert!(found[0].row == Row::OtherBothWays && says(&found[0], "is not known: reading its file hung"));
    assert_eq!(script.engine.take_losses(), [(Loss::ShellUnsettled, 1)]);
    script.host.behind.insert(b"/tmp/y".to_vec(), Behind::Late);
    for pid in 100..400 {
        exec(&mut script, pid, "/tmp/y", &["y"], [tied(u64::from(pid)), NULL, NULL]);
    }
    script.tick(60 * SECOND);
    script.host.behind.insert(b"/tmp/y".to_vec(), shell("bash", How::Characteristic));
    assert!(script.tick(SECOND).iter().all(|f| f.row != Row::ShellReadsSocket), "they were given up");
}

#[test]
fn said_of_every_process_of_the_incident() {
    let mut script = Script::new();
    script.exec(9, 1, &["sh"], all());
    script.host.behind.insert(b"/tmp/x".to_vec(), shell("bash", How::Characteristic));
    exec(&mut script, 10, "/tmp/x", &["x"], all());
    let found = script.tick(2 * SECOND);
    assert_eq!(found[0].subject.key.pid, Pid(9));
    assert!(says(&found[0], "pid 10: the program is bash under another name"), "{:?}", found[0].evidence);
}
