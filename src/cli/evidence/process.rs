//! One living process, read into files.
//!
//! Owns: what of `/proc/PID` is kept and how much of it; the program itself; the sockets of its network namespace. Must not
//! own: which process. Links are read, never followed, but for the program, which the kernel opens and which has to be a
//! regular file. The reading is on threads that may hang: a program, or the pages of an argument, can be on a filesystem
//! of the intruder's.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;
use rustix::fs::{Dir, OFlags};

use crate::cli::evidence::NotKept;
use crate::cli::evidence::bundle::{Bundle, Part};
use crate::cli::failure::Failure;
use crate::enrich::shown_environment;
use crate::host::proc_dir::{ProcDir, file_id};
use crate::host::program_file::{read_pieces, reopen};
use crate::host::root::living;
use crate::model::ids::{Inode, ProcessKey};
use crate::model::look::FileId;
use crate::model::text::escape;

/// What a security module calls the process.
const LABEL: &CStr = c"attr/current";
/// Files that are kept as they are, and the most bytes of each (proc(5)).
const FILES: [(&CStr, usize); 14] = [
    (c"status", 64 << 10),
    (c"stat", 4 << 10),
    (c"cmdline", 1 << 20),
    (c"maps", 8 << 20),
    (c"mountinfo", 1 << 20),
    (c"cgroup", 64 << 10),
    (c"limits", 16 << 10),
    (c"loginuid", 64),
    (c"sessionid", 64),
    (LABEL, 4 << 10),
    (c"io", 4 << 10),
    (c"wchan", 4 << 10),
    (c"syscall", 4 << 10),
    (c"stack", 64 << 10),
];
/// Links whose text is kept.
const LINKS: [&CStr; 11] = [
    c"exe",
    c"cwd",
    c"root",
    c"ns/cgroup",
    c"ns/ipc",
    c"ns/mnt",
    c"ns/net",
    c"ns/pid",
    c"ns/time",
    c"ns/user",
    c"ns/uts",
];
/// Tables of sockets of a network namespace, and the most bytes of each.
const SOCKETS: [&CStr; 9] = [
    c"net/tcp",
    c"net/tcp6",
    c"net/udp",
    c"net/udp6",
    c"net/raw",
    c"net/raw6",
    c"net/unix",
    c"net/packet",
    c"net/arp",
];
const SOCKETS_MAX: usize = 4 << 20;
/// The most of an environment.
const ENVIRON_MAX: usize = 1 << 20;
/// The most names of variables without their values.
const NAMES_MAX: usize = 4096;
/// The most descriptors.
const FDS_MAX: usize = 4096;

/// How much is kept.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Variables whose values are kept; `None`: all.
    pub environment: Option<Vec<String>>,
    /// The most bytes of a program.
    pub program_bytes: u64,
    /// How long reading one process may take.
    pub patience: Duration,
}

/// Where what several processes share has been put.
#[derive(Debug, Default)]
pub struct Places {
    programs: BTreeMap<(u64, Inode), String>,
    networks: BTreeSet<Inode>,
}

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is kept.
    Kept,
    /// It had ended.
    Gone,
    /// Reading it took too long.
    Hung,
}

/// What was read.
#[derive(Debug, Default)]
struct Read {
    files: Vec<(String, Vec<u8>, bool)>,
    sockets: Vec<(String, Vec<u8>, bool)>,
    problems: Vec<(String, String)>,
    network: Option<Inode>,
    program: Option<(OwnedFd, FileId)>,
}

