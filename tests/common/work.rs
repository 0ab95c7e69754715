//! Ordinary work: what must give no finding, and the guard that says whether it did.
//!
//! A finding is a test's own if it is about one of its ports, or mentions its directory (as an argument, a path, or the
//! working directory). Before it is asked for, everything executed so far has been judged (`Daemon::judged`).

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::attacker::chosen_port;
use super::daemon::Daemon;
use super::finding::Finding;
use super::notes::note_work;
use super::victim::Victim;
use super::{token, wait_for};

/// Where packages put programs: what an administrator has put beside them is not ordinary.
pub const DEBIAN: &str = "/usr/sbin:/usr/bin:/sbin:/bin";

/// One piece of ordinary work: a directory of its own, and the ports that it uses.
pub struct Work {
    /// Its directory.
    pub directory: tempfile::TempDir,
    /// Its ports.
    pub ports: Vec<u16>,
    /// Other words that findings about it would have in them.
    pub words: Vec<String>,
    /// When it began: the kernel gives ports out again, so an older finding on one of them is somebody else's.
    began: String,
}

impl Work {
    pub fn new() -> Self {
        Daemon::shared();
        let directory = tempfile::Builder::new().prefix(&token()).tempdir().unwrap();
        let began = tetherd::sys::clock::now().rfc3339();
        Self { directory, ports: Vec::new(), words: Vec::new(), began }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn port(&mut self) -> u16 {
        let port = chosen_port();
        self.ports.push(port);
        port
    }

    /// Writes a file of the work.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// Runs a line of bash in the directory; it has to end well.
    pub fn bash(&self, line: &str) -> Output {
        bash_in(self.directory.path(), line)
    }

    pub fn started(&self, program: &str, arguments: &[&str]) -> Victim {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.directory.path()).env("PATH", DEBIAN);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Victim::spawn(command)
    }

    /// No finding is about this work.
    pub fn stays_quiet(self) {
        let daemon = Daemon::shared();
        daemon.judged();
        let directory = self.directory.path().to_str().unwrap().to_owned();
        let own = |record: &Finding| {
            let ports = [record.own_port(), record.peer_port()];
            let on_ports = self.ports.iter().any(|port| ports.contains(&Some(*port)));
            on_ports && record.text("First_Seen") >= self.began.as_str()
                || record.mentions(&directory)
                || self.words.iter().any(|word| record.mentions(word))
        };
        let found: Vec<_> = daemon.place().findings().into_iter().filter(own).collect();
        let briefs: Vec<_> = found.iter().map(Finding::brief).collect();
        assert!(found.is_empty(), "ordinary work gave a finding:\n{}", briefs.join("\n"));
        note_work(daemon, "silent", None);
    }
}

/// Runs a line of bash in a directory; it has to end well. Its output goes to files: this process has network connections
/// of other tests, and reading the output of one command after another would be row 6.
pub fn bash_in(directory: &Path, line: &str) -> Output {
    let output = try_bash_in(directory, line);
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{line}\nstdout: {said}\nstderr: {wrong}");
    output
}

/// The same where it may end as it likes.
pub fn try_bash_in(directory: &Path, line: &str) -> Output {
    let out = tempfile::tempdir().unwrap();
    let file = |name: &str| fs::File::create(out.path().join(name)).unwrap();
    let status = Command::new("/bin/bash")
        .args(["-euo", "pipefail", "-c", line])
        .current_dir(directory)
        .env("PATH", DEBIAN)
        .stdin(Stdio::null())
        .stdout(file("stdout"))
        .stderr(file("stderr"))
        .status()
        .unwrap();
    let [stdout, stderr] = ["stdout", "stderr"].map(|name| fs::read(out.path().join(name)).unwrap());
    Output { status, stdout, stderr }
}

pub fn answers(port: u16) {
    wait_for("the service answers", || TcpStream::connect(("127.0.0.1", port)).ok());
}

/// sshd on a loopback port, with keys made for it, and a client configuration that reaches it as host `box`.
pub struct Sshd {
    /// The client's configuration.
    pub config: PathBuf,
    _server: Victim,
}

impl Sshd {
    pub fn new(work: &mut Work) -> Self {
        let port = work.port();
        work.bash("ssh-keygen -q -t ed25519 -N '' -f host; ssh-keygen -q -t ed25519 -N '' -f user; cp user.pub keys");
        fs::create_dir_all("/run/sshd").unwrap();
        let here = work.directory.path().display().to_string();
        let server = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {here}/host\nAuthorizedKeysFile {here}/keys\n\
             PidFile none\nStrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n\
             Subsystem sftp internal-sftp\n"
        );
        let client = format!(
            "Host box\n HostName 127.0.0.1\n Port {port}\n User root\n IdentityFile {here}/user\n IdentitiesOnly yes\n\
             StrictHostKeyChecking no\n UserKnownHostsFile {here}/known\n LogLevel ERROR\n BatchMode yes\n"
        );
        let server = work.write("sshd_config", &server);
        let config = work.write("ssh_config", &client);
        let server = work.started("/usr/sbin/sshd", &["-D", "-e", "-f", server.to_str().unwrap()]);
        answers(port);
        Self { config, _server: server }
    }

    pub fn ssh(&self) -> String {
        format!("ssh -F {}", self.config.display())
    }
}
