//! A runtime's directory, and leaving nothing behind.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Mutex, OnceLock};
use std::{fs, process};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::work::{bash_in, try_bash_in};
use crate::common::{token, wait_at_most};

/// What the runtimes make whatever they are told, directories after what is in them. What was not there when this process
/// began goes again, directories where they are empty.
const MADE: [&str; 13] = [
    "/etc/docker/key.json",
    "/var/lib/containers/cache/blob-info-cache-v1.boltdb",
    "/run/containerd/runc/default",
    "/run/containerd/runc/k8s.io",
    "/run/containerd/runc",
    "/run/containerd/s",
    "/run/containerd/fifo",
    "/run/containerd",
    "/run/docker/plugins",
    "/run/docker",
    "/run/crun",
    "/var/lib/containers/cache",
    "/var/lib/containers",
];

/// Those of them that were not there.
fn made() -> &'static [&'static str] {
    static MADE_HERE: OnceLock<Vec<&str>> = OnceLock::new();
    MADE_HERE.get_or_init(|| MADE.into_iter().filter(|path| !Path::new(path).exists()).collect())
}

/// A directory of its own. What hangs on it goes with it: processes that have its path among their arguments (shims
/// outlive their daemons), mounts below it, cgroups that were named to it.
pub struct Home {
    directory: tempfile::TempDir,
    cgroups: Mutex<Vec<String>>,
}

impl Home {
    pub fn new() -> Self {
        made();
        let directory = tempfile::Builder::new().prefix(&token()).tempdir().unwrap();
        Self { directory, cgroups: Mutex::default() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The path as text, for arguments.
    pub fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        self.text(name)
    }

    /// A cgroup that the runtime makes, relative to each hierarchy; those above it go as well where they are empty.
    pub fn owns_cgroup(&self, path: impl Into<String>) {
        self.cgroups.lock().unwrap().push(path.into());
    }

    /// Runs a line of bash that has to end well; what it printed.
    pub fn bash(&self, line: &str) -> String {
        String::from_utf8(bash_in(self.directory.path(), line).stdout).unwrap()
    }

    pub fn try_bash(&self, line: &str) -> Output {
        try_bash_in(self.directory.path(), line)
    }

    /// Ends what is left, when the runtime has ended. In this order: shims hold mounts, and containers cgroups.
    pub fn clear(&self) {
        let own = self.directory.path().as_os_str().as_encoded_bytes();
        let left = || processes().filter(|pid| has(*pid, own)).collect::<Vec<_>>();
        wait_at_most(std::time::Duration::from_secs(3), || left().is_empty().then_some(()));
        for pid in left() {
            let _ = kill(Pid::from_raw(pid.cast_signed()), Signal::SIGKILL);
        }
        for at in mounts_below(self.directory.path()).into_iter().rev() {
            let _ = Command::new("umount").arg("--lazy").arg(&at).stderr(Stdio::null()).status();
        }
        for group in self.cgroups.lock().unwrap().iter() {
            remove_cgroup(group);
        }
        for path in made() {
            let _ = fs::remove_file(path).or_else(|_| fs::remove_dir(path));
        }
    }
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(|pid| *pid != process::id())
}

/// Whether a process has a path below the directory among its arguments.
fn has(pid: u32, directory: &[u8]) -> bool {
    let arguments = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    arguments.windows(directory.len()).any(|part| part == directory)
}

/// In the order in which they were mounted.
fn mounts_below(directory: &Path) -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from);
    points.filter(|point| point.starts_with(directory)).collect()
}

fn remove_cgroup(path: &str) {
    let hierarchies = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    let roots = hierarchies.map(|entry| entry.path()).chain([PathBuf::from("/sys/fs/cgroup")]);
    for root in roots {
        // The kernel frees a group a moment after its last process has gone.
        let group = root.join(path);
        wait_at_most(std::time::Duration::from_secs(1), || {
            (!group.exists() || fs::remove_dir(&group).is_ok()).then_some(())
        });
        let above = group.ancestors().skip(1).take_while(|above| *above != root && above.starts_with(&root));
        let _ = above.map(fs::remove_dir).take_while(Result::is_ok).count();
    }
}

/// A process in the cgroup of a container with just these arguments.
pub fn inside(container: &str, arguments: &[u8]) -> Option<u32> {
    let file = |pid: u32, name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    processes().find(|&pid| {
        file(pid, "cmdline") == arguments && String::from_utf8_lossy(&file(pid, "cgroup")).contains(container)
    })
}
