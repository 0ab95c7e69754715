//! What is done to the daemon itself.
//!
//! Owns: noticing that it was stopped or is traced, that its program, unit, configuration, rules or control socket were changed
//! or removed, that its cgroup is another; each is said once as it changes. Must not own: the records (`record_thread`), what
//! follows from a change: nothing does, people decide. Root can do all of this, and more that nobody notices (SECURITY.md); it
//! shall at least not look like a quiet node.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::model::clock::SECOND;
use crate::model::text::escape;

/// Between two looks.
const EVERY_NS: u64 = 5 * SECOND;
/// The main thread comes here once a second; after this long it did not run. Suspending the machine does not count: CLOCK_MONOTONIC
/// stands meanwhile (clock_gettime(2)).
const STOPPED_NS: u64 = 5 * SECOND;
/// The most bytes of a file in /proc.
const PROC_MAX: u64 = 16 << 10;
/// The most files in a directory that are looked at.
const FILES_MAX: usize = 512;

/// Where a unit of systemd's can be (systemd.unit(5)).
const UNITS: [&str; 6] = [
    "/etc/systemd/system/tetherd.service",
    "/etc/systemd/system/tetherd.service.d",
    "/run/systemd/system/tetherd.service",
    "/run/systemd/system/tetherd.service.d",
    "/usr/lib/systemd/system/tetherd.service",
    "/lib/systemd/system/tetherd.service",
];

/// Something was done to the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What kind of thing, for filters: `stopped`, `traced`, `file`, `cgroup`.
    pub kind: &'static str,
    /// A sentence without the full stop; what others wrote is escaped.
    pub what: String,
}

/// What a file is: which one, how long, last changed when. `None`: not there.
type Stamp = Option<(u64, u64, u64, i64, i64)>;

