//! Servers and agents that start commands.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::relayed::{is_on, wait_or_show};
use crate::common::victim::Victim;
use crate::common::work::{Work, answers};
use crate::require;

/// One fixed helper for each request, a hundred times.
#[test]
fn a_web_application_with_one_helper() {
    require!("/usr/bin/python3", "curl");
    let mut work = Work::new();
    let port = work.port();
    let script = work.write(
        "app.py",
        "import http.server,subprocess,sys\n\
         class H(http.server.BaseHTTPRequestHandler):\n\
         \x20def log_message(self,*a): pass\n\
         \x20def do_GET(self):\n\
         \x20 out=subprocess.run(['df','-h'],capture_output=True,stdin=subprocess.PIPE).stdout\n\
         \x20 out+=subprocess.check_output('expr 1 + 2',shell=True)\n\
         \x20 self.send_response(200); self.end_headers(); self.wfile.write(out)\n\
         http.server.ThreadingHTTPServer(('127.0.0.1',int(sys.argv[1])),H).serve_forever()\n",
    );
    let server = work.started("/usr/bin/python3", &[script.to_str().unwrap(), &port.to_string()]);
    answers(port);
    work.bash(&format!(
        "for i in $(seq 100); do curl -sS http://127.0.0.1:{port}/ | tail -1 | grep -q 3; done"
    ));
    drop(server);
    work.stays_quiet();
}

/// A broker: connections stay open, and the children have /dev/null or a log pipe, never a way back.
#[test]
fn a_broker_with_silent_children() {
    require!("/usr/bin/python3");
    let mut work = Work::new();
    let port = work.port();
    let script = work.write(
        "broker.py",
        "import socket,subprocess,sys,os\n\
         l=socket.create_server(('127.0.0.1',int(sys.argv[1]))); log=subprocess.Popen(['cat'],stdin=subprocess.PIPE)\n\
         N=subprocess.DEVNULL\n\
         while True:\n\
         \x20c,_=l.accept()\n\
         \x20if not c.recv(10): continue\n\
         \x20for cmd in ('id','hostname','uname -a','df'):\n\
         \x20 subprocess.run(cmd.split(),stdin=N,stdout=N,stderr=N)\n\
         \x20 subprocess.run(['sh','-c',cmd],stdin=N,stdout=log.stdin,stderr=log.stdin)\n\
         \x20c.sendall(b'done')\n",
    );
    let server = work.started("/usr/bin/python3", &[script.to_str().unwrap(), &port.to_string()]);
    answers(port);
    work.bash(&format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port}; printf x >&3; read -rn4 answer <&3; test $answer = done"
    ));
    drop(server);
    work.stays_quiet();
}

/// Standard output is a stream to rsyslogd, which has a connection to its collector.
#[test]
fn services_behind_rsyslogd() {
    require!("/usr/sbin/rsyslogd", "bash");
    let mut work = Work::new();
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = collector.local_addr().unwrap().port();
    work.ports.push(port);
    let here = work.directory.path().display().to_string();
    let config = work.write(
        "rsyslog.conf",
        &format!(
            "module(load=\"imptcp\")\ninput(type=\"imptcp\" path=\"{here}/log\")\n\
             *.* action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{port}\" protocol=\"tcp\")\n"
        ),
    );
    let pid = work.path("pid").display().to_string();
    let daemon = work.started("/usr/sbin/rsyslogd", &["-n", "-f", config.to_str().unwrap(), "-i", &pid]);
    let stream = crate::common::wait_for("rsyslogd listens", || UnixStream::connect(work.path("log")).ok());
    let stdio = || Stdio::from(OwnedFd::from(stream.try_clone().unwrap()));
    let mut command = Command::new("/bin/bash");
    command.args(["-c", "id; hostname; for i in 1 2 3; do uname -a; df; sleep 0.2; done"]);
    command.current_dir(&here).stdin(Stdio::null()).stdout(stdio()).stderr(stdio());
    assert!(Victim::spawn(command).wait().success());
    // What a service says reaches the collector: rsyslogd did have its connection.
    let (mut connection, _) = collector.accept().unwrap();
    let mut heard = [0; 16];
    std::io::Read::read_exact(&mut connection, &mut heard).unwrap();
    drop(daemon);
    work.stays_quiet();
}

/// An agent or editor that keeps a shell open on a socketpair, and has one connection that has nothing to do with it:
/// nothing that can be seen tells it from node's reverse shell, so there is a finding, with the severity of its peer; an
/// allow rule that names the relay excuses it.
#[test]
fn a_shell_kept_open_beside_an_unrelated_connection() {
    require!("/usr/bin/python3");
    let text = "import socket,subprocess,sys\n\
        c=socket.create_connection(('127.0.0.1',int(sys.argv[1]))); a,b=socket.socketpair()\n\
        p=subprocess.Popen(['/bin/sh'],stdin=b,stdout=b,stderr=b); b.close(); a.sendall(b'id -u\\n'); a.recv(10)\n\
        c.recv(1)";
    let copy = tempfile::tempdir().unwrap();
    let agent = copy.path().join("agent");
    std::fs::copy(std::fs::canonicalize("/usr/bin/python3").unwrap(), &agent).unwrap();
    let daemon = Daemon::start("");
    let run = || {
        let attacker = Listener::tcp();
        let mut command = Command::new(&agent);
        command.args(["-c", text, &attacker.port().to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
        command.env("PYTHONHOME", "/usr");
        (Victim::spawn(command), attacker.accept(), attacker.port())
    };
    let (victim, session, port) = run();
    let found = wait_or_show(&daemon, &[port], "row 4 of the kept shell", |record| record.row() == 4);
    assert_eq!(found.severity(), "HIGH", "{}", found.brief());
    drop((session, victim));
    std::fs::write(
        daemon.place().path("rules.d/50-agent.toml"),
        format!(
            "[[allow]]\nname = \"agent\"\nreason = \"keeps a shell open\"\nrelay = [\"{}\"]\n",
            agent.display()
        ),
    )
    .unwrap();
    daemon.signal(nix::sys::signal::Signal::SIGHUP);
    crate::common::wait_for("the rule is there", || daemon.said().contains("reload").then_some(()));
    let (victim, session, port) = run();
    daemon.judged();
    // Over the second looks.
    let came = crate::common::wait_at_most(std::time::Duration::from_secs(2), || {
        daemon.place().findings().into_iter().find(|record| is_on(record, &[port]))
    });
    assert!(came.is_none(), "{}", came.unwrap().brief());
    drop((session, victim));
}

/// A parent with a connection, whose children's input and output never meet it.
#[test]
fn a_client_whose_children_talk_to_each_other() {
    require!("/usr/bin/python3", "bash");
    let mut work = Work::new();
    let port = Listener::tcp().swallow();
    work.ports.push(port);
    let text = "import socket,subprocess,sys\n\
        c=socket.create_connection(('127.0.0.1',int(sys.argv[1])))\n\
        subprocess.run(['bash','-c',\"echo 'id; uname -a; ls; sleep 0.4; hostname' | sh | cat | sort >out\"],check=True)";
    let mut victim = work.started("/usr/bin/python3", &["-c", text, &port.to_string()]);
    assert!(victim.wait().success());
    work.stays_quiet();
}
