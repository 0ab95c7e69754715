//! A filesystem that hangs for one program only (`tests/programs/hungfs.c`), unmounted when the test is over.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use super::programs::program;
use super::{wait_for, which};

/// The mounted filesystem; it has one file, a busybox called `shell`.
pub struct HungFs {
    directory: tempfile::TempDir,
    server: Child,
    said: Arc<Mutex<String>>,
}

impl HungFs {
    /// Mounts it; it hangs for programs called `name`. `None` where FUSE cannot be mounted.
    pub fn mount(name: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let (mount, busybox) = (directory.path().to_str().unwrap().to_owned(), which("busybox").unwrap());
        let mut command = Command::new(program("hungfs"));
        command.arg(&mount).arg(busybox).arg(name);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut server = command.spawn().unwrap();
        let said = Arc::new(Mutex::new(String::new()));
        let (mut stdout, into) = (server.stdout.take().unwrap(), said.clone());
        std::thread::spawn(move || {
            let mut part = [0; 64];
            while let Ok(n @ 1..) = stdout.read(&mut part) {
                into.lock().unwrap().push_str(&String::from_utf8_lossy(&part[..n]));
            }
        });
        let mut filesystem = Self { directory, server, said };
        let mounted = wait_for("FUSE mounts, or cannot", || {
            let is = std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&mount);
            is.then_some(true).or_else(|| filesystem.server.try_wait().unwrap().map(|_| false))
        });
        mounted.then_some(filesystem)
    }

    /// The program on it.
    pub fn shell(&self) -> PathBuf {
        self.path().join("shell")
    }

    /// Whether somebody waits for something to be written.
    pub fn held(&self) -> bool {
        self.said.lock().unwrap().contains("held")
    }

    /// Whether the program that it hangs for has asked it for anything.
    pub fn was_asked(&self) -> bool {
        self.said.lock().unwrap().contains("hung")
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }
}

impl Drop for HungFs {
    fn drop(&mut self) {
        // Those who wait get an error when the server ends.
        drop(self.server.stdin.take());
        let _ = Command::new("umount").arg("-l").arg(self.path()).stderr(Stdio::null()).status();
        let _ = self.server.wait();
    }
}
