//! Command lines (`engine::program`).
//!
//! Holds: wrappers are looked through to a bounded depth, each time into a shorter command line; what stands behind a
//! script's name changes nothing; `-c` before everything means no commands from stdin.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tetherd::engine::program::Catalog;
use tetherd::engine::program::launcher::{self, Unwrapped};
use tetherd::engine::program::shell::{ShellFamily, reads_stdin};

const NAMES: [&str; 24] = [
    "sh",
    "bash",
    "zsh",
    "ksh",
    "csh",
    "fish",
    "rc",
    "xonsh",
    "busybox",
    "env",
    "timeout",
    "chroot",
    "sudo",
    "su",
    "runuser",
    "script",
    "flock",
    "ld-linux-x86-64.so.2",
    "python3",
    "perl",
    "php8.2",
    "node",
    "nsenter",
    "setpriv",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, rest)) = bytes.split_first() else { return };
    let name = NAMES[usize::from(choice) % NAMES.len()];
    let argv: Vec<&[u8]> = rest.split(|&b| b == 0).collect();
    if let Unwrapped::Command(inner) = launcher::unwrap(name, &argv) {
        assert!(!inner.is_empty() && inner.len() < argv.len() && argv.ends_with(inner));
    }
    if let Some(inner) = launcher::loader_operand(&argv) {
        assert!(!inner.is_empty() && inner.len() < argv.len() && argv.ends_with(inner));
    }
    if let Some(family) = ShellFamily::of(name) {
        let mut scripted = vec![name.as_bytes(), b"/a/script"];
        scripted.extend(&argv);
        assert!(!reads_stdin(family, &scripted), "what follows a script is the script's");
        let mut more = argv.clone();
        // More than the options before can take for themselves.
        more.extend(std::iter::repeat_n(b"/a/script".as_slice(), rest.len() + 1));
        let before = reads_stdin(family, &more);
        more.push(b"/b");
        assert_eq!(before, reads_stdin(family, &more), "a further operand decides nothing");
    }
    let owned: Vec<Vec<u8>> = argv.iter().map(|arg| arg.to_vec()).collect();
    static CATALOG: LazyLock<Catalog> = LazyLock::new(|| Catalog::new(&[], &[], &[]));
    let catalog = &*CATALOG;
    let program = catalog.identify(format!("/bin/{name}").as_bytes(), b"comm", &owned);
    assert!(program.launchers.len() <= 8 && program.name.len() <= 3 * 255);
    assert_eq!(program, catalog.identify(format!("/bin/{name}").as_bytes(), b"comm", &owned));
    let _ = catalog.identify(rest, rest, &owned);
});
