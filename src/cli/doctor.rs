//! `tetherd doctor`.
//!
//! Owns: the list of checks, and for each what to do. Must not own: the mechanisms (`sensor::probe`).

use std::path::Path;

use serde_json::json;

use crate::cli::args::Json;
use crate::cli::failure::Failure;
use crate::cli::status::ask;
use crate::cli::{config, out, shown};
use crate::config::Config;
use crate::deliver::settings::{Destination, Transport};
use crate::deliver::tls::files;
use crate::model::exit::Exit;
use crate::model::text::escape;
use crate::sensor::probe::{Probe, probe};
use crate::sensor::settings::FanotifyMode;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Ok,
    Warn,
    Fail,
}

struct Check {
    outcome: Outcome,
    name: &'static str,
    what: String,
    remedy: &'static str,
}

/// Runs all checks; exit code 1 where one fails.
pub fn doctor(arguments: &Json) -> Result<Exit, Failure> {
    let config = config(&arguments.common)?;
    let tried = probe(&config.sensor);
    let mut checks = vec![privileges(), kernel(), connector(&tried), buffer(&tried), canary(&tried)];
    checks.extend([realtime(&tried), getfd(&tried), diag(&tried), hold(&config, &tried), watchdog(&config)]);
    checks.push(hidepid());
    checks.extend(config.destinations().iter().map(destination));
    checks.extend([spool(&config.spool.directory), listeners(), daemon(&config)]);
    let failed = checks.iter().any(|check| check.outcome == Outcome::Fail);
    let mut text = String::new();
    for check in &checks {
        let word = match check.outcome {
            Outcome::Ok => "ok",
            Outcome::Warn => "warn",
            Outcome::Fail => "FAIL",
        };
        if arguments.json {
            let remedy = if check.outcome == Outcome::Ok { "" } else { check.remedy };
            let line = json!({"check": check.name, "outcome": word, "what": check.what, "remedy": remedy});
            text.push_str(&format!("{line}\n"));
        } else {
            text.push_str(&format!("{word:<5}{:<15}{}", check.name, escape(check.what.as_bytes())));
            if check.outcome != Outcome::Ok {
                text.push_str(&format!(": {}", check.remedy));
            }
            text.push('\n');
        }
    }
    out::print(&text)?;
    Ok(if failed { Exit::Findings } else { Exit::Ok })
}

fn check(name: &'static str, outcome: Outcome, what: impl Into<String>, remedy: &'static str) -> Check {
    Check { outcome, name, what: what.into(), remedy }
}

/// The effective capabilities of this process.
pub fn capabilities() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

fn privileges() -> Check {
    const NEEDED: [(&str, u32); 4] =
        [("CAP_NET_ADMIN", 12), ("CAP_SYS_PTRACE", 19), ("CAP_DAC_READ_SEARCH", 2), ("CAP_SYS_NICE", 23)];
    let effective = capabilities().unwrap_or(0);
    let missing: Vec<&str> =
        NEEDED.iter().filter(|(_, bit)| effective & (1 << bit) == 0).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        check("capabilities", Outcome::Ok, "all that are needed", "")
    } else {
        check("capabilities", Outcome::Fail, format!("missing {}", missing.join(", ")), "run as root")
    }
}

