//! The processes on this side: started in a group of their own, and gone when the test is.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use super::wait_for;

/// A process group that a test started.
pub struct Victim(Child);

impl Victim {
    /// Starts a program with /dev/null as its stdin and stdout.
    pub fn start(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        Self::spawn(command)
    }

    /// Starts a command as it is, in a process group of its own.
    pub fn spawn(mut command: Command) -> Self {
        use std::os::unix::process::CommandExt;
        let program = command.get_program().to_owned();
        command.process_group(0);
        // A program that was copied just now may be open for writing in the child of another test for a moment, between
        // that child's fork and its exec.
        let child = wait_for(&format!("{program:?} can be executed"), || match command.spawn() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => None,
            other => Some(other),
        });
        Self(child.unwrap_or_else(|e| panic!("{program:?} does not start: {e}")))
    }

    /// Starts a program with one socket as its stdin, stdout and stderr.
    pub fn on_socket(socket: &std::net::TcpStream, program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        let stdio = || Stdio::from(OwnedFd::from(socket.try_clone().unwrap()));
        command.args(arguments).stdin(stdio()).stdout(stdio()).stderr(stdio());
        Self::spawn(command)
    }

    /// Starts a program that prints `line` when it can be used, and waits for that.
    pub fn ready(mut command: Command, line: &str) -> Self {
        command.stdout(Stdio::piped());
        let mut victim = Self::spawn(command);
        let stdout = victim.0.stdout.take().unwrap();
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        assert!(lines.any(|said| said.contains(line)), "the program ended without saying {line:?}");
        victim
    }

    /// Writes to its stdin, which has to be a pipe.
    pub fn say(&mut self, line: &str) {
        self.0.stdin.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().unwrap()
    }

    /// Waits for its end, before the deadline.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("the program ends", || self.ended())
    }
}

/// Runs a command with a connection to the attacker's port on fds 0-2; the connection's own port.
pub fn on_socket(attacker: u16, mut command: Command) -> (Victim, u16) {
    let stream = std::net::TcpStream::connect(("127.0.0.1", attacker)).unwrap();
    let stdio = || Stdio::from(OwnedFd::from(stream.try_clone().unwrap()));
    command.stdin(stdio()).stdout(stdio()).stderr(stdio());
    (Victim::spawn(command), stream.local_addr().unwrap().port())
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = killpg(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGKILL);
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
