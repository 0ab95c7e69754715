//! The script that an interpreter or a shell runs.
//!
//! Owns: which argument names it, opening it as the process would, its digest. Must not own: whether the interpreter reads
//! commands from elsewhere (the engine does). What is on the command line is the process's to choose: the file is what
//! the argument leads to now, which is why its change after the start is told.

use std::ffi::CStr;
use std::os::fd::OwnedFd;

use rustix::fs::OFlags;

use crate::host::proc_dir::ProcDir;
use crate::host::root::regular;
use crate::model::look::{FileId, base_name};

use super::Known;
use crate::enrich::digest::{Sum, hash};

/// The start is known to a clock tick (10 ms as a rule), and a script may be written right before it is run.
const START_SLACK_NS: i64 = 50_000_000;

/// An open file and which one it is.
pub(super) type Opened = (OwnedFd, FileId);

/// A script.
#[derive(Debug)]
pub(in crate::enrich) struct Script {
    pub(in crate::enrich) path: Vec<u8>,
    pub(in crate::enrich) file: FileId,
    pub(in crate::enrich) sum: Sum,
    /// Its content has changed after the process had started.
    pub(in crate::enrich) changed: bool,
}

/// How one family of interpreters is called. Letters may stand together behind one dash.
struct Grammar {
    names: &'static str,
    /// Letters with which there is no script.
    none: &'static str,
    /// Letters with an argument: the rest of the word, or the next one.
    takes: &'static str,
    /// Letters to which the rest of the word belongs.
    attached: &'static str,
    /// Letters whose argument is the script.
    file: &'static str,
    long_takes: &'static str,
}

const PLAIN: Grammar = Grammar { names: "", none: "", takes: "", attached: "", file: "", long_takes: "" };

const GRAMMARS: [Grammar; 9] = [
    Grammar {
        names: "sh dash ash sash bash rbash zsh ksh rksh mksh lksh pdksh oksh posh yash",
        none: "cs",
        takes: "oO",
        long_takes: "--rcfile --init-file",
        ..PLAIN
    },
    Grammar { names: "csh tcsh", none: "cs", ..PLAIN },
    Grammar { names: "fish", none: "c", takes: "CdDfo", long_takes: "--init-command --features", ..PLAIN },
    Grammar { names: "python pypy", none: "cm", takes: "WX", long_takes: "--check-hash-based-pycs", ..PLAIN },
    Grammar { names: "perl", none: "eE", takes: "I", attached: "iMmFDxlC0dV", ..PLAIN },
    Grammar { names: "ruby", none: "e", takes: "rICEX", attached: "W0KTFix", ..PLAIN },
    Grammar { names: "php php-cgi", none: "rBRES", takes: "dczt", file: "fF", ..PLAIN },
    Grammar {
        names: "node nodejs",
        none: "ep",
        takes: "rC",
        long_takes: "--require --import --loader",
        ..PLAIN
    },
    Grammar { names: "lua luajit tclsh wish expect", takes: "elcjd", file: "f", ..PLAIN },
];

/// The argument that names the script, if the program takes one and there is one. `name`: of the program file.
pub(super) fn operand<'a>(name: &[u8], args: &'a [Vec<u8>]) -> Option<&'a [u8]> {
    let mut args = args;
    let mut name = name;
    if matches!(name, b"busybox" | b"toybox") {
        name = base_name(args.first()?);
        if matches!(name, b"busybox" | b"toybox") {
            args = args.get(1..)?;
            name = base_name(args.first()?);
        }
    }
    let name = std::str::from_utf8(name.strip_prefix(b"-").unwrap_or(name)).ok()?;
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let grammar = GRAMMARS.iter().find(|grammar| grammar.names.split(' ').any(|known| known == name))?;
    let mut words = args.get(1..)?.iter().map(Vec::as_slice);
    while let Some(word) = words.next() {
        match word {
            b"-" => return None,
            b"--" => return words.next(),
            [b'-', b'-', ..] => {
                let takes = grammar.long_takes.split(' ').any(|known| known.as_bytes() == word);
                if takes {
                    words.next()?;
                }
            }
            [b'-' | b'+', letters @ ..] => match grammar.letters(letters) {
                Effect::None => return None,
                Effect::Next => {
                    words.next()?;
                }
                Effect::Script([]) => return words.next(),
                Effect::Script(rest) => return Some(rest),
                Effect::Nothing => {}
            },
            [] => return None,
            _ => return Some(word),
        }
    }
    None
}

enum Effect<'a> {
    Nothing,
    /// There is no script.
    None,
    /// The next word belongs to it.
    Next,
    /// This, or the next word, is the script.
    Script(&'a [u8]),
}

