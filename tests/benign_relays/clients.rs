//! Network clients in pipelines, one case a test: nothing flows back into the client.

use crate::common::attacker::Listener;
use crate::common::victim::Victim;
use crate::common::work::{Work, answers};
use crate::require;

/// A web server over the work's directory `web`, and its URL.
fn web(work: &mut Work) -> (Victim, String) {
    let port = work.port();
    work.bash("mkdir web; seq 1000 >web/file; tar czf web/file.tgz web/file; printf 'id\\nuname -a\\n' >web/install.sh");
    let (root, number) = (work.path("web"), port.to_string());
    let arguments =
        ["-m", "http.server", &number, "--bind", "127.0.0.1", "--directory", root.to_str().unwrap()];
    let server = work.started("/usr/bin/python3", &arguments);
    answers(port);
    (server, format!("http://127.0.0.1:{port}"))
}

#[test]
fn a_download_into_tar() {
    require!("/usr/bin/python3", "curl", "tar");
    let mut work = Work::new();
    let (_server, url) = web(&mut work);
    work.bash(&format!("mkdir got; curl -sS {url}/file.tgz | tar xzf - -C got; cmp web/file got/web/file"));
    work.stays_quiet();
}

#[test]
fn an_installer_into_sh() {
    require!("/usr/bin/python3", "curl");
    let mut work = Work::new();
    let (_server, url) = web(&mut work);
    let output = work.bash(&format!("curl -sS {url}/install.sh | sh"));
    assert!(output.stdout.starts_with(b"uid="));
    work.stays_quiet();
}

#[test]
fn a_download_in_a_substitution() {
    require!("/usr/bin/python3", "curl");
    let mut work = Work::new();
    let (_server, url) = web(&mut work);
    work.bash(&format!(
        "x=$(curl -sS {url}/file | tail -1); test \"$x\" = 1000; eval \"$(curl -sS {url}/install.sh)\""
    ));
    work.stays_quiet();
}

#[test]
fn netcat_into_grep() {
    require!("nc.openbsd");
    let mut work = Work::new();
    let port = work.port();
    work.bash(&format!(
        "(seq 99; hostname) | nc.openbsd -N -l 127.0.0.1 {port} & \
         until nc.openbsd -d 127.0.0.1 {port} 2>/dev/null | grep -c 9; do :; done; wait"
    ));
    work.stays_quiet();
}

#[test]
fn printf_into_netcat() {
    require!("nc.openbsd");
    let mut work = Work::new();
    let port = Listener::tcp().swallow();
    work.ports.push(port);
    work.bash(&format!("printf 'PUT x\\n' | nc.openbsd -N 127.0.0.1 {port}"));
    work.stays_quiet();
}

#[test]
fn a_netcat_listener_into_tar() {
    require!("nc.openbsd", "tar");
    let mut work = Work::new();
    let port = work.port();
    work.bash("mkdir tree; seq 1000 >tree/numbers");
    work.bash(&format!(
        "nc.openbsd -l 127.0.0.1 {port} | tar xf - --transform s/tree/got/ & \
         until tar cf - tree | nc.openbsd -N 127.0.0.1 {port} 2>/dev/null; do :; done; wait; cmp tree/numbers got/numbers"
    ));
    work.stays_quiet();
}
