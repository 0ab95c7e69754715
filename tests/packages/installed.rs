//! The RPM package, installed by rpm into a root of its own, with its scripts run in there: by a real systemctl where no systemd
//! runs, and by one that writes down what it is asked where one does.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::built::{all, build, built, said};
use crate::require_builders;

/// Writes down what it is asked, and says that everything is active and enabled.
const SYSTEMCTL: &str = "#!/bin/sh\necho \"$*\" >>/asked\n";

/// A root with a shell, a systemctl, and the libraries of what runs in it.
struct Root(tempfile::TempDir);

impl Root {
    fn new() -> Self {
        let root = Self(tempfile::tempdir().unwrap());
        root.copy("/bin/busybox", "bin/sh");
        root.write("dev/null", "");
        root
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn has(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    /// A program of this machine's.
    fn copy(&self, from: &str, to: &str) {
        std::fs::create_dir_all(self.path(to).parent().unwrap()).unwrap();
        std::fs::copy(from, self.path(to)).unwrap();
    }

    /// And what it is linked with.
    fn copy_libraries(&self, of: &str) {
        let text = said(Command::new("ldd").arg(of));
        for library in text.split_whitespace().filter(|word| word.starts_with('/')) {
            self.copy(library, library.trim_start_matches('/'));
        }
    }

    fn rpm(&self, arguments: &[&str], package: Option<&Path>) -> Output {
        let mut command = Command::new("rpm");
        command.arg("--root").arg(self.0.path()).args(arguments).args(package);
        // What systemctl looks at in a root in which there is no /proc.
        command.env("SYSTEMD_OFFLINE", "1").output().unwrap()
    }

    /// A change of what is installed, with scripts. They may not say anything that is not expected of them.
    fn change(&self, option: &str, package: Option<&Path>) -> String {
        let rest: &[&str] = if option == "-e" { &["tetherd"] } else { &["--nosignature"] };
        let output = self.rpm(&[&[option, "--nodeps"], rest].concat(), package);
        assert!(output.status.success(), "{option}: {}", all(&output));
        spoken(&output).join("\n")
    }

    /// What is not as it was installed.
    fn changed(&self) -> Vec<String> {
        let output = self.rpm(&["-V", "--nodeps", "tetherd"], None);
        spoken(&output)
    }

    /// What systemctl was asked since this was called last.
    fn asked(&self) -> Vec<String> {
        let text = self.text("asked");
        self.write("asked", "");
        text.lines().map(str::to_owned).collect()
    }
}

/// What it said, but for Debian's advice to use another program.
fn spoken(output: &Output) -> Vec<String> {
    all(output).lines().filter(|line| !line.starts_with("rpm: ")).map(str::to_owned).collect()
}

fn next() -> &'static Path {
    static NEXT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    NEXT.get_or_init(|| build("next", concat!(env!("CARGO_PKG_VERSION"), ".1")).rpm)
}

/// In an image that is being made: enabled by its preset, verified, upgraded, erased.
#[test]
fn where_no_systemd_runs() {
    require_builders!();
    crate::require!("/bin/busybox", "/usr/bin/systemctl", "ldd");
    let root = Root::new();
    root.copy("/usr/bin/systemctl", "usr/bin/systemctl");
    root.copy_libraries("/usr/bin/systemctl");
    let link = "etc/systemd/system/multi-user.target.wants/tetherd.service";
    let settings = "etc/tetherd/tetherd.toml";

    assert_eq!(root.change("-i", Some(&built().rpm)), "");
    assert!(root.has(link), "the preset enables it");
    assert_eq!(root.changed(), [""; 0]);
    let again = root.rpm(&["-i", "--nodeps", "--nosignature"], Some(&built().rpm));
    assert!(!again.status.success() && all(&again).contains("already installed"), "{}", all(&again));

    // What an administrator and the daemon write.
    root.write(settings, "[watch]\n");
    root.write("etc/tetherd/rules.d/10-ours.toml", "");
    root.write("var/lib/tetherd/spool/findings-000000000001.jsonl", "{}\n");
    std::fs::remove_file(root.path(link)).unwrap();
    assert_eq!(root.change("-U", Some(next())), "");
    assert_eq!(root.text(settings), "[watch]\n", "kept at an upgrade");
    assert!(!root.has(link), "an upgrade does not enable what was disabled");
    let changed = root.changed();
    assert!(changed.len() == 1 && changed[0].contains("c /etc/tetherd/tetherd.toml"), "{changed:?}");
    // A damaged program is noticed.
    let program = root.path("usr/bin/tetherd");
    std::fs::write(&program, "x").unwrap();
    assert!(root.changed().iter().any(|line| line.contains("/usr/bin/tetherd")));
    let older = root.rpm(&["-U", "--nodeps", "--nosignature"], Some(&built().rpm));
    assert!(!older.status.success() && all(&older).contains("newer than"), "{}", all(&older));

    std::os::unix::fs::symlink("/usr/lib/systemd/system/tetherd.service", root.path(link)).unwrap();
    root.change("-e", None);
    let files = [
        "usr/bin/tetherd",
        "usr/lib/systemd/system/tetherd.service",
        "usr/share/doc/tetherd",
        "usr/share/fish",
    ];
    for gone in files.into_iter().chain([link, settings]) {
        assert!(!root.has(gone), "{gone} stays");
    }
    assert_eq!(root.text("etc/tetherd/tetherd.toml.rpmsave"), "[watch]\n");
    assert!(root.has("etc/tetherd/rules.d/10-ours.toml"));
    assert!(root.has("var/lib/tetherd/spool/findings-000000000001.jsonl"), "findings stay");
}

/// On a machine that runs: started at the first installation, started anew at an upgrade unless it refuses the settings, stopped.
#[test]
fn where_systemd_runs() {
    require_builders!();
    crate::require!("/bin/busybox", "ldd");
    let root = Root::new();
    root.write("usr/bin/systemctl", SYSTEMCTL);
    std::fs::set_permissions(root.path("usr/bin/systemctl"), Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir_all(root.path("run/systemd/system")).unwrap();
    root.copy_libraries(crate::common::daemon::TETHERD);

    root.change("-i", Some(&built().rpm));
    let preset = "--no-reload preset tetherd.service";
    let (enabled, active) = ("--quiet is-enabled tetherd.service", "--quiet is-active tetherd.service");
    assert_eq!(root.asked(), [preset, "daemon-reload", enabled, "start tetherd.service"]);

    root.write("etc/tetherd/tetherd.toml", "[watch]\nnothing_of_that_name = 1\n");
    let told = root.change("-U", Some(next()));
    assert_eq!(root.asked(), ["daemon-reload", active]);
    assert!(told.contains("nothing_of_that_name") && told.contains("the version before runs on"), "{told}");
    root.write("etc/tetherd/tetherd.toml", "");
    let back = root.rpm(&["-U", "--oldpackage", "--nodeps", "--nosignature"], Some(&built().rpm));
    assert!(back.status.success(), "{}", all(&back));
    assert_eq!(root.asked(), ["daemon-reload", active, "try-restart tetherd.service"]);

    root.change("-e", None);
    assert_eq!(root.asked(), ["--no-reload disable --now tetherd.service", "daemon-reload"]);
}
