//! Network clients in pipelines: bytes go one way only, or to where their user sent them.

use crate::common::attacker::Listener;
use crate::common::daemon::Daemon;
use crate::common::work::{Work, answers};
use crate::require;

#[test]
fn downloads_that_take_a_while() {
    require!("/usr/bin/python3", "curl", "tar");
    let mut work = Work::new();
    let port = work.port();
    let script = work.write(
        "slow.py",
        "import http.server,sys,time\n\
         class H(http.server.BaseHTTPRequestHandler):\n\
         \x20def do_GET(self):\n\
         \x20 self.send_response(200); self.end_headers()\n\
         \x20 for line in ('id','uname -a','ls','hostname'):\n\
         \x20  self.wfile.write(line.encode()+b'\\n'); self.wfile.flush(); time.sleep(0.3)\n\
         http.server.ThreadingHTTPServer(('127.0.0.1',int(sys.argv[1])),H).serve_forever()\n",
    );
    let server = work.started("/usr/bin/python3", &[script.to_str().unwrap(), &port.to_string()]);
    answers(port);
    let url = format!("http://127.0.0.1:{port}/");
    // The installer runs while the download still comes, over several second looks.
    work.bash(&format!("curl -sSN {url} | sh"));
    work.bash(&format!("curl -sSN {url} | sudo -n sh 2>/dev/null || curl -sSN {url} | env sh -s"));
    work.bash(&format!("x=$(curl -sSN {url}); y=$(curl -sSN {url} | tail -1); test \"$y\" = hostname"));
    work.bash(&format!("sh -c \"$(curl -sSN {url})\"; source <(curl -sSN {url})"));
    work.bash(&format!("curl -sSN {url} | grep -c id | sort; (wget -qO- {url} || true) | head -2 | cat"));
    drop(server);
    work.stays_quiet();
}

#[test]
fn what_a_user_sends_with_netcat() {
    require!("nc.openbsd", "nc.traditional", "tar");
    let mut work = Work::new();
    let port = Listener::tcp().swallow();
    work.ports.push(port);
    work.bash(&format!("printf 'hello\\n' | nc.openbsd -N 127.0.0.1 {port}"));
    work.bash(&format!("(id; uname -a; hostname; sleep 0.5; ls; df) | nc.openbsd -N 127.0.0.1 {port}"));
    work.bash(&format!("for c in id hostname 'uname -a'; do $c | nc.openbsd -N 127.0.0.1 {port}; done"));
    work.bash(&format!(
        "sh -c 'id; sleep 0.3; cat /etc/passwd' | gzip | nc.traditional -q0 127.0.0.1 {port}"
    ));
    work.bash(&format!("tar cf - /etc/apt 2>/dev/null | nc.openbsd -N 127.0.0.1 {port}"));
    work.stays_quiet();
}

#[test]
fn what_a_user_receives_with_netcat() {
    require!("nc.openbsd", "tar", "gawk");
    let mut work = Work::new();
    let port = work.port();
    work.bash("mkdir tree; seq 1000 > tree/numbers");
    work.bash(&format!(
        "nc.openbsd -l 127.0.0.1 {port} | tar xf - --transform s/tree/got/ & \
         until tar cf - tree | nc.openbsd -N 127.0.0.1 {port} 2>/dev/null; do :; done; wait; cmp tree/numbers got/numbers"
    ));
    work.bash(&format!(
        "(seq 9; sleep 0.5; echo last) | nc.openbsd -N -l 127.0.0.1 {port} & \
         until nc.openbsd -d 127.0.0.1 {port} 2>/dev/null | grep --line-buffered . | awk '{{print $1}}' | grep last; do :; done; wait"
    ));
    work.stays_quiet();
}

/// A filter that starts when both connections stand: what comes from one goes on to the other.
#[test]
fn a_filter_between_two_clients() {
    require!("bash", "nc.openbsd");
    let mut work = Work::new();
    let (from, to) = (Listener::tcp(), Listener::tcp());
    work.ports.extend([from.port(), to.port()]);
    let line = format!(
        "nc.openbsd -N 127.0.0.1 {} | (until [ -e go ]; do sleep 0.01; done; exec grep --line-buffered .) | nc.openbsd -N 127.0.0.1 {}",
        from.port(),
        to.port()
    );
    let pipeline = work.started("bash", &["-c", &line]);
    let (mut source, mut sink) = (from.accept(), to.accept());
    work.write("go", "");
    source.send("b\na\n");
    sink.hear("b\na\n");
    // It has to be looked at while both connections stand.
    Daemon::shared().judged();
    drop((source, sink, pipeline));
    work.stays_quiet();
}

#[test]
fn a_database_client_with_a_pager_and_a_script() {
    require!("redis-server", "redis-cli");
    let mut work = Work::new();
    let port = work.port().to_string();
    let server = work.started("redis-server", &["--port", &port, "--bind", "127.0.0.1", "--save", ""]);
    answers(port.parse().unwrap());
    work.bash(&format!("redis-cli -p {port} info | cat | sort | head -3 >/dev/null || true"));
    work.bash(&format!("(echo set a 1; sleep 0.3; echo get a) | redis-cli -p {port} | grep 1"));
    work.bash(&format!("for k in a b c; do v=$(redis-cli -p {port} get $k | tr -d '\"'); echo \"$v\"; done"));
    drop(server);
    work.stays_quiet();
}

/// A script that sends measurements over a connection of its own, and runs pipelines meanwhile.
#[test]
fn a_script_that_sends_measurements() {
    require!("bash", "gawk");
    let mut work = Work::new();
    let port = Listener::tcp().swallow();
    work.ports.push(port);
    work.bash(&format!(
        "exec 9<>/dev/tcp/127.0.0.1/{port}; for i in 1 2 3; do df | awk '{{print $1}}' | sort >x; \
         ps ax | grep -c sh >>x; ls | wc -l >>x; echo \"m $(wc -l <x)\" >&9; done"
    ));
    work.stays_quiet();
}
