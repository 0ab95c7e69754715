//! Containers of runc and crun by hand: a bundle, and no daemon that knows of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::common::token;
use crate::home::Home;
use crate::image;

/// crun refuses a machine that has both versions of cgroups. There it gets a view of the machine that has one. The program
/// to be run as crun.
pub fn crun(home: &Home) -> String {
    if !Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists() {
        return "crun".into();
    }
    let script = home.path("crun");
    if !script.exists() {
        let text = "#!/bin/sh\nexec unshare --mount --propagation slave \
             sh -c 'umount /sys/fs/cgroup/unified; exec crun \"$@\"' crun \"$@\"\n";
        home.write("crun", text);
        home.bash("chmod 755 crun");
    }
    script.display().to_string()
}

/// A container that sleeps, for commands to be run in. Gone when dropped.
pub struct Bundle {
    home: Home,
    program: String,
    pub id: String,
}

impl Bundle {
    /// By `runc` or `crun`.
    pub fn run(runtime: &str) -> Self {
        let (home, id) = (Home::new(), token());
        home.owns_cgroup(id.clone());
        let program = if runtime == "crun" { crun(&home) } else { runtime.to_owned() };
        let archive = image::archive().display();
        home.bash(&format!(
            "mkdir -p bundle/rootfs; tar -xOf {archive} ./layer.tar | tar -x -C bundle/rootfs; cd bundle; {runtime} spec"
        ));
        let config = home.path("bundle/config.json");
        let mut spec: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
        spec["process"]["terminal"] = false.into();
        spec["process"]["args"] = ["/bin/sleep", "600"].as_slice().into();
        spec["root"]["readonly"] = false.into();
        // The host's network, so that the attacker can be reached.
        spec["linux"]["namespaces"].as_array_mut().unwrap().retain(|space| space["type"] != "network");
        fs::write(&config, spec.to_string()).unwrap();
        let bundle = Self { home, program, id };
        bundle
            .home
            .bash(&bundle.cli("run --detach --bundle bundle", "</dev/null >log 2>&1 || { cat log; false; }"));
        bundle
    }

    fn cli(&self, verb: &str, end: &str) -> String {
        format!("{} --root {} {verb} {} {end}", self.program, self.home.text("runtime"), self.id)
    }

    /// A command line of sh in it, to be started.
    pub fn exec(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--root", &self.home.text("runtime"), "exec", &self.id, "/bin/sh", "-c", line]);
        command
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        self.home.try_bash(&self.cli("delete --force", ""));
        self.home.clear();
    }
}
