//! What the tests on the real system share: the daemon under test, the attacker's side of a connection, the processes
//! on this side of it, and the finding that has to come of it.
//!
//! The proc connector is global: every daemon sees the attacks of every test. So each test knows its own findings by
//! the attacker's port or by a token in an argument, never by being the only one.

#![allow(dead_code, reason = "each test binary uses its own part of this module")]

pub mod attacker;
pub mod daemon;
pub mod expected;
pub mod finding;
pub mod hungfs;
pub mod mode;
pub mod notes;
pub mod programs;
pub mod relayed;
pub mod syslogd;
pub mod syslogs;
pub mod victim;
pub mod work;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long anything may take that has to happen.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// One test at a time, of those in one program that ask for it: each takes the machine to a limit of its own, and would be
/// another's storm.
pub fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks `ready` until it gives something; panics with `what` at the deadline.
pub fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    wait_at_most(DEADLINE, &mut ready).unwrap_or_else(|| panic!("not within {DEADLINE:?}: {what}"))
}

/// Asks `ready` until it gives something or the time is over.
pub fn wait_at_most<T>(time: Duration, mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + time;
    loop {
        if let Some(value) = ready() {
            return Some(value);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A word that no other test uses.
pub fn token() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("tthr{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A word for sleep(1) that nobody else uses, a fifth of a second: such a command is read on a machine that stands still for
/// a moment too, where one of a millisecond may have gone.
pub fn nap() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("0.2{:07}{:04}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Where a program is: an absolute path is itself, a name is looked for where root's programs are.
pub fn which(tool: &str) -> Option<PathBuf> {
    if tool.starts_with('/') {
        return Path::new(tool).exists().then(|| PathBuf::from(tool));
    }
    ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/local/sbin"]
        .iter()
        .map(|directory| Path::new(directory).join(tool))
        .find(|path| path.exists())
}

/// Whether this process is the superuser.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// What `require!` found missing: the test ends here, or fails where nothing may be left out.
pub fn skip(what: &str) {
    assert!(
        std::env::var_os("TETHERD_TESTS_STRICT").is_none_or(|value| value != "1"),
        "{what} is missing, and TETHERD_TESTS_STRICT=1 lets no test be skipped"
    );
    say(&format!("SKIPPED: {what} is missing"));
}

/// What the machine itself cannot give (a kernel option): skipped in every case, and said.
pub fn impossible(why: &str) {
    say(&format!("SKIPPED: not possible on this machine: {why}"));
}

/// Says something of the running test, also where it passes: what `eprintln!` prints is shown of failed ones only.
pub fn say(what: &str) {
    let name = std::thread::current().name().unwrap_or("?").to_owned();
    let _ = writeln!(std::io::stderr(), "{name}: {what}");
}

/// Ends the test, loudly, unless it runs as root and each of the programs is there.
#[macro_export]
macro_rules! require {
    ($($tool:expr),* $(,)?) => {
        if !$crate::common::is_root() {
            return $crate::common::skip("root");
        }
        $(if $crate::common::which($tool).is_none() {
            return $crate::common::skip($tool);
        })*
    };
}
