//! One build of the packages for all tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use crate::common::daemon::TETHERD;

/// What it takes.
#[macro_export]
macro_rules! require_builders {
    () => {
        $crate::require!("git", "python3", "gzip", "objcopy", "dpkg-deb", "rpmbuild");
    };
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program's whole output; it has to end well.
pub fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", all(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Both streams.
pub fn all(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Where the packages are.
pub struct Built {
    pub deb: PathBuf,
    pub rpm: PathBuf,
    pub bill: PathBuf,
    pub sums: PathBuf,
}

/// The packages of the program under test.
pub fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| build("first", env!("CARGO_PKG_VERSION")))
}

/// Builds them, in a directory of this name, under this version.
pub fn build(name: &str, version: &str) -> Built {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("packages-{name}"));
    let _ = std::fs::remove_dir_all(&out);
    std::fs::create_dir_all(&out).unwrap();
    // Without what takes long to pack.
    let program = out.join("tetherd");
    said(Command::new("objcopy").arg("--strip-debug").arg(TETHERD).arg(&program));
    let mut command = Command::new(root().join("packaging/build"));
    command.env("TETHERD_PROGRAM", &program).env("TETHERD_PACKAGES", &out).env("TETHERD_PACKAGES_LEVEL", "1");
    said(command.env("TETHERD_PACKAGES_VERSION", version));
    let (debian, rpm) =
        if cfg!(target_arch = "aarch64") { ("arm64", "aarch64") } else { ("amd64", "x86_64") };
    Built {
        deb: out.join(format!("tetherd_{version}-1_{debian}.deb")),
        rpm: out.join(format!("tetherd-{version}-1.{rpm}.rpm")),
        bill: out.join(format!("tetherd_{version}-1_{debian}.cdx.json")),
        sums: out.join("SHA256SUMS"),
    }
}
