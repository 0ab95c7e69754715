//! The shells that a root directory has, and whether a file is one of them.
//!
//! Owns: where shells are (well-known paths, `etc/shells`), which of the paths in `etc/shells` are none, and comparing.
//! Must not own: what a shell's file has in it (`characteristic`).

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::time::Instant;

use crate::host::program_file::{reopen, same_content};
use crate::host::root::Root;
use crate::model::look::{FileId, base_name};
use crate::model::recognised::How;

/// Directories and names of shells; `sh`, which may be any of the others, comes last.
const DIRECTORIES: [&str; 3] = ["/bin/", "/usr/bin/", "/usr/local/bin/"];
const NAMES: [&str; 20] = [
    "bash",
    "dash",
    "ash",
    "zsh",
    "ksh93",
    "ksh",
    "mksh",
    "lksh",
    "oksh",
    "busybox",
    "fish",
    "tcsh",
    "csh",
    "yash",
    "posh",
    "rc",
    "bash-static",
    "zsh-static",
    "mksh-static",
    "sh",
];
/// What distributions put into `etc/shells` or give to users as a shell, and that executes nothing that it reads.
const NO_SHELLS: [&[u8]; 10] = [
    b"tmux",
    b"screen",
    b"byobu",
    b"nologin",
    b"false",
    b"true",
    b"git-shell",
    b"scponly",
    b"rssh",
    b"systemd-home-fallback-shell",
];
/// The most of `etc/shells` that is read, in bytes, and the most paths of it that count.
const LIST_MAX: u64 = 16 * 1024;
const LISTED_MAX: usize = 64;
/// The longest path that counts, in bytes.
const PATH_MAX: usize = 256;
/// The largest file that is compared.
const COMPARED_MAX: u64 = 16 << 20;

/// Which shell of the root a file is, by its name there: the same file, else one with the same content.
pub fn find(root: &Root, program: &FileId, open: &File, until: Instant) -> Option<How> {
    let mut alike = None;
    let mut seen = HashSet::new();
    for path in paths(root) {
        let Some((handle, shell)) = root.file(&path) else { continue };
        if (shell.device, shell.inode) == (program.device, program.inode) {
            return Some(How::SameFile(path));
        }
        let new = seen.insert((shell.device, shell.inode));
        if new && alike.is_none() && shell.size == program.size && (1..=COMPARED_MAX).contains(&shell.size) {
            let same = reopen(&handle).and_then(|shell| same_content(open, &shell, program.size, until));
            alike = (same == Ok(true)).then_some(path);
        }
        if Instant::now() > until {
            break;
        }
    }
    alike.map(How::SameContent)
}

fn paths(root: &Root) -> Vec<Vec<u8>> {
    let known =
        NAMES.iter().flat_map(|name| DIRECTORIES.map(|directory| format!("{directory}{name}").into_bytes()));
    let mut paths: Vec<Vec<u8>> = known.collect();
    if let Some((handle, _)) = root.file(b"etc/shells")
        && let Ok(list) = reopen(&handle)
    {
        let mut text = Vec::new();
        // What could be read of it counts.
        let _ = list.take(LIST_MAX).read_to_end(&mut text);
        paths.extend(listed(&text).map(<[u8]>::to_vec));
    }
    paths
}

/// The paths in `etc/shells` (shells(5)).
fn listed(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&b| b == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| line.starts_with(b"/") && line.len() <= PATH_MAX && !line.contains(&0))
        .filter(|line| !NO_SHELLS.contains(&base_name(line)))
        .take(LISTED_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lists() {
        let text = b"# /etc/shells\n/bin/sh\n  /opt/my shell \n/usr/bin/tmux\nbin/relative\n\n/bin/\0x\n/sbin/nologin\n/bin/end";
        let found: Vec<_> = listed(text).collect();
        assert_eq!(found, [&b"/bin/sh"[..], b"/opt/my shell", b"/bin/end"]);
        let many = b"/bin/sh\n".repeat(1000);
        assert_eq!(listed(&many).count(), LISTED_MAX);
    }

    proptest! {
        #[test]
        fn any_list_is_safe(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(listed(&text).all(|path| path.len() <= PATH_MAX));
        }
    }
}
