//! The watchdog: the manager hears that the daemon lives only as long as each of its threads gets on.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use nix::sys::stat::Mode;

use crate::common::daemon::Place;
use crate::common::{attacker, victim, wait_for};
use crate::manager::Manager;
use crate::require;

/// How long the manager waits for a sign of life. It is given four times as often.
const SECONDS: u64 = 4;
/// Long enough for three signs of life.
const A_WHILE: Duration = Duration::from_secs(SECONDS);

/// Whoever opens this for writing waits for a reader.
fn trap(path: &Path) {
    nix::unistd::mkfifo(path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
}

/// Lets go who waits, and everybody after it.
fn release(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).custom_flags(nix::libc::O_NONBLOCK).open(path).unwrap()
}

#[test]
fn signs_of_life() {
    require!();
    let manager = Manager::start(&Place::new(""), Some(SECONDS));
    for _ in 0..3 {
        manager.hears("WATCHDOG=1");
    }
    manager.daemon.stop();
}

/// One thread of a destination hangs, all others go on: the manager hears nothing more, and the journal which one it is.
#[test]
fn a_thread_that_hangs() {
    require!("/bin/sh");
    for (destination, settings) in [
        ("syslog", "[syslog]\npath = \"LOG\"\n"),
        ("further", "[[deliver]]\nname = \"further\"\ntransport = \"unix-datagram\"\naddress = \"LOG\"\n"),
    ] {
        a_destination_hangs(destination, settings);
    }
}

fn a_destination_hangs(name: &str, settings: &str) {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let receiver = UnixDatagram::bind(&log).unwrap();
    // What nobody reads is not accepted, and nothing is stored of it. It ends with the test.
    std::thread::spawn(move || while receiver.recv(&mut [0; 9000]).is_ok() {});
    let place = Place::new(&settings.replace("LOG", &log.display().to_string()));
    let manager = Manager::start(&place, Some(SECONDS));
    manager.hears("WATCHDOG=1");

    let sent = || {
        let status = manager.daemon.status();
        let all = status["deliver"].as_array().unwrap();
        all.iter().find(|one| one["name"] == name).unwrap()["sent"].as_u64().unwrap()
    };
    let cursor = place.spool().join(format!(".cursor.{name}.tmp"));
    trap(&cursor);
    let before = sent();
    let attacker = attacker::Listener::tcp();
    let stream = std::net::TcpStream::connect(("127.0.0.1", attacker.port())).unwrap();
    let _victim = victim::Victim::on_socket(&stream, "/bin/sh", &["-c", "read line"]);
    let stands = format!("watchdog: the thread {name} has been at one thing");
    wait_for("the thread is seen to stand still", || manager.daemon.said().contains(&stands).then_some(()));
    // What was sent before that.
    while manager.next(Duration::ZERO).is_some() {}
    assert_eq!(manager.next(A_WHILE), None, "the manager hears nothing while a thread hangs");
    assert!(sent() > before, "all others go on");

    let _reader = release(&cursor);
    manager.hears("WATCHDOG=1");
    let goes_on = format!("watchdog: the thread {name} goes on");
    wait_for("that it is said", || manager.daemon.said().contains(&goes_on).then_some(()));
}

/// The main thread, which gives the signs of life.
#[test]
fn the_main_thread_hangs() {
    require!();
    let directory = tempfile::tempdir().unwrap();
    let metrics = directory.path().join("tetherd.prom");
    let temporary = directory.path().join("tetherd.prom.new");
    let place = Place::new("");
    place.control(&format!("metrics_file = \"{}\"", metrics.display()));
    let manager = Manager::start(&place, Some(SECONDS));
    manager.hears("WATCHDOG=1");
    wait_for("metrics", || metrics.exists().then_some(()));
    // Between two writings there is no such file.
    wait_for("a moment between two writings", || {
        nix::unistd::mkfifo(&temporary, Mode::S_IRUSR | Mode::S_IWUSR).ok()
    });
    assert_eq!(manager.hears_within("nothing", A_WHILE / 4), None);
    while manager.next(Duration::ZERO).is_some() {}
    assert_eq!(manager.next(A_WHILE), None);
    let _reader = release(&temporary);
    manager.hears("WATCHDOG=1");
}
