//! A filesystem that does not answer (`tests/programs/hungfs.c`).

use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::programs::program;
use super::{wait_for, which};

/// Mounted as long as this lives.
pub struct HungFs {
    directory: TempDir,
    server: Child,
    said: Arc<Mutex<String>>,
}

impl HungFs {
    /// Mounts it; `None` where FUSE cannot be mounted.
    pub fn mount(hangs: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let busybox = which("busybox").unwrap();
        let mut command = Command::new(program("hungfs"));
        command.arg(directory.path()).arg(busybox).arg(hangs);
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
        let path = directory.path().to_str().unwrap().to_owned();
        let mounted = wait_for("FUSE mounts, or cannot", || {
            let is = std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains(&path);
            is.then_some(true).or_else(|| server.try_wait().unwrap().map(|_| false))
        });
        mounted.then(|| Self { directory, server, said })
    }

    /// Its one file.
    pub fn file(&self) -> PathBuf {
        self.directory.path().join("shell")
    }

    /// Whether somebody waits for something to be written.
    pub fn held(&self) -> bool {
        self.said.lock().unwrap().contains("held")
    }
}

impl Drop for HungFs {
    fn drop(&mut self) {
        // When its standard input ends, those who wait get an error.
        drop(self.server.stdin.take());
        let _ = Command::new("umount").arg("-l").arg(self.directory.path()).stderr(Stdio::null()).status();
        let _ = self.server.wait();
    }
}
