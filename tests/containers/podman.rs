//! podman, with its storage elsewhere.

use std::process::Command;
use std::sync::{Arc, Mutex, Weak};

use crate::common::token;
use crate::home::Home;
use crate::image;
use crate::oci::crun;
use crate::shared::shared;

/// What it takes.
#[macro_export]
macro_rules! require_podman {
    () => {
        $crate::require!(
            "gcc",
            "busybox",
            "tar",
            "script",
            "runc",
            "crun",
            "/usr/bin/podman",
            "/usr/bin/conmon"
        );
    };
}

/// podman's storage and settings.
pub struct Podman {
    pub home: Home,
}

impl Podman {
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Podman>> = Mutex::new(Weak::new());
        shared(&SHARED, Self::start)
    }

    fn start() -> Self {
        let home = Home::new();
        // Locks are in shared memory else, the same for all. Limits above one's own take a capability.
        let settings = "[engine]\nlock_type = \"file\"\nevents_logger = \"file\"\n\
             [containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";
        home.write("containers.conf", settings);
        home.owns_cgroup("libpod_parent/conmon");
        let podman = Self { home };
        podman.run(&format!("load --quiet --input {}", image::archive().display()));
        podman
    }

    /// The arguments that keep it to its own directories, with `crun` or `runc`.
    pub fn global(&self, runtime: &str) -> Vec<String> {
        let home = &self.home;
        let runtime = if runtime == "crun" { crun(home) } else { runtime.to_owned() };
        vec![
            format!("--root={}", home.text("root")),
            format!("--runroot={}", home.text("run")),
            format!("--tmpdir={}", home.text("tmp")),
            format!("--network-config-dir={}", home.text("net")),
            "--cgroup-manager=cgroupfs".into(),
            "--storage-driver=overlay".into(),
            format!("--runtime={runtime}"),
            format!("--runtime-flag=root={}", home.text("runtime")),
        ]
    }

    /// A command line of podman's.
    pub fn cli(&self, line: &str) -> String {
        self.cli_on("runc", line)
    }

    pub fn cli_on(&self, runtime: &str, line: &str) -> String {
        let settings = self.home.text("containers.conf");
        format!("CONTAINERS_CONF={settings} /usr/bin/podman {} {line}", self.global(runtime).join(" "))
    }

    /// Runs podman to its end, which has to be a good one; what it printed.
    pub fn run(&self, line: &str) -> String {
        self.home.bash(&self.cli(line))
    }

    /// A container that runs a command line of sh.
    pub fn container(self: &Arc<Self>, runtime: &'static str, options: &str, line: &str) -> Container {
        let name = token();
        let said = self.home.bash(&self.cli_on(
            runtime,
            &format!("run --detach --network host --name {name} {options} {} sh -c '{line}'", image::NAME),
        ));
        let id = said.trim().to_owned();
        self.home.owns_cgroup(format!("libpod_parent/libpod-{id}"));
        Container { podman: self.clone(), runtime, name, id }
    }

    /// A container that sleeps, for commands to be run in.
    pub fn sleeper(self: &Arc<Self>, runtime: &'static str) -> Container {
        self.container(runtime, "", "sleep 600")
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        self.home.try_bash(&self.cli("rm --all --force --time 0"));
        self.home.clear();
    }
}

/// A container. Gone when dropped.
pub struct Container {
    pub podman: Arc<Podman>,
    pub runtime: &'static str,
    pub name: String,
    pub id: String,
}

impl Container {
    /// `podman exec` of a command line of sh in it, to be started.
    pub fn exec(&self, line: &str) -> Command {
        let mut command = Command::new("/usr/bin/podman");
        command.env("CONTAINERS_CONF", self.podman.home.path("containers.conf"));
        command.args(self.podman.global(self.runtime)).args(["exec", &self.name, "/bin/sh", "-c", line]);
        command
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let line = format!("rm --force --time 0 {}", self.id);
        self.podman.home.try_bash(&self.podman.cli_on(self.runtime, &line));
    }
}
