//! Destinations as the operator meets them: the configuration, the log, the status, the metrics.

use std::fs;
use std::net::UdpSocket;
use std::process::Command;

use nix::sys::signal::Signal;
use serde_json::Value;
use tetherd::spool::cursor::Cursor;

use super::ground::Ground;
use super::receiver::{Arrived, Datagram};
use crate::common::daemon::{Daemon, Place, tetherd};
use crate::common::wait_for;
use crate::require;

/// A place whose spool has records already.
pub fn place(extra: &str) -> std::sync::Arc<Place> {
    let place = Place::new(extra);
    let ground = Ground::new(20);
    for entry in fs::read_dir(ground.spool()).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, place.spool().join(path.file_name().unwrap())).unwrap();
    }
    place
}

pub fn destination(daemon: &Daemon, name: &str) -> Value {
    let status = daemon.status();
    let list = status["deliver"].as_array().unwrap().clone();
    list.into_iter().find(|one| one["name"] == name).unwrap_or_else(|| panic!("{name} in {status}"))
}

#[test]
fn status_metrics_and_the_end_of_a_destination() {
    require!("gcc");
    let place = place("");
    let (log, metrics) = (place.path("log"), place.path("x.prom"));
    let control = format!("metrics_file = \"{}\"", metrics.display());
    let write = |extra: &str| {
        place.configure(extra);
        let text = fs::read_to_string(place.config()).unwrap();
        fs::write(place.config(), text.replacen("[control]\n", &format!("[control]\n{control}\n"), 1))
            .unwrap();
    };
    let block = |name: &str, transport: &str, address: &str| {
        format!("[[deliver]]\nname = \"{name}\"\ntransport = \"{transport}\"\naddress = \"{address}\"\n")
    };
    let well = block("well", "unix-datagram", log.to_str().unwrap());
    write(&format!("{well}{}", block("away", "tcp", "127.0.0.1:1")));
    let arrived = Arrived::default();
    let _receiver = Datagram::new(&log, &arrived);
    let daemon = Daemon::start_in(&place);
    wait_for("the well one has all", || (arrived.lock().unwrap().len() >= 20).then_some(()));
    wait_for("it is idle", || (destination(&daemon, "well")["state"] == "idle").then_some(()));
    wait_for("the trouble", || (destination(&daemon, "away")["state"] == "failing").then_some(()));
    let away = destination(&daemon, "away");
    assert!(
        away["last_error"].as_str().unwrap().starts_with("cannot be reached (Connection refused"),
        "{away}"
    );
    assert!(away["lag_records"].as_u64() >= Some(20) && away["failures"].as_u64() >= Some(1), "{away}");
    assert_eq!(destination(&daemon, "syslog")["state"], "off");
    assert_eq!(daemon.status()["syslog"]["enabled"], false);
    let said = daemon.said();
    let told = said.lines().filter(|line| line.contains("away: 127.0.0.1:1 cannot be reached")).count();
    assert_eq!(told, 1, "{said}");
    wait_for("the metrics", || {
        let text = fs::read_to_string(&metrics).unwrap_or_default();
        let has = |line: &str| text.lines().any(|found| found.starts_with(line));
        (has("tetherd_deliver_up{destination=\"away\"} 0")
            && has("tetherd_deliver_up{destination=\"well\"} 1")
            && has("tetherd_deliver_total{destination=\"well\",kind=\"sent\"} ")
            && has("tetherd_deliver_lag_records{destination=\"away\"} "))
        .then_some(())
    });
    let shown = tetherd(&["status", "--config", place.config().to_str().unwrap()]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("deliver  away (tcp 127.0.0.1:1, scc): failing; 0 sent,"), "{shown}");
    assert!(shown.contains(": it cannot be reached (Connection refused"), "{shown}");
    assert!(shown.contains("deliver  syslog ("), "{shown}");

    // A reload says what it cannot do.
    write(&well);
    daemon.signal(Signal::SIGHUP);
    wait_for("the reload", || daemon.said().contains("[[deliver]]").then_some(()));
    assert!(Cursor::names(&place.spool()).unwrap().contains(&"away".to_owned()));
    daemon.stop();
    // After the restart, the destination is gone, and so is its cursor; the other one goes on.
    let before = arrived.lock().unwrap().len();
    let daemon = Daemon::start_in(&place);
    wait_for("it is idle", || (destination(&daemon, "well")["state"] == "idle").then_some(()));
    assert!(daemon.said().contains("away: no destination any more; its cursor, which stood behind record 0"));
    assert!(!Cursor::names(&place.spool()).unwrap().contains(&"away".to_owned()));
    let again = arrived.lock().unwrap()[before..].iter().filter(|line| line.contains("203.0.113.9")).count();
    assert_eq!(again, 0, "what was delivered does not come again");
    daemon.stop();
}

/// The resolver never answers: that is waited for in a thread of its own, and said; everything else goes on.
#[test]
fn a_resolver_that_hangs() {
    require!("unshare", "mount");
    let silent = UdpSocket::bind("127.53.53.53:53").unwrap();
    let place = place("");
    let (log, resolver) = (place.path("log"), place.path("resolv.conf"));
    fs::write(&resolver, "nameserver 127.53.53.53\noptions timeout:30 attempts:5\n").unwrap();
    place.configure(&format!(
        "[[deliver]]\nname = \"hangs\"\ntransport = \"tcp\"\naddress = \"siem.tetherd.example:601\"\n\
         [[deliver]]\nname = \"well\"\ntransport = \"unix-datagram\"\naddress = \"{}\"\n",
        log.display()
    ));
    let arrived = Arrived::default();
    let _receiver = Datagram::new(&log, &arrived);
    let plain = place.command();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", "mount --bind \"$0\" /etc/resolv.conf && exec \"$@\""]);
    command.arg(&resolver).arg(plain.get_program()).args(plain.get_args());
    command.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::null());
    command.stderr(std::process::Stdio::piped());
    let daemon = Daemon::start_by(&place, command);
    wait_for("the other one has all", || (arrived.lock().unwrap().len() >= 20).then_some(()));
    let said =
        wait_for("the deadline", || destination(&daemon, "hangs")["last_error"].as_str().map(str::to_owned));
    assert!(said.contains("its name was not resolved within 10 s"), "{said}");
    // It was asked once, and still is.
    let mut question = [0; 512];
    assert!(silent.recv(&mut question).unwrap() > 0);
    let threads = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
    let names = threads.map(|task| fs::read_to_string(task.unwrap().path().join("comm")).unwrap_or_default());
    assert_eq!(names.filter(|name| name == "resolve\n").count(), 1);
    daemon.stop();
}
