//! A daemon that a test started.

use std::process::{Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::daemon::lives;
use crate::common::{wait_at_most, which};

/// How long it may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// Ended with SIGTERM when dropped, and by the kernel if this process is.
pub struct Process {
    pid: u32,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Process {
    /// Starts a program with what it prints in a file.
    pub fn start(program: &str, arguments: &[String], log: &std::path::Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        // The kernel's promise hangs on the thread that started it: that one waits for the end.
        let mut command = Command::new(which("setpriv").expect("setpriv is there"));
        command.args(["--pdeathsig", "TERM", "--", program]).args(arguments);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let (pids, pid) = channel();
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::spawn(move || {
            let mut child = command.spawn().unwrap();
            pids.send(child.id()).unwrap();
            let _ = stopped.recv();
            let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
            if wait_at_most(PATIENCE, || child.try_wait().unwrap()).is_none() {
                let _ = child.kill();
                let _ = child.wait();
            }
        });
        Self { pid: pid.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether it is there.
    pub fn lives(&self) -> bool {
        lives(self.pid)
    }

    /// Ends it and waits for that.
    pub fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