fn kernel() -> Check {
    // Not from /proc, which may show nothing but processes.
    let uname = nix::sys::utsname::uname();
    let release = uname.as_ref().map(|uname| uname.release().to_string_lossy()).unwrap_or_default();
    let mut numbers = release.split(['.', '-', '+']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let what = format!("Linux {release}");
    match version {
        (major, minor, _) if (major, minor) < (5, 3) => {
            check("kernel", Outcome::Fail, what, "pidfd_open is missing; use Linux 5.6 or newer")
        }
        (5, minor, _) if minor < 6 => {
            check("kernel", Outcome::Warn, what, "pidfd_getfd is missing; sockets are looked up more slowly")
        }
        (6, 6, patch) if (13..=17).contains(&patch) => check(
            "kernel",
            Outcome::Warn,
            what,
            "this version may fall silent after an overflow (c46bfba1337d); the canary notices, but update it",
        ),
        (6, 7, patch) if (1..=5).contains(&patch) => check(
            "kernel",
            Outcome::Warn,
            what,
            "this version may fall silent after an overflow (c46bfba1337d); the canary notices, but update it",
        ),
        _ => check("kernel", Outcome::Ok, what, ""),
    }
}

fn connector(tried: &Probe) -> Check {
    match &tried.connector {
        Ok(_) => check("connector", Outcome::Ok, "the kernel takes us as a listener", ""),
        Err(why) => check("connector", Outcome::Fail, why.clone(), "nothing can be found until this works"),
    }
}

fn buffer(tried: &Probe) -> Check {
    match &tried.connector {
        Ok(found) if found.events_held >= 20_000 => {
            check("buffer", Outcome::Ok, format!("room for {} events", found.events_held), "")
        }
        Ok(found) => check(
            "buffer",
            Outcome::Warn,
            format!("room for {} events only", found.events_held),
            "CAP_NET_ADMIN lets it grow beyond net.core.rmem_max",
        ),
        Err(_) => check("buffer", Outcome::Fail, "not tried", "see connector"),
    }
}

fn canary(tried: &Probe) -> Check {
    match tried.connector.as_ref().map(|found| found.canary) {
        Ok(Some(time)) => check("canary", Outcome::Ok, format!("heard after {} us", time.as_micros()), ""),
        Ok(None) => check(
            "canary",
            Outcome::Fail,
            "no event came for a process of our own",
            "run in the host's PID, user and network namespaces, or start the machine anew",
        ),
        Err(_) => check("canary", Outcome::Fail, "not tried", "see connector"),
    }
}

fn realtime(tried: &Probe) -> Check {
    match tried.connector.as_ref().map(|found| found.realtime) {
        Ok(true) => check("real time", Outcome::Ok, "SCHED_FIFO granted", ""),
        _ => check(
            "real time",
            Outcome::Warn,
            "SCHED_FIFO not granted",
            "give CAP_SYS_NICE, or very short processes are missed under load",
        ),
    }
}

fn getfd(tried: &Probe) -> Check {
    match &tried.getfd {
        Ok(()) => check("pidfd_getfd", Outcome::Ok, "sockets can be asked directly", ""),
        Err(why) => check(
            "pidfd_getfd",
            Outcome::Warn,
            why.clone(),
            "give CAP_SYS_PTRACE, or use Linux 5.6 or newer; slower lookups are used",
        ),
    }
}

fn diag(tried: &Probe) -> Check {
    match &tried.diag {
        Ok(()) => check("sock_diag", Outcome::Ok, "answers", ""),
        Err(why) => check("sock_diag", Outcome::Warn, why.clone(), "modprobe inet_diag tcp_diag udp_diag"),
    }
}

fn hold(config: &Config, tried: &Probe) -> Check {
    let mode = config.sensor.fanotify;
    match &tried.hold {
        Ok(()) => {
            check("fanotify", Outcome::Ok, format!("execs can be held; configured: {}", mode.name()), "")
        }
        Err(why) if mode == FanotifyMode::Hold => check(
            "fanotify",
            Outcome::Warn,
            format!("execs cannot be held: {why}"),
            "give CAP_SYS_ADMIN, and use a kernel with CONFIG_FANOTIFY_ACCESS_PERMISSIONS",
        ),
        Err(why) => check(
            "fanotify",
            Outcome::Ok,
            format!("execs could not be held ({why}); configured: {}", mode.name()),
            "",
        ),
    }
}

/// The kernel's own watch over those who hold execs; it only writes to the kernel log.
fn watchdog(config: &Config) -> Check {
    let seconds = std::fs::read_to_string("/proc/sys/fs/fanotify/watchdog_timeout");
    match seconds.as_deref().map(str::trim) {
        Ok("0") if config.sensor.fanotify == FanotifyMode::Hold => check(
            "watchdog",
            Outcome::Warn,
            "fs.fanotify.watchdog_timeout is 0",
            "set it to 20, so that the kernel log names whoever holds execs and does not answer",
        ),
        Ok("0") => check("watchdog", Outcome::Ok, "fs.fanotify.watchdog_timeout is off, and not needed", ""),
        Ok(set) => check("watchdog", Outcome::Ok, format!("fs.fanotify.watchdog_timeout is {set} s"), ""),
        Err(_) => check("watchdog", Outcome::Ok, "this kernel has no fs.fanotify.watchdog_timeout", ""),
    }
}

/// How `/proc` is mounted, as this process sees it: the last mount there is the one that counts.
fn proc_options(mounts: &str) -> Vec<&str> {
    let mut options = "";
    for line in mounts.lines() {
        let mut fields = line.split(' ').skip(1);
        if let (Some("/proc"), Some(found)) = (fields.next(), fields.nth(1)) {
            options = found;
        }
    }
    options.split(',').filter(|option| !option.is_empty()).collect()
}

fn hidepid() -> Check {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let options = proc_options(&mounts);
    let hidden = options
        .iter()
        .any(|option| option.starts_with("hidepid=") && !matches!(*option, "hidepid=0" | "hidepid=off"));
    if hidden && capabilities().unwrap_or(0) & (1 << 19) == 0 {
        return check("hidepid", Outcome::Fail, "/proc hides others' processes", "give CAP_SYS_PTRACE");
    }
    if options.contains(&"subset=pid") {
        return check(
            "hidepid",
            Outcome::Warn,
            "/proc shows processes and nothing else (subset=pid)",
            "start it where all of /proc is there (systemd: ProcSubset=all): without a boot id, names of findings come \
             again after the machine's restart",
        );
    }
    check("hidepid", Outcome::Ok, if hidden { "set, and no hindrance" } else { "not set" }, "")
}

/// One check for each destination. Nothing is sent: a receiver far away is not asked.
fn destination(destination: &Destination) -> Check {
    use std::os::unix::fs::FileTypeExt;
    let (name, path) = (&destination.name, destination.path());
    if !destination.enabled {
        return check("deliver", Outcome::Ok, format!("{name}: switched off"), "");
    }
    if !destination.transport().is_local() {
        let (transport, address) = (destination.transport().name(), &destination.address);
        if destination.transport() == Transport::Tls
            && let Some(unfit) =
                files::load(&destination.tls).err().and_then(|found| found.into_iter().next())
        {
            let what = format!("{name}: {} {}", unfit.key, unfit.what);
            return check(
                "deliver",
                Outcome::Warn,
                what,
                "findings wait in the spool; tetherd check-config says what to do",
            );
        }
        return check("deliver", Outcome::Ok, format!("{name}: {transport} to {address}, not asked"), "");
    }
    match std::fs::metadata(path) {
        Ok(found) if found.file_type().is_socket() => {
            check("deliver", Outcome::Ok, format!("{name}: {} is there", shown(path)), "")
        }
        _ => check(
            "deliver",
            Outcome::Warn,
            format!("{name}: {} is no socket", shown(path)),
            "findings wait in the spool; start what listens there, or switch the destination off (enabled = false)",
        ),
    }
}

fn spool(directory: &Path) -> Check {
    let there = directory.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let Ok(space) = nix::sys::statvfs::statvfs(there) else {
        return check(
            "spool",
            Outcome::Fail,
            format!("{} cannot be reached", shown(directory)),
            "name another",
        );
    };
    if space.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY) {
        return check(
            "spool",
            Outcome::Fail,
            format!("{} is read-only", shown(directory)),
            "name another with --spool",
        );
    }
    let free = space.blocks_available().saturating_mul(space.fragment_size()) >> 20;
    let what = format!("{}: {free} MiB free", shown(directory));
    if free < 128 {
        return check("spool", Outcome::Warn, what, "make room, or the oldest findings are dropped");
    }
    check("spool", Outcome::Ok, what, "")
}