/// Reads a process and puts it below `directory`.
pub fn keep(
    bundle: &mut Bundle,
    key: ProcessKey,
    directory: &str,
    limits: &Limits,
    places: &mut Places,
    missing: &mut NotKept,
) -> Result<Outcome, Failure> {
    let environment = limits.environment.clone();
    let read = within(limits.patience, move || living(key).map(|dir| read(&dir, environment.as_deref())));
    let what = format!("process {}", key.pid);
    let Some(read) = read else {
        missing.add(what, "reading it hung");
        return Ok(Outcome::Hung);
    };
    let Some(read) = read else { return Ok(Outcome::Gone) };
    // A file of /proc holds to the life that it was opened for: what was read is this process's.
    let from = |name: &str| format!("/proc/{}/{name}", key.pid);
    for (name, content, truncated) in &read.files {
        bundle.add(&format!("{directory}/{}", name.replace('/', "-")), &from(name), content, *truncated)?;
    }
    for (name, why) in read.problems {
        missing.add(format!("{what}: {name}"), why);
    }
    if let Some(network) = read.network.filter(|network| places.networks.insert(*network)) {
        for (name, content, truncated) in &read.sockets {
            let name = name.trim_start_matches("net/");
            let place = format!("live/net-{network}/{name}");
            bundle.add(&place, &from(&format!("net/{name}")), content, *truncated)?;
        }
    }
    match read.program {
        Some((handle, file)) => {
            program(bundle, (handle, file), directory, &from("exe"), limits, places, missing)
        }
        None => Ok(Outcome::Kept),
    }
}

/// Everything but the program's content.
fn read(dir: &ProcDir, environment: Option<&[String]>) -> Read {
    let mut read = Read::default();
    for (name, most) in FILES {
        match dir.read(name, most) {
            Ok((content, truncated)) => read.files.push((text(name), content, truncated)),
            // No security module gives labels (proc_pid_attr(5)): nothing is missing.
            Err(error) if name == LABEL && error.raw_os_error() == Some(libc::EINVAL) => {}
            Err(error) => read.problems.push((text(name), error.to_string())),
        }
    }
    match dir.read(c"environ", ENVIRON_MAX) {
        Ok((content, truncated)) => {
            let content = match environment {
                None => content,
                Some(allowed) => listed(&content, truncated, allowed),
            };
            read.files.push(("environ".into(), content, truncated));
        }
        Err(error) => read.problems.push(("environ".into(), error.to_string())),
    }
    let mut links = String::new();
    for name in LINKS {
        let target =
            dir.link(name).map(|target| escape(&target)).unwrap_or_else(|error| format!("({error})"));
        links.push_str(&format!("{}\t{target}\n", text(name)));
    }
    read.files.push(("links.tsv".into(), links.into_bytes(), false));
    match descriptors(dir) {
        Ok((table, truncated)) => read.files.push(("fds.tsv".into(), table.into_bytes(), truncated)),
        Err(error) => read.problems.push(("fd".into(), error.to_string())),
    }
    read.network = dir.namespace(c"ns/net", b"net:[");
    for name in SOCKETS {
        // A kernel without that protocol has no such file.
        if let Ok((content, truncated)) = dir.read(name, SOCKETS_MAX) {
            read.sockets.push((text(name), content, truncated));
        }
    }
    match dir.exe_handle().and_then(|handle| Ok((file_id(&handle)?, handle))) {
        Ok((file, handle)) => read.program = Some((handle, file)),
        Err(error) => read.problems.push(("exe".into(), error.to_string())),
    }
    read
}

/// Values by the list, names of the rest.
fn listed(content: &[u8], truncated: bool, allowed: &[String]) -> Vec<u8> {
    let shown = shown_environment(content, truncated, allowed, NAMES_MAX);
    let mut text =
        String::from("# Values by [enrich] environment_values, names of the rest; --full keeps all.\n");
    for (name, value) in &shown.values {
        text.push_str(&format!("{name}={}\n", escape(value.as_bytes())));
    }
    for name in &shown.names {
        text.push_str(&format!("{name}\n"));
    }
    if shown.more > 0 {
        text.push_str(&format!("# and {} more\n", shown.more));
    }
    text.into_bytes()
}

