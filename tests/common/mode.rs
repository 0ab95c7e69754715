//! The way of hearing of execs (`[sensor] fanotify`) that the daemons under test run with.
//!
//! Owns: `TETHERD_TESTS_FANOTIFY` and what it means to a configuration. A configuration that names a mode of its own
//! keeps it.

use super::daemon::Daemon;
use super::say;

/// The environment variable.
pub const VARIABLE: &str = "TETHERD_TESTS_FANOTIFY";

/// What the variable may say.
pub const MODES: [&str; 3] = ["off", "notify", "hold"];

/// What a test expects of a program that `hold` does not always hold.
pub const EITHER: &str = "live or held";

/// The mode that is asked for; `off`, which is the program's own default, if none is.
pub fn mode() -> &'static str {
    let Some(asked) = std::env::var_os(VARIABLE) else { return MODES[0] };
    let known = MODES.into_iter().find(|mode| asked == *mode);
    known.unwrap_or_else(|| panic!("{VARIABLE} is {asked:?}: it may be {}", MODES.join(", ")))
}

/// A configuration with the mode that is asked for, unless it names one.
pub fn with_mode(configuration: &str, mode: &str) -> String {
    const TABLE: &str = "[sensor]\n";
    if configuration.lines().any(|line| line.trim_start().starts_with("fanotify")) {
        return configuration.to_owned();
    }
    let line = format!("fanotify = \"{mode}\"\n");
    match configuration.split_once(TABLE) {
        Some((before, after)) => format!("{before}{TABLE}{line}{after}"),
        None => format!("{configuration}\n{TABLE}{line}"),
    }
}

/// The mode in which a daemon really runs.
pub fn mode_of(daemon: &Daemon) -> String {
    daemon.status()["fanotify"]["mode"].as_str().unwrap_or_default().to_owned()
}

/// Whether a look's observation is the one that this mode gives: `live`, and in `hold`, `held`. A daemon that let
/// somebody go unread, because the machine was too busy for its deadline, has counted that; then `live` will do, and
/// it is said.
pub fn is_seen(daemon: &Daemon, expected: &str, seen: &str) -> bool {
    if expected == EITHER {
        return seen == "live" || mode() == "hold" && seen == "held";
    }
    if mode() != "hold" || expected != "live" {
        return seen == expected;
    }
    if seen == "held" {
        return true;
    }
    let late = daemon.lost("deadline_missed") + daemon.lost("hold_full");
    let excused = seen == "live" && (late > 0 || mode_of(daemon) != "hold");
    if excused {
        let now = mode_of(daemon);
        say(&format!("NOT HELD: the machine was too busy ({late} let go unread, the mode is now {now})"));
    }
    excused
}
