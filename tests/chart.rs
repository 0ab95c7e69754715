//! The Helm chart: rendered, and held against Kubernetes' own schemas of its objects, `tetherd check-config` and its schema of
//! values. helm itself cannot be had from Debian's packages: `tests/chart/render.go` renders with the libraries it is made of.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::process::Command;

use common::daemon::TETHERD;

#[test]
fn kubernetes_takes_what_the_chart_makes() {
    require!("go");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/test-tools/chart-venv/bin/python");
    if !python.exists() {
        return common::skip("target/test-tools/chart-venv (tests/setup/chart-venv.sh makes it)");
    }
    let render = Path::new(env!("CARGO_TARGET_TMPDIR")).join("chart-render");
    // Debian's go packages are sources below here.
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&render)
        .arg(root.join("tests/chart/render.go"))
        .envs([("GO111MODULE", "off"), ("GOPATH", "/usr/share/gocode"), ("GOFLAGS", "")])
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let checked = Command::new(&python)
        .arg(root.join("tests/chart/check.py"))
        .args([root.join("packaging/helm/tetherd"), render])
        .arg(TETHERD)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
