//! The manual pages and the completions.

use std::path::Path;
use std::process::Command;

use clap::CommandFactory as _;
use tetherd::cli::args::Tetherd;
use tetherd::config::keys::KEYS;

use crate::built::{all, built, said};
use crate::require_builders;

/// The tree of the Debian package.
fn tree() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    said(Command::new("dpkg-deb").arg("-x").arg(&built().deb).arg(root.path()));
    root
}

/// A page as a reader sees it, on one line; what groff has to say against it fails the test.
fn page(path: &Path) -> String {
    let mut command = Command::new("man");
    command.args(["--warnings=w", "--local-file"]).arg(path).env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8");
    let output = command.output().unwrap();
    let warnings = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && warnings.is_empty(), "{}: {warnings}", path.display());
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_page_for_each_command() {
    require_builders!();
    crate::require!("man");
    let tree = tree();
    let man = tree.path().join("usr/share/man");
    let whole = page(&man.join("man1/tetherd.1.gz"));
    let mut count = 0;
    for command in Tetherd::command().get_subcommands() {
        let name = command.get_name();
        let section = if name == "run" { "8" } else { "1" };
        let text = page(&man.join(format!("man{section}/tetherd-{name}.{section}.gz")));
        assert!(whole.contains(&format!("tetherd-{name}({section})")), "{name}");
        for option in command.get_opts().filter_map(|option| option.get_long()) {
            assert!(text.contains(&format!("--{option}")), "--{option} of {name}");
        }
        count += 1;
    }
    assert!(count > 10);
    assert!(whole.contains("EXIT STATUS") && whole.contains("SEE ALSO"));
}

#[test]
fn a_page_for_the_configuration() {
    require_builders!();
    crate::require!("man");
    let tree = tree();
    let text = page(&tree.path().join("usr/share/man/man5/tetherd.toml.5.gz"));
    for key in KEYS {
        assert!(text.contains(&format!("{} (", key.name())), "{}", key.path);
    }
    let rules = page(&tree.path().join("usr/share/man/man5/tetherd-rules.5.gz"));
    assert!(rules.contains("[[allow]]") && rules.contains("monitoring-agent"));
}

#[test]
fn completions_are_read_by_their_shells() {
    require_builders!();
    let tree = tree();
    let share = tree.path().join("usr/share");
    for (shell, option, path) in [
        ("bash", "-n", "bash-completion/completions/tetherd"),
        ("zsh", "-n", "zsh/vendor-completions/_tetherd"),
        ("fish", "--no-execute", "fish/vendor_completions.d/tetherd.fish"),
    ] {
        crate::require!(shell);
        let path = share.join(path);
        let output = Command::new(shell).arg(option).arg(&path).output().unwrap();
        assert!(output.status.success(), "{shell}: {}", all(&output));
        assert!(std::fs::read_to_string(&path).unwrap().contains("check-config"), "{shell}");
    }
}
