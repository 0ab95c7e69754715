//! The one image: a static busybox, the tests' attack programs, and programs under the names of container runtimes.
//!
//! Made as an archive of the form that `docker save` writes, which `docker load`, `podman load` and `ctr images import`
//! all take.

use std::fmt::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{fs, process};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::common::programs::program;
use crate::common::which;

/// What the runtimes call it.
pub const NAME: &str = "localhost/box:1";

/// Paths at which the image has a program that relays a shell to whoever it is told to, under the name of one that is
/// trusted on the host.
pub const IMPOSTORS: [&str; 5] = [
    "/usr/sbin/sshd",
    "/usr/bin/conmon",
    "/usr/bin/dockerd",
    "/usr/bin/containerd",
    "/usr/bin/containerd-shim-runc-v2",
];

/// The archive.
pub fn archive() -> &'static Path {
    static DONE: OnceLock<PathBuf> = OnceLock::new();
    DONE.get_or_init(|| {
        let done = Path::new(env!("CARGO_TARGET_TMPDIR")).join("box.tar");
        let mine = done.with_extension(process::id().to_string());
        write(&mine);
        fs::rename(&mine, &done).unwrap();
        done
    })
}

fn write(to: &Path) {
    let work = tempfile::tempdir().unwrap();
    let (root, out) = (work.path().join("root"), work.path().join("out"));
    fs::create_dir(&out).unwrap();
    fill(&root);
    let layer = out.join("layer.tar");
    tar(&layer, &root);
    let mut digest = String::new();
    for byte in Sha256::digest(fs::read(&layer).unwrap()) {
        write!(digest, "{byte:02x}").unwrap();
    }
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }, "os": "linux",
        // It serves as the pause image of pods too.
        "config": { "Cmd": ["/bin/sleep", "900"], "Env": ["PATH=/bin:/usr/bin:/usr/sbin"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
        "history": [{ "created_by": "tests" }],
    });
    let manifest = json!([{ "Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"] }]);
    fs::write(out.join("config.json"), config.to_string()).unwrap();
    fs::write(out.join("manifest.json"), manifest.to_string()).unwrap();
    tar(to, &out);
}

fn fill(root: &Path) {
    for directory in ["bin", "dev", "etc", "proc", "sys", "tmp", "usr/bin", "usr/sbin"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::copy(which("busybox").unwrap(), root.join("bin/busybox")).unwrap();
    for applet in ["sh", "cat", "nc", "ls", "id", "uname", "sleep", "mkfifo", "hostname", "ps", "df", "true"]
    {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    fs::copy(program("attack"), root.join("bin/attack")).unwrap();
    for impostor in IMPOSTORS {
        fs::copy(program("relay"), root.join(&impostor[1..])).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/:/bin/sh\n").unwrap();
}

/// Everything in a directory.
fn tar(to: &Path, directory: &Path) {
    let status = Command::new("tar")
        .args(["--numeric-owner", "--owner=0", "--group=0", "-C"])
        .arg(directory)
        .arg("-cf")
        .arg(to)
        .arg(".")
        .status()
        .unwrap();
    assert!(status.success());
}