/// What is looked at, as it was the last time.
#[derive(Debug)]
pub struct SelfWatch {
    proc: PathBuf,
    watched: Vec<(PathBuf, &'static str)>,
    stamps: BTreeMap<PathBuf, (Stamp, &'static str)>,
    tracer: u32,
    cgroup: String,
    last_tick_ns: u64,
    next_ns: u64,
}

impl SelfWatch {
    /// Notes how everything is now. `config`: the configuration file; `rules`: the directory of rules; `socket`: the control
    /// socket. `now_ns`: CLOCK_MONOTONIC.
    pub fn new(config: &Path, rules: &Path, socket: &Path, now_ns: u64) -> Self {
        let mut watched = vec![
            (config.to_owned(), "the configuration"),
            (rules.to_owned(), "the rules"),
            (socket.to_owned(), "the control socket"),
        ];
        if let Ok(program) = std::env::current_exe() {
            watched.push((program, "the program"));
        }
        watched.extend(UNITS.iter().map(|unit| (PathBuf::from(unit), "the unit")));
        Self::of("/proc/self".into(), watched, now_ns)
    }

    fn of(proc: PathBuf, watched: Vec<(PathBuf, &'static str)>, now_ns: u64) -> Self {
        let mut new = Self {
            proc,
            watched,
            stamps: BTreeMap::new(),
            tracer: 0,
            cgroup: String::new(),
            last_tick_ns: now_ns,
            next_ns: now_ns.saturating_add(EVERY_NS),
        };
        new.stamps = new.files();
        new.cgroup = new.cgroup_now().unwrap_or_default();
        new
    }

    /// The configuration and the rules were read anew: how they are now is how they should be.
    pub fn reloaded(&mut self) {
        let now = self.files();
        for (path, stamp) in now {
            if matches!(stamp.1, "the configuration" | "the rules") {
                self.stamps.insert(path, stamp);
            }
        }
    }

    /// To be called once a second; what is new.
    pub fn tick(&mut self, now_ns: u64) -> Vec<Notice> {
        let mut notices = Vec::new();
        let stood = now_ns.saturating_sub(self.last_tick_ns);
        self.last_tick_ns = now_ns;
        if stood >= STOPPED_NS {
            notices.push(Notice {
                kind: "stopped",
                what: format!(
                    "the daemon did not run for {} s: it was stopped (SIGSTOP, a debugger, the freezer of its cgroup), or the \
                     machine had no time for it",
                    stood / SECOND
                ),
            });
        }
        if now_ns >= self.next_ns {
            self.next_ns = now_ns.saturating_add(EVERY_NS);
            notices.extend(self.traced());
            notices.extend(self.moved());
            notices.extend(self.changed());
        }
        notices
    }

    fn read(&self, name: &str) -> Option<String> {
        use std::io::Read as _;
        let mut text = Vec::new();
        std::fs::File::open(self.proc.join(name)).ok()?.take(PROC_MAX).read_to_end(&mut text).ok()?;
        Some(String::from_utf8_lossy(&text).into_owned())
    }

    /// `TracerPid` of /proc/self/status (proc_pid_status(5)).
    fn traced(&mut self) -> Option<Notice> {
        let status = self.read("status")?;
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"))?.trim().parse().ok()?;
        let before = std::mem::replace(&mut self.tracer, tracer);
        if before == tracer {
            return None;
        }
        let what = if tracer == 0 {
            format!("nobody traces the daemon any more (it was process {before})")
        } else {
            format!("process {tracer} traces the daemon: it can read and change whatever the daemon sees")
        };
        Some(Notice { kind: "traced", what })
    }

    fn cgroup_now(&self) -> Option<String> {
        self.read("cgroup")
    }

    fn moved(&mut self) -> Option<Notice> {
        let now = self.cgroup_now()?;
        if now == self.cgroup {
            return None;
        }
        let line = |text: &str| escape(text.lines().last().unwrap_or_default().as_bytes());
        let what = format!("the daemon's cgroup was {} and is {}", line(&self.cgroup), line(&now));
        self.cgroup = now;
        Some(Notice { kind: "cgroup", what })
    }

    fn changed(&mut self) -> Vec<Notice> {
        let now = self.files();
        let mut notices = Vec::new();
        for (path, (stamp, role)) in &now {
            let before = self.stamps.get(path).map(|known| known.0).unwrap_or_default();
            if *stamp != before {
                notices.push(file_notice(path, role, before.is_some(), stamp.is_some()));
            }
        }
        for (path, (stamp, role)) in &self.stamps {
            if stamp.is_some() && !now.contains_key(path) {
                notices.push(file_notice(path, role, true, false));
            }
        }
        self.stamps = now;
        notices
    }

    /// Every watched file; of a directory what is in it.
    fn files(&self) -> BTreeMap<PathBuf, (Stamp, &'static str)> {
        let mut all = BTreeMap::new();
        for (path, role) in &self.watched {
            all.insert(path.clone(), (stamp(path), *role));
            if let Ok(inside) = std::fs::read_dir(path) {
                // The directory itself changes with each file that an editor makes for a moment.
                all.remove(path);
                for entry in inside.flatten().take(FILES_MAX) {
                    let name = entry.file_name();
                    if !name.as_encoded_bytes().starts_with(b".") {
                        all.insert(entry.path(), (stamp(&entry.path()), *role));
                    }
                }
            }
        }
        all
    }
}

fn stamp(path: &Path) -> Stamp {
    let found = std::fs::metadata(path).ok()?;
    Some((found.dev(), found.ino(), found.size(), found.ctime(), found.ctime_nsec()))
}

fn file_notice(path: &Path, role: &str, before: bool, now: bool) -> Notice {
    let verb = match (before, now) {
        (true, true) => "was changed",
        (true, false) => "was removed",
        _ => "is new",
    };
    let more = match role {
        "the configuration" | "the rules" => "; it is not in force before a reload",
        "the unit" => "; it is not in force before systemd reads it and tetherd is started anew",
        "the program" => "; the old one runs on",
        _ => "",
    };
    let path = escape(path.as_os_str().as_encoded_bytes());
    Notice { kind: "file", what: format!("{path} ({role}) {verb}{more}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Scene {
        directory: tempfile::TempDir,
        watch: SelfWatch,
        now_ns: u64,
    }

    impl Scene {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = |name: &str| directory.path().join(name);
            fs::create_dir_all(path("rules.d")).unwrap();
            fs::write(path("status"), "Name:\ttetherd\nTracerPid:\t0\n").unwrap();
            fs::write(path("cgroup"), "0::/system.slice/tetherd.service\n").unwrap();
            fs::write(path("config"), "").unwrap();
            let watched = vec![
                (path("config"), "the configuration"),
                (path("rules.d"), "the rules"),
                (path("socket"), "the control socket"),
            ];
            let watch = SelfWatch::of(directory.path().to_owned(), watched, 0);
            Self { directory, watch, now_ns: 0 }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        /// What five seconds bring.
        fn later(&mut self) -> Vec<(&'static str, String)> {
            let mut all = Vec::new();
            for _ in 0..5 {
                self.now_ns += SECOND;
                all.extend(self.watch.tick(self.now_ns));
            }
            all.into_iter().map(|notice| (notice.kind, notice.what)).collect()
        }
    }

    #[test]
    fn nothing_is_done() {
        let mut scene = Scene::new();
        assert!(scene.later().is_empty() && scene.later().is_empty());
    }

    #[test]
    fn stopped() {
        let mut scene = Scene::new();
        scene.later();
        scene.now_ns += 60 * SECOND;
        let said = scene.later();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].0 == "stopped" && said[0].1.contains("for 61 s"), "{said:?}");
    }

    #[test]
    fn traced_and_moved_each_said_once() {
        let mut scene = Scene::new();
        fs::write(scene.path("status"), "TracerPid:\t77\n").unwrap();
        fs::write(scene.path("cgroup"), "0::/user.slice/a\x1b[2J\n").unwrap();
        let said = scene.later();
        assert_eq!((said[0].0, said[1].0), ("traced", "cgroup"), "{said:?}");
        assert!(said[0].1.contains("process 77") && !said[1].1.contains('\x1b'), "{said:?}");
        assert!(scene.later().is_empty());
        fs::write(scene.path("status"), "TracerPid:\t0\n").unwrap();
        assert!(scene.later()[0].1.contains("nobody traces"));
    }

    #[test]
    fn files_changed_removed_and_new() {
        let mut scene = Scene::new();
        fs::write(scene.path("config"), "[syslog]\n").unwrap();
        fs::write(scene.path("rules.d/10-x.toml"), "x").unwrap();
        fs::write(scene.path("rules.d/.10-x.toml.swp"), "x").unwrap();
        fs::write(scene.path("socket"), "").unwrap();
        let said = scene.later();
        assert_eq!(said.len(), 3, "{said:?}");
        assert!(
            said.iter()
                .any(|(_, what)| what.contains("config (the configuration) was changed; it is not in force"))
        );
        assert!(said.iter().any(|(_, what)| what.contains("10-x.toml (the rules) is new")));
        fs::remove_file(scene.path("socket")).unwrap();
        fs::remove_file(scene.path("rules.d/10-x.toml")).unwrap();
        let said = scene.later();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said.iter().all(|(_, what)| what.contains("was removed")), "{said:?}");
        fs::write(scene.path("config"), "").unwrap();
        scene.watch.reloaded();
        assert!(scene.later().is_empty());
    }
}
