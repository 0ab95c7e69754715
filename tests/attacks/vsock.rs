//! Shells over virtual machine sockets (vsock(7)), on this machine's own context id.

use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Command, Stdio};

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, VsockAddr, bind, connect, getsockname, listen, socket,
};

use crate::common::attacker::{Session, chosen_port};
use crate::common::daemon::Daemon;
use crate::common::finding::Finding;
use crate::common::mode::is_seen;
use crate::common::programs::program;
use crate::common::victim::Victim;
use crate::common::{impossible, wait_for};
use crate::require;

/// `VMADDR_CID_LOCAL`: this machine.
const LOCAL: u32 = 1;

fn new_socket() -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(AddressFamily::Vsock, SockType::Stream, flags, None)
}

/// A listener on this machine's own id and a port of the kernel's choice; `None` where the kernel has no such loopback
/// (CONFIG_VSOCKETS_LOOPBACK, module vsock_loopback).
fn listener() -> Option<(OwnedFd, u32)> {
    // Where it is a module, nothing loads it by itself. Where there is none, binding says so.
    let _ = Command::new("modprobe").arg("vsock_loopback").stderr(Stdio::null()).status();
    let listener = new_socket().ok()?;
    bind(listener.as_raw_fd(), &VsockAddr::new(LOCAL, u32::MAX)).ok()?;
    listen(&listener, Backlog::new(8).unwrap()).unwrap();
    let port = getsockname::<VsockAddr>(listener.as_raw_fd()).unwrap().port();
    Some((listener, port))
}

/// Uses the shell, and holds its finding against what there is to see.
fn prove(mut session: Session, mut victim: Victim, direction: &str) {
    let shell = session.shell_pid();
    let daemon = Daemon::shared();
    let is_it = |record: &Finding| record.row() == 1 && record.process(shell).is_some();
    let found = daemon.wait_for("the shell over vsock", is_it);
    assert_eq!(found.text("Socket_Protocol"), "VSOCK", "{}", found.brief());
    assert_eq!(found.text("Peer_Scope"), "loopback", "{}", found.brief());
    assert_eq!(found.severity(), "HIGH", "lowered for loopback: {}", found.brief());
    assert_eq!(found.text("Tether_Direction"), direction, "{}", found.brief());
    assert!(is_seen(daemon, "live", found.text("Observation")), "{}", found.brief());
    assert!(found.connections().is_empty(), "the API has no words for it: {}", found.brief());
    session.run("(sleep 0.2; echo) | /bin/cat; :");
    session.exit();
    victim.wait();
    let ended =
        daemon.wait_for("its end", |record| record.id() == found.id() && record.state() == "INACTIVE");
    assert!(ended.ran(&["/bin/cat"]), "{}", ended.brief());
}

#[test]
fn reverse_shell() {
    require!("gcc");
    Daemon::shared();
    let Some((listener, port)) = listener() else { return impossible("the kernel has no vsock loopback") };
    let port = port.to_string();
    let victim = Victim::start(program("attack"), &["dup", "vsock:1", &port, "012", "/bin/sh"]);
    let accepted = wait_for("the shell connects", || rustix::net::accept(&listener).ok());
    prove(Session::on_socket(accepted), victim, "outbound");
}

#[test]
fn bind_shell() {
    require!("gcc");
    Daemon::shared();
    if listener().is_none() {
        return impossible("the kernel has no vsock loopback");
    }
    let port = chosen_port();
    let mut command = Command::new(program("attack"));
    command.args(["accept", "vsock:1", &port.to_string(), "-", "/bin/sh"]);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    let victim = Victim::ready(command, "listening");
    let dialled = new_socket().unwrap();
    // It does not block: the connection is there as soon as the session can be written to.
    let _ = connect(dialled.as_raw_fd(), &VsockAddr::new(LOCAL, port.into()));
    prove(Session::on_socket(dialled), victim, "inbound");
}
