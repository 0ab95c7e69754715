//! dockerd, on a UNIX socket and on a TCP port of loopback.

use std::process::Command;
use std::sync::{Arc, Mutex, Weak};

use crate::common::attacker::chosen_port;
use crate::common::{token, wait_for};
use crate::containerd::Containerd;
use crate::home::Home;
use crate::image;
use crate::process::Process;
use crate::shared::shared;

/// What it takes.
#[macro_export]
macro_rules! require_docker {
    () => {
        $crate::require_containerd!();
        $crate::require!("/usr/sbin/dockerd", "/usr/bin/docker");
    };
}

/// How a client reaches it.
#[derive(Clone, Copy, Debug)]
pub enum Api {
    Unix,
    Tcp,
}

/// A running dockerd, on a containerd of the tests.
pub struct Docker {
    pub home: Home,
    pub port: u16,
    process: Mutex<Process>,
    _containerd: Arc<Containerd>,
}

impl Docker {
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Docker>> = Mutex::new(Weak::new());
        shared(&SHARED, Self::alone)
    }

    /// One that nobody else is connected to.
    pub fn alone() -> Self {
        let (containerd, home, port) = (Containerd::shared(), Home::new(), chosen_port());
        let arguments = [
            format!("--config-file={}", home.write("daemon.json", "{}")),
            format!("--data-root={}", home.text("root")),
            format!("--exec-root={}", home.text("exec")),
            format!("--pidfile={}", home.text("pid")),
            format!("--containerd={}", containerd.socket()),
            format!("--containerd-namespace={}", token()),
            format!("--containerd-plugins-namespace={}", token()),
            format!("--host=unix://{}", home.text("sock")),
            format!("--host=tcp://127.0.0.1:{port}"),
            "--tls=false".into(),
            "--bridge=none".into(),
            "--iptables=false".into(),
            "--ip6tables=false".into(),
            "--ip-forward=false".into(),
            "--ip-masq=false".into(),
            "--userland-proxy=false".into(),
        ];
        let process = Process::start("/usr/sbin/dockerd", &arguments, &home.path("log"));
        let docker = Self { home, port, process: Mutex::new(process), _containerd: containerd };
        wait_for("dockerd answers", || {
            let log = || std::fs::read_to_string(docker.home.path("log")).unwrap_or_default();
            assert!(docker.process.lock().unwrap().lives(), "dockerd ended: {}", log());
            docker.home.try_bash(&docker.cli(Api::Tcp, "version")).status.success().then_some(())
        });
        docker.run(&format!("load --input {}", image::archive().display()));
        docker
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.lock().unwrap().pid()
    }

    fn host(&self, api: Api) -> String {
        match api {
            Api::Unix => format!("unix://{}", self.home.text("sock")),
            Api::Tcp => format!("tcp://127.0.0.1:{}", self.port),
        }
    }

    /// A command line of docker's.
    pub fn cli(&self, api: Api, line: &str) -> String {
        format!("/usr/bin/docker --config {} --host {} {line}", self.home.text("cli"), self.host(api))
    }

    /// Runs docker over the UNIX socket to its end, which has to be a good one; what it printed.
    pub fn run(&self, line: &str) -> String {
        self.home.bash(&self.cli(Api::Unix, line))
    }

    /// A container that runs a command line of sh; `options` are those of `docker run`.
    pub fn container(self: &Arc<Self>, options: &str, line: &str) -> Container {
        let name = token();
        let said = self.run(&format!(
            "run --detach --network host --name {name} {options} {} sh -c '{line}'",
            image::NAME
        ));
        let id = said.trim().to_owned();
        self.home.owns_cgroup(format!("docker/{id}"));
        Container { docker: self.clone(), name, id }
    }

    /// A container that sleeps, for commands to be run in.
    pub fn sleeper(self: &Arc<Self>) -> Container {
        self.container("", "sleep 600")
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.process.lock().unwrap().end();
        self.home.clear();
    }
}

/// A container. Gone when dropped.
pub struct Container {
    pub docker: Arc<Docker>,
    pub name: String,
    pub id: String,
}

impl Container {
    /// `docker exec` of a command line of sh in it, to be started.
    pub fn exec(&self, line: &str) -> Command {
        self.exec_over(Api::Unix, line)
    }

    pub fn exec_over(&self, api: Api, line: &str) -> Command {
        let mut command = Command::new("/usr/bin/docker");
        command.args(["--config", &self.docker.home.text("cli"), "--host", &self.docker.host(api)]);
        command.args(["exec", &self.name, "/bin/sh", "-c", line]);
        command
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        self.docker.home.try_bash(&self.docker.cli(Api::Unix, &format!("rm --force {}", self.id)));
    }
}
