//! What a shell's file has in it and no other program's has.
//!
//! Owns: the strings of each shell, all of which must be there, and looking for them in a file. Must not own: which
//! file. `tests/shell_files.rs` holds them against every program of the machine that it runs on.
//!
//! Measured on the shells of Debian 11, 12 and 13 (docs/shells.md) and on 2,700 other programs and libraries. A `¦` is
//! taken out of each string: without it this very program would have them all in it.

use std::fs::File;
use std::sync::LazyLock;
use std::time::Instant;

use crate::host::finder::Finder;
use crate::host::program_file::read_pieces;

/// The most of a file that is searched, in bytes: the shells measured end before it.
pub const SEARCHED_MAX: u64 = 8 << 20;
/// What every program that the kernel loads by itself begins with.
const ELF: &[u8] = b"\x7fELF";

/// One shell.
struct Shell {
    name: &'static str,
    strings: &'static [&'static str],
    /// One more, looked for where all else was found: short ones and UTF-32 would slow the search down for all.
    last: Option<Last>,
}

/// The last string of a shell.
#[derive(Clone, Copy)]
enum Last {
    Plain(&'static str),
    /// In UTF-32, which fish uses inside.
    Wide(&'static str),
}

impl Last {
    fn bytes(self) -> Vec<u8> {
        match self {
            Self::Plain(string) => plain(string),
            Self::Wide(string) => {
                plain(string).into_iter().flat_map(|byte| u32::from(byte).to_le_bytes()).collect()
            }
        }
    }
}

const fn shell(name: &'static str, strings: &'static [&'static str]) -> Shell {
    Shell { name, strings, last: None }
}

/// Each string is one of the shell's own messages or names, so that no option of the build leaves it out.
const SHELLS: [Shell; 15] = [
    Shell {
        last: Some(Last::Plain("Busy¦Box v")),
        ..shell("busybox", &[": applet ¦not found", "multi-¦call binary"])
    },
    shell("toybox", &["Toybox %s ¦multicall binary", "(see ¦toybox --help)"]),
    shell(
        "bash",
        &["BASH_¦EXECUTION_STRING", "BASH_¦VERSINFO", ": ambiguous ¦redirect", "parse_and_¦execute top"],
    ),
    shell("zsh", &["ZSH_¦EXECUTION_STRING", "no such ¦builtin: %s", "event not ¦found: %s"]),
    shell("mksh", &["mksh: out of ¦memory early", "\\\\builtin ¦fc -l", "\\\\builtin ¦typeset -i"]),
    shell("posh", &["POSH_¦VERSION", "Use `exit' ¦to leave ksh", "wdscan: ¦unknown char"]),
    // The last is in the shell alone, not in its compiler shcomp.
    Shell {
        last: Some(Last::Plain("?(.)¦/./*")),
        ..shell(
            "ksh93",
            &["is a tracked ¦alias for", "ed not found ¦set FCEDIT", "line %d: ¦set %s obsolete"],
        )
    },
    shell(
        "yash",
        &["(maybe you ¦missed `%ls'?)", "$COMMAND_¦NOT_FOUND_HANDLER", ": a semi-¦special built-in"],
    ),
    // The last is in the shell alone, not in fish_indent and fish_key_reader.
    Shell {
        last: Some(Last::Wide("Error reading ¦script file '%s':")),
        ..shell("fish", &["config path appears ¦to be on a network volume"])
    },
    shell("tcsh", &["Faulty alias ¦'precmd' removed.", "hash=%-4d ¦dir=%-2d prog=%s", "to leave ¦%s."]),
    shell(
        "csh",
        &["Use \"exit\" ¦to leave csh.", "csh: Trying ¦to start from", "%s: shell ¦built-in command."],
    ),
    shell("dash", &["Bad for ¦loop variable", "a tracked ¦alias for", "Bad fd ¦number", "Syntax ¦error: %s"]),
    shell(
        "rc",
        &["`if not' must ¦follow `if'", "null filename ¦in redirection", "in preredir ¦section of walk"],
    ),
    shell("sash", &["Stand-alone ¦shell (version %s)", "Exit from ¦sash"]),
    shell("elvish", &["src.elv.sh¦/pkg/shell", "src.elv.sh¦/pkg/eval"]),
];

/// The strings of all shells, prepared.
static ALL: LazyLock<Finder> =
    LazyLock::new(|| Finder::new(SHELLS.iter().flat_map(|shell| shell.strings).map(|s| plain(s)).collect()));

fn plain(string: &str) -> Vec<u8> {
    string.replace('¦', "").into_bytes()
}

/// Which shell a file is, by what is in it; `None`: none that is known.
pub fn shell_in(file: &File, until: Instant) -> Result<Option<&'static str>, &'static str> {
    let found = look_for(&ALL, file, until)?;
    let mut rest = found.as_slice();
    for shell in &SHELLS {
        let (own, others) = rest.split_at_checked(shell.strings.len()).unwrap_or_default();
        rest = others;
        if own.is_empty() || !own.iter().all(|found| *found) {
            continue;
        }
        let Some(last) = shell.last else { return Ok(Some(shell.name)) };
        if look_for(&Finder::new(vec![last.bytes()]), file, until)? == [true] {
            return Ok(Some(shell.name));
        }
    }
    Ok(None)
}

/// Which of the finder's strings are in a file; none of them where it is no ELF file.
fn look_for(finder: &Finder, file: &File, until: Instant) -> Result<Vec<bool>, &'static str> {
    let mut found = vec![false; finder.count()];
    let mut text: Vec<u8> = Vec::new();
    let mut first = true;
    read_pieces(file, SEARCHED_MAX, until, |piece| {
        if std::mem::take(&mut first) && !piece.starts_with(ELF) {
            return false;
        }
        // A string may begin in one piece and end in the next.
        text.drain(..text.len().saturating_sub(finder.overlap()));
        text.extend_from_slice(piece);
        finder.search(&text, &mut found);
        true
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::time::Duration;

    fn shell_of(content: &[u8]) -> Option<&'static str> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        shell_in(&file, Instant::now() + Duration::from_secs(60)).unwrap()
    }

    /// All strings of a shell, one at the very end of the first piece that is read and into the second.
    fn content(shell: &Shell) -> Vec<u8> {
        let mut content = ELF.to_vec();
        content.resize(64 * 1024 - 5, b'.');
        shell.strings.iter().for_each(|string| content.extend(plain(string)));
        shell.last.iter().for_each(|last| content.extend(last.bytes()));
        content
    }

    #[test]
    fn all_of_the_strings_and_in_a_program() {
        for shell in &SHELLS {
            let whole = content(shell);
            assert_eq!(shell_of(&whole), Some(shell.name));
            assert_eq!(shell_of(&whole[..whole.len() - 1]), None, "{}: one of them is not whole", shell.name);
            assert_eq!(shell_of(&whole[1..]), None, "{}: no ELF file", shell.name);
        }
        assert_eq!(shell_of(b""), None);
    }

    /// A file may be as large as its maker likes: of a hole of 2 GiB no more is read than of any other.
    #[test]
    fn a_bounded_part() {
        use std::os::unix::fs::FileExt;
        let file = tempfile::tempfile().unwrap();
        let whole = content(&SHELLS[0]);
        for (at, found) in [(SEARCHED_MAX, None), (SEARCHED_MAX - whole.len() as u64, Some(SHELLS[0].name))] {
            file.set_len(0).unwrap();
            file.set_len(2 << 30).unwrap();
            file.write_all_at(ELF, 0).unwrap();
            file.write_all_at(&whole, at).unwrap();
            assert_eq!(shell_in(&file, Instant::now() + Duration::from_secs(60)), Ok(found), "{at}");
        }
    }

    #[test]
    fn long_enough_to_be_found_quickly() {
        let strings = SHELLS.iter().flat_map(|shell| shell.strings);
        assert!(strings.clone().all(|string| plain(string).len() >= 12 && string.contains('¦')));
    }

    /// A program with all of these in it would be a shell to every other tetherd.
    #[test]
    fn this_program_is_no_shell() {
        let own = File::open("/proc/self/exe").unwrap();
        assert_eq!(shell_in(&own, Instant::now() + Duration::from_secs(60)), Ok(None));
    }
}