fn listeners() -> Check {
    let table = std::fs::read_to_string("/proc/net/netlink").unwrap_or_default();
    let count = table
        .lines()
        .filter(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let groups = fields.get(3).and_then(|groups| u32::from_str_radix(groups, 16).ok()).unwrap_or(0);
            fields.get(1) == Some(&"11") && groups & 1 != 0
        })
        .count();
    check("listeners", Outcome::Ok, format!("{count} on the proc connector besides this check"), "")
}

fn daemon(config: &Config) -> Check {
    match ask(&config.control.socket, "status") {
        Ok(status) if status["fanotify"]["mode"] != status["fanotify"]["asked"] => check(
            "daemon",
            Outcome::Warn,
            format!(
                "runs, pid {}, and has given up fanotify mode {} for {}: {}",
                status["pid"],
                status["fanotify"]["asked"],
                status["fanotify"]["mode"],
                status["fanotify"]["why"]
            ),
            "restart it to try again, and report what keeps its answers late",
        ),
        Ok(status) => check("daemon", Outcome::Ok, format!("runs, pid {}", status["pid"]), ""),
        Err(_) => check("daemon", Outcome::Warn, "none answers", "start it with `tetherd run`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_of_proc_that_counts() {
        let mounts = "proc /proc proc rw,nosuid 0 0\nnone /proc/x tmpfs rw 0 0\nproc /proc proc rw,hidepid=invisible,subset=pid 0 0\n";
        assert_eq!(proc_options(mounts), ["rw", "hidepid=invisible", "subset=pid"]);
        assert!(proc_options("").is_empty());
    }
}
