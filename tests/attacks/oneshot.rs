//! Single commands that live about a millisecond: a service runs one on each connection that it accepts.

use std::net::TcpStream;
use std::process::{Command, Stdio};

use crate::common::attacker::{Session, chosen_port};
use crate::common::daemon::Daemon;
use crate::common::programs::program;
use crate::common::victim::Victim;
use crate::require;

/// Calls the service many times, one after another; each call's finding has to name the command.
fn serve(command: &[&str], answer: &str) {
    const CALLS: usize = 20;
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
    for caller in callers {
        let found = daemon.wait_for(&format!("{command:?} for the caller at {caller}"), |record| {
            record.peer_port() == Some(caller) && record.own_port() == Some(port)
        });
        assert_eq!(found.row(), 1, "{}", found.brief());
        assert_eq!(found.severity(), "HIGH", "{}", found.brief());
        assert_eq!(found.text("Tether_Direction"), "inbound", "{}", found.brief());
        assert_eq!(found.text("Observation"), "live", "{}", found.brief());
        assert_eq!(found.numbers("Socket_Fds"), [0, 1, 2], "{}", found.brief());
        assert!(found.ran(command), "{}", found.brief());
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
