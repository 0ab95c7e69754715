//! Ready, reload, stop.

use nix::sys::signal::Signal;

use crate::common::daemon::Place;
use crate::manager::Manager;
use crate::require;

#[test]
fn ready_reload_stop() {
    require!();
    let place = Place::new("");
    let manager = Manager::start(&place, None);
    assert_eq!(manager.hears("READY=1"), "READY=1\nSTATUS=listening");

    manager.daemon.signal(Signal::SIGHUP);
    assert!(manager.hears("RELOADING=1").contains("\nMONOTONIC_USEC="));
    assert_eq!(manager.hears("READY=1"), "READY=1\nSTATUS=listening");

    place.configure("[watch]\nnothing_of_that_name = true\n");
    manager.daemon.signal(Signal::SIGHUP);
    manager.hears("RELOADING=1");
    let said = manager.hears("READY=1");
    assert!(said.contains("\nSTATUS=listening; the last reload was refused: "), "{said}");
    assert!(said.contains("nothing_of_that_name") && said.lines().count() == 2, "{said}");
    assert_eq!(manager.daemon.count("reloads_refused"), 1);

    manager.daemon.signal(Signal::SIGTERM);
    manager.hears("STOPPING=1");
}

/// Without a manager nothing is sent anywhere; with a name that nobody can mean neither.
#[test]
fn nobody_waits_for_it() {
    require!();
    let place = Place::new("");
    let mut command = place.command();
    command.env("NOTIFY_SOCKET", "@tetherd-nobody-listens").env("WATCHDOG_USEC", "soon");
    crate::common::daemon::Daemon::start_by(&place, command).stop();
}
