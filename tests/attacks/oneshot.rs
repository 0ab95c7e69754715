//! Single commands that live about a millisecond: a service runs one on each connection that it accepts.

use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::common::attacker::{Session, chosen_port};
use crate::common::daemon::Daemon;
use crate::common::finding::arguments_of;
use crate::common::mode::{is_seen, mode};
use crate::common::notes::note;
use crate::common::programs::program;
use crate::common::victim::Victim;
use crate::common::{say, token};
use crate::require;

/// How many calls.
const CALLS: usize = 20;
/// Without `hold` nobody waits, and the arguments are read after the exec: a few commands may be found with their descriptors
/// alone. The rest of the time is for a machine that is busy with other tests.
const UNREAD_MAX: usize = CALLS / 5;

/// Calls the service many times, one after another; each call's finding has to name the command.
fn serve(command: &[&str], answer: &str) {
    let port = chosen_port();
    let mut start = Command::new(program("attack"));
    start.args(["serve", "127.0.0.1", &port.to_string(), &CALLS.to_string()]).args(command);
    start.stdin(Stdio::null());
    let mut victim = Victim::ready(start, "listening");
    let daemon = Daemon::shared();
    let callers: Vec<u16> = (0..CALLS)
        .map(|_| {
            let mut session = Session::on(TcpStream::connect(("127.0.0.1", port)).unwrap());
            let caller = session.attacker().port();
            assert!(session.rest().contains(answer), "the service answers");
            caller
        })
        .collect();
    assert!(victim.wait().success());
    let mut unread = 0;
    for caller in callers {
        let found = daemon.wait_for(&format!("{command:?} for the caller at {caller}"), |record| {
            record.peer_port() == Some(caller) && record.own_port() == Some(port)
        });
        assert_eq!(found.text("Tether_Direction"), "inbound", "{}", found.brief());
        assert_eq!(found.numbers("Socket_Fds"), [0, 1, 2], "{}", found.brief());
        note(daemon, &found);
        if mode() != "hold" && found.processes().iter().all(|process| arguments_of(process).is_empty()) {
            unread += 1;
            continue;
        }
        assert_eq!(found.row(), 1, "{}", found.brief());
        assert_eq!(found.severity(), "HIGH", "{}", found.brief());
        assert!(is_seen(daemon, "live", found.text("Observation")), "{}", found.brief());
        let losses = daemon.status()["losses"].to_string();
        assert!(found.ran(command), "{} {losses}", found.brief());
    }
    if unread > 0 {
        say(&format!(
            "NOT READ: {unread} of {CALLS} times {command:?} had ended before its arguments were read"
        ));
    }
    assert!(unread <= UNREAD_MAX, "{unread} of {CALLS} were not read");
}

/// Each call in a network namespace of its own, which is gone when the command is. The port is one of those that the
/// kernel gives out: only who looks there at once can see that it is listened on. So it is not dialled before somebody
/// listens: the kernel could give the caller that very port, and the caller would be connected to itself.
#[test]
fn echo_in_a_network_namespace_that_is_gone_at_once() {
    require!("gcc", "bash", "unshare", "ip");
    let daemon = Daemon::shared();
    let serve = program("attack");
    for port in 40_404..40_414 {
        let token = token();
        let line = format!(
            "ip link set lo up; {} serve 127.0.0.1 {port} 1 /bin/echo {token} & \
             until grep -q ' 0A ' /proc/self/net/tcp; do :; done; exec 5<>/dev/tcp/127.0.0.1/{port}; read -r line <&5; [ \"$line\" = {token} ]",
            serve.display()
        );
        let status = Victim::start("unshare", &["--net", "bash", "-c", &line]).wait();
        assert!(status.success(), "the service answers: {status}");
        let found = daemon.wait_for("the command in its own network namespace", |record| {
            record.own_port() == Some(port) && record.ran(&["/bin/echo", &token])
        });
        assert_eq!(found.text("Tether_Direction"), "inbound", "{}", found.brief());
        assert!(is_seen(daemon, "live", found.text("Observation")), "{}", found.brief());
    }
}

#[test]
fn id() {
    require!("gcc");
    Daemon::shared();
    serve(&["/usr/bin/id"], "uid=0");
}

#[test]
fn cat_of_a_file() {
    require!("gcc");
    Daemon::shared();
    serve(&["/bin/cat", "/etc/passwd"], "root:");
}

#[test]
fn a_shell_with_a_line() {
    require!("gcc");
    Daemon::shared();
    serve(&["/bin/sh", "-c", "echo one; echo two"], "two");
}
