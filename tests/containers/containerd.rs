//! containerd, with its CRI plugin, and `ctr`.

use std::process::Command;
use std::sync::{Arc, Mutex, Weak};

use crate::common::{token, wait_for};
use crate::home::Home;
use crate::image;
use crate::process::Process;
use crate::shared::shared;

/// What it takes.
#[macro_export]
macro_rules! require_containerd {
    () => {
        $crate::require!(
            "gcc",
            "busybox",
            "tar",
            "curl",
            "script",
            "runc",
            "/usr/bin/containerd",
            "/usr/bin/ctr"
        );
    };
}

/// A running containerd.
pub struct Containerd {
    pub home: Home,
    process: Mutex<Process>,
}

impl Containerd {
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Containerd>> = Mutex::new(Weak::new());
        shared(&SHARED, Self::start)
    }

    fn start() -> Self {
        let home = Home::new();
        let here = home.text("");
        // Lowering oom_score_adj takes a capability that not every machine's root has.
        let config = format!(
            r#"version = 2
root = "{here}root"
state = "{here}state"
[grpc]
  address = "{here}sock"
[ttrpc]
  address = "{here}ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "{here}opt"
[plugins."io.containerd.grpc.v1.cri"]
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  restrict_oom_score_adj = true
  sandbox_image = "{image}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{here}cni"
    conf_dir = "{here}cni"
"#,
            image = image::NAME
        );
        let config = home.write("config.toml", &config);
        let arguments = ["--config".to_owned(), config];
        let process = Process::start("/usr/bin/containerd", &arguments, &home.path("log"));
        let containerd = Self { home, process: Mutex::new(process) };
        wait_for("containerd answers", || {
            assert!(containerd.process.lock().unwrap().lives(), "containerd ended: {}", containerd.log());
            containerd.home.try_bash(&containerd.ctr("version")).status.success().then_some(())
        });
        let archive = image::archive().display();
        for namespace in ["default", "k8s.io"] {
            containerd.run(&format!("--namespace {namespace} images import {archive}"));
        }
        containerd
    }

    pub fn socket(&self) -> String {
        self.home.text("sock")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path("log")).unwrap_or_default()
    }

    /// A command line of ctr.
    pub fn ctr(&self, line: &str) -> String {
        format!("ctr --address {} {line}", self.socket())
    }

    /// Runs ctr to its end, which has to be a good one; what it printed.
    pub fn run(&self, line: &str) -> String {
        self.home.bash(&self.ctr(line))
    }

    /// A container that sleeps, for commands to be run in.
    pub fn sleeper(self: &Arc<Self>) -> Task {
        let id = token();
        self.sleeper_called(&id, "", &format!("default/{id}"))
    }

    /// The same with this id, with further options, in this cgroup.
    pub fn sleeper_called(self: &Arc<Self>, id: &str, options: &str, group: &str) -> Task {
        self.home.owns_cgroup(group);
        self.run(&format!("run --detach --net-host {options} {} {id}", image::NAME));
        Task { containerd: self.clone(), id: id.to_owned() }
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        self.process.lock().unwrap().end();
        self.home.clear();
    }
}

/// A container that `ctr` started. Gone when dropped.
pub struct Task {
    pub containerd: Arc<Containerd>,
    pub id: String,
}

impl Task {
    /// `ctr task exec` of a command line of sh in it, to be started.
    pub fn exec(&self, line: &str) -> Command {
        let mut command = Command::new("/usr/bin/ctr");
        command.args(["--address", &self.containerd.socket(), "task", "exec", "--exec-id", &token()]);
        // A client that is killed leaves these.
        command.args(["--fifo-dir", &self.containerd.home.text("fifos")]);
        command.args([&self.id, "/bin/sh", "-c", line]);
        command
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let ctr = |line: &str| self.containerd.ctr(line);
        let id = &self.id;
        self.containerd.home.try_bash(&format!(
            "{}; {}; true",
            ctr(&format!("task rm --force {id}")),
            ctr(&format!("container rm {id}"))
        ));
    }
}