/// Each descriptor: what it is, its flags, its position.
fn descriptors(dir: &ProcDir) -> std::io::Result<(String, bool)> {
    let open = dir.open_below(c"fd", OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut numbers: Vec<u32> = Dir::read_from(&open)?
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str().ok()?.parse().ok())
        .take(FDS_MAX + 1)
        .collect();
    numbers.sort_unstable();
    let truncated = numbers.len() > FDS_MAX;
    let mut table = String::from("fd\topen_file\tinfo\n");
    for number in numbers.into_iter().take(FDS_MAX) {
        let of = |what: &str| CString::new(format!("{what}/{number}")).unwrap_or_default();
        let target = dir.link(&of("fd")).map(|target| escape(&target));
        let info = dir.read(&of("fdinfo"), 4096).map(|(text, _)| text).unwrap_or_default();
        let info: Vec<String> =
            info.split(|&b| b == b'\n').filter(|line| !line.is_empty()).map(escape).collect();
        let target = target.unwrap_or_else(|error| format!("({error})"));
        table.push_str(&format!("{number}\t{target}\t{}\n", info.join("; ").replace("\\t", " ")));
    }
    Ok((table, truncated))
}

/// A copy of what runs, once for each file.
fn program(
    bundle: &mut Bundle,
    (handle, file): (OwnedFd, FileId),
    directory: &str,
    from: &str,
    limits: &Limits,
    places: &mut Places,
    missing: &mut NotKept,
) -> Result<Outcome, Failure> {
    let id = (file.device, file.inode);
    if let Some(place) = places.programs.get(&id) {
        bundle.add(&format!("{directory}/exe.is"), from, format!("{place}\n").as_bytes(), false)?;
        return Ok(Outcome::Kept);
    }
    let name = format!("{directory}/exe");
    let part = bundle.begin(&name, from)?;
    let (most, until) = (limits.program_bytes.min(bundle.room()), Instant::now() + limits.patience);
    // A moment more than the copy gives itself: what hangs is one read that does not return.
    let copied = within(limits.patience + Duration::from_secs(1), move || copy(&handle, part, most, until));
    match copied {
        Some(Ok(part)) => {
            bundle.end(part, file.size > most)?;
            places.programs.insert(id, name);
            Ok(Outcome::Kept)
        }
        Some(Err(why)) => {
            bundle.forget(&name);
            missing.add(from, why);
            Ok(Outcome::Kept)
        }
        None => {
            bundle.forget(&name);
            missing.add(from, "reading it hung");
            Ok(Outcome::Hung)
        }
    }
}

fn copy(handle: &OwnedFd, mut part: Part, most: u64, until: Instant) -> Result<Part, &'static str> {
    let open: File = reopen(handle)?;
    let mut failed = false;
    read_pieces(&open, most, until, |piece| {
        failed |= part.put(piece).is_err();
        !failed
    })?;
    if failed { Err("the copy could not be written") } else { Ok(part) }
}

/// Does it on a thread that is left behind if it takes too long.
fn within<T: Send + 'static>(time: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, answer) = bounded(1);
    let begun = thread::Builder::new().name("tetherd-evidence".into()).spawn(move || {
        let _ = done.send(work());
    });
    begun.ok()?;
    answer.recv_timeout(time).ok()
}

fn text(name: &CStr) -> String {
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ids::Pid;

    #[test]
    fn reads_itself_by_the_list() {
        let dir = ProcDir::open(Pid(std::process::id())).unwrap();
        let allowed = vec!["PATH".to_owned()];
        let read = read(&dir, Some(&allowed));
        let named = |wanted: &str| {
            let found = read.files.iter().find(|(name, ..)| name == wanted);
            String::from_utf8_lossy(&found.unwrap_or_else(|| panic!("no {wanted}")).1).into_owned()
        };
        assert!(named("status").contains("Pid:") && named("maps").contains("r-xp"));
        assert!(named("environ").lines().all(|line| !line.contains('=') || line.starts_with("PATH=")));
        assert!(named("links.tsv").contains("ns/net\tnet:["));
        assert!(named("fds.tsv").lines().count() > 3, "{}", named("fds.tsv"));
        assert!(read.program.is_some() && read.network.is_some());
        assert!(read.sockets.iter().any(|(name, ..)| name == "net/tcp"));
    }

    #[test]
    fn what_hangs_is_left() {
        let (hold, never) = bounded::<()>(0);
        assert_eq!(within(Duration::from_millis(20), move || never.recv().is_ok()), None);
        assert_eq!(within(Duration::from_secs(20), || 7), Some(7));
        drop(hold);
    }
}