impl Grammar {
    fn letters<'a>(&self, letters: &'a [u8]) -> Effect<'a> {
        let mut left = letters;
        while let Some((&letter, rest)) = left.split_first() {
            let among = |set: &str| set.bytes().any(|known| known == letter);
            if among(self.none) {
                return Effect::None;
            }
            if among(self.file) {
                return Effect::Script(rest);
            }
            if among(self.takes) {
                return if rest.is_empty() { Effect::Next } else { Effect::Nothing };
            }
            if among(self.attached) {
                return Effect::Nothing;
            }
            left = rest;
        }
        Effect::Nothing
    }
}

/// The script's path below the process's root; `None` where it is relative to something unknown.
pub(super) fn absolute(operand: &[u8], cwd: &[u8], root: &[u8]) -> Option<Vec<u8>> {
    if operand.starts_with(b"/") {
        return Some(operand.to_vec());
    }
    let below = cwd.strip_prefix(root).filter(|rest| rest.is_empty() || rest.starts_with(b"/"));
    let cwd = below.unwrap_or(cwd);
    (cwd.starts_with(b"/") || below == Some(b"")).then(|| [cwd, b"/", operand].concat())
}

/// Where shells keep the script open: bash at 255, dash and others at the first free one from 10 on.
const HELD_AT: [&CStr; 7] = [c"fd/255", c"fd/10", c"fd/11", c"fd/12", c"fd/13", c"fd/3", c"fd/4"];

/// The script where the interpreter has it open although its name has gone.
pub(super) fn held(dir: &ProcDir, path: &[u8]) -> Option<Opened> {
    HELD_AT.into_iter().find_map(|fd| {
        let link = dir.link(fd).ok()?;
        let name = link.strip_suffix(b" (deleted)")?;
        let same = base_name(name) == base_name(path);
        same.then(|| dir.open_below(fd, OFlags::PATH).ok().and_then(regular)).flatten()
    })
}

/// Hashes it.
pub(super) fn read(path: Vec<u8>, (handle, file): Opened, max: u64, started_wall_ns: u64) -> Known<Script> {
    let sum = hash(&file, &handle, max)?;
    let started = i64::try_from(started_wall_ns).unwrap_or(i64::MAX);
    Ok(Script {
        path,
        file,
        sum,
        changed: started_wall_ns > 0 && file.mtime_ns > started.saturating_add(START_SLACK_NS),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn operands() {
        for (name, line, script) in [
            ("bash", "bash x.sh a", Some("x.sh")),
            ("bash", "/bin/bash -eo pipefail /x/y", Some("/x/y")),
            ("bash", "bash --rcfile z x", Some("x")),
            ("bash", "bash -c x", None),
            ("bash", "bash -ic x", None),
            ("bash", "bash -i", None),
            ("dash", "sh - x", None),
            ("dash", "sh -- -x", Some("-x")),
            ("dash", "sh +x -o errexit s", Some("s")),
            ("python3.12", "python3 -u -W ignore a.py", Some("a.py")),
            ("python3", "python3 -m http.server", None),
            ("perl", "perl -I lib -Mstrict x.pl", Some("x.pl")),
            ("perl", "perl -e 1 x", None),
            ("php8.2", "php -f x.php", Some("x.php")),
            ("php", "php -d a=b x.php", Some("x.php")),
            ("node", "node --require ./a b.js", Some("b.js")),
            ("busybox", "ash -e x", Some("x")),
            ("busybox", "busybox sh x", Some("x")),
            ("busybox", "busybox", None),
            ("expect", "expect -f x.exp", Some("x.exp")),
            ("cat", "cat x", None),
            ("bash", "", None),
        ] {
            let args: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            let found = operand(name.as_bytes(), &args).map(|found| std::str::from_utf8(found).unwrap());
            assert_eq!(found, script, "{line}");
        }
    }

    #[test]
    fn paths() {
        assert_eq!(absolute(b"/x", b"", b""), Some(b"/x".to_vec()));
        assert_eq!(absolute(b"x", b"/tmp", b"/"), Some(b"/tmp/x".to_vec()));
        assert_eq!(absolute(b"x", b"/jail/tmp", b"/jail"), Some(b"/tmp/x".to_vec()));
        assert_eq!(absolute(b"x", b"/jail", b"/jail"), Some(b"/x".to_vec()));
        assert_eq!(absolute(b"x", b"(unreachable)/a", b"/"), None);
        assert_eq!(absolute(b"x", b"", b"/"), None);
    }

    proptest! {
        #[test]
        fn any_arguments(name in "(bash|perl|php|node|lua|busybox)", list in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..8), 0..8)) {
            let _ = operand(name.as_bytes(), &list);
        }
    }
}
