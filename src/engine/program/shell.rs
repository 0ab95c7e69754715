//! Whether a shell executes what comes in on stdin.
//!
//! Owns: the option grammar of each family of shells, as its manual page has it and as the real shells are checked
//! against in `tests/shell_grammar.rs`. Must not own: which file is a shell.

/// A family of shells with one option grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShellFamily {
    /// dash, ash, busybox ash, posh, yash, and sh whatever it is.
    Posix,
    /// bash.
    Bash,
    /// zsh.
    Zsh,
    /// ksh93, mksh, lksh, pdksh, oksh.
    Ksh,
    /// csh, tcsh.
    Csh,
    /// fish.
    Fish,
    /// rc.
    Rc,
    /// Others, of which only "no operand" is known.
    Other,
}

impl ShellFamily {
    /// The family of a base name.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "sh" | "dash" | "ash" | "posh" | "yash" | "sash" | "bsh" | "static-sh" => Self::Posix,
            "bash" | "rbash" | "bash-static" => Self::Bash,
            "zsh" | "rzsh" | "zsh5" | "zsh-static" | "zsh5-static" => Self::Zsh,
            "ksh" | "ksh93" | "rksh" | "rksh93" | "mksh" | "mksh-static" | "lksh" | "pdksh" | "oksh"
            | "loksh" => Self::Ksh,
            "csh" | "tcsh" | "bsd-csh" => Self::Csh,
            "fish" => Self::Fish,
            "rc" => Self::Rc,
            "xonsh" | "elvish" | "nu" | "pwsh" => Self::Other,
            _ => return None,
        })
    }
}

/// What an option does to the rest of the command line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Nothing.
    None,
    /// The next argument belongs to it.
    TakesNext,
    /// Commands come from the command line.
    Command,
    /// Commands come from stdin.
    Stdin,
    /// The shell says something and ends.
    Ends,
}

/// Reads the arguments of a shell.
pub fn reads_stdin(family: ShellFamily, argv: &[&[u8]]) -> bool {
    let mut command = false;
    let mut stdin = false;
    let mut args = argv.iter().skip(1).copied();
    let mut operand = None;
    while let Some(arg) = args.next() {
        if arg == b"--" {
            operand = args.next();
            break;
        }
        let long = arg.strip_prefix(b"--");
        let short = arg.strip_prefix(b"-").or_else(|| arg.strip_prefix(b"+"));
        let mut takes_next = 0usize;
        let mut apply = |effect| match effect {
            Effect::None => true,
            Effect::TakesNext => {
                takes_next += 1;
                true
            }
            Effect::Command => {
                command = true;
                true
            }
            Effect::Stdin => {
                stdin = true;
                true
            }
            Effect::Ends => false,
        };
        let goes_on = match (long, short) {
            (Some(name), _) => apply(long_option(family, name)),
            (None, Some([])) if arg == b"-" => {
                // A lone dash ends the options.
                operand = args.next();
                break;
            }
            (None, Some(letters)) => {
                let plus = arg.starts_with(b"+");
                short_effects(family, letters, plus).all(&mut apply)
            }
            (None, None) => {
                operand = Some(arg);
                break;
            }
        };
        if !goes_on {
            return false;
        }
        for _ in 0..takes_next {
            args.next();
        }
    }
    if command {
        return false;
    }
    stdin || operand.is_none_or(is_stdin_path)
}

/// A script that is stdin itself.
fn is_stdin_path(path: &[u8]) -> bool {
    matches!(path, b"/dev/stdin" | b"/dev/fd/0" | b"/proc/self/fd/0" | b"/proc/thread-self/fd/0")
}

fn short_effects(family: ShellFamily, letters: &[u8], plus: bool) -> impl Iterator<Item = Effect> {
    let mut rest = letters;
    std::iter::from_fn(move || {
        let (letter, after) = rest.split_first()?;
        rest = after;
        let effect = short_option(family, *letter, plus);
        // In zsh and ksh `-ofoo` is one word; elsewhere the name is the next argument.
        if effect == Effect::TakesNext && !rest.is_empty() && attaches(family, *letter) {
            rest = &[];
            return Some(Effect::None);
        }
        Some(effect)
    })
}

fn attaches(family: ShellFamily, letter: u8) -> bool {
    match family {
        ShellFamily::Zsh | ShellFamily::Ksh => letter == b'o' || letter == b'T',
        ShellFamily::Fish => true,
        _ => false,
    }
}

fn short_option(family: ShellFamily, letter: u8, plus: bool) -> Effect {
    match (family, letter) {
        (ShellFamily::Csh, b'c') => Effect::Command,
        (ShellFamily::Csh, b't' | b's') => Effect::Stdin,
        (ShellFamily::Fish, b'c') => Effect::Command,
        (ShellFamily::Fish, b'C' | b'd' | b'D' | b'f' | b'o') => Effect::TakesNext,
        (ShellFamily::Fish, b'n' | b'h' | b'v') => Effect::Ends,
        (ShellFamily::Fish, _) => Effect::None,
        (ShellFamily::Rc, b'c') => Effect::Command,
        (_, b'c') if !plus => Effect::Command,
        (_, b's') if !plus => Effect::Stdin,
        (ShellFamily::Csh | ShellFamily::Rc, _) => Effect::None,
        (_, b'o') => Effect::TakesNext,
        (ShellFamily::Bash, b'O') => Effect::TakesNext,
        (ShellFamily::Bash, b'D') => Effect::Ends,
        (ShellFamily::Ksh, b'T') => Effect::TakesNext,
        _ => Effect::None,
    }
}

fn long_option(family: ShellFamily, name: &[u8]) -> Effect {
    let has_value = name.contains(&b'=');
    let key = name.split(|&b| b == b'=').next().unwrap_or(name);
    match (family, key) {
        (_, b"version" | b"help") => Effect::Ends,
        (ShellFamily::Bash, b"rcfile" | b"init-file") => Effect::TakesNext,
        (ShellFamily::Bash, b"dump-strings" | b"dump-po-strings" | b"rpm-requires") => Effect::Ends,
        (ShellFamily::Zsh, b"emulate") => Effect::TakesNext,
        (ShellFamily::Fish, b"command") => Effect::Command,
        (ShellFamily::Fish, b"no-execute" | b"print-rusage-self") => Effect::Ends,
        (ShellFamily::Fish, b"init-command" | b"debug" | b"debug-output" | b"features" | b"profile")
            if !has_value =>
        {
            Effect::TakesNext
        }
        _ => Effect::None,
    }
}

/// Whether an interpreter was given neither a program nor a script, so that it reads one from stdin.
pub fn interpreter_reads_stdin(name: &str, argv: &[&[u8]]) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    // Letters that give the program, and letters that take the next argument.
    let (program, takes): (&[u8], &[u8]) = match stem {
        "python" | "pypy" => (b"cmhV", b"WX"),
        "perl" | "raku" => (b"eEvV", b""),
        "ruby" | "jruby" => (b"ehv", b"rICEx"),
        "php" | "php-cgi" => (b"rfBREFSaihmv", b"dczt"),
        "node" | "nodejs" => (b"epvh", b"rC"),
        "lua" | "luajit" => (b"ev", b"l"),
        "tclsh" | "expect" => (b"c", b"d"),
        _ => return false,
    };
    let mut args = argv.iter().skip(1).copied();
    while let Some(arg) = args.next() {
        match arg {
            b"-" => return true,
            b"--" => return args.next().is_none(),
            [b'-', b'-', ..] => {
                if matches!(arg, b"--eval" | b"--print" | b"--version" | b"--help") {
                    return false;
                }
            }
            [b'-', letters @ ..] => {
                if letters.iter().any(|letter| program.contains(letter)) {
                    return false;
                }
                if letters.last().is_some_and(|letter| takes.contains(letter)) {
                    args.next();
                }
            }
            path => return is_stdin_path(path),
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(line: &str) -> bool {
        let argv: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        reads_stdin(ShellFamily::of(line.split(' ').next().unwrap()).unwrap(), &argv)
    }

    #[test]
    fn commands_from_stdin() {
        for line in [
            "sh",
            "sh -i",
            "sh -s a b",
            "sh -",
            "sh --",
            "sh -e -x",
            "sh -o errexit",
            "dash -is x",
            "bash -li",
            "bash --norc -i",
            "bash -o posix",
            "bash +o posix -O extglob",
            "bash --rcfile f",
            "bash --init-file f -i",
            "bash /dev/stdin",
            "sh /dev/fd/0",
            "bash --noprofile --norc",
            "zsh -f",
            "zsh --emulate sh",
            "zsh -ofoo -i",
            "ksh -o vi",
            "mksh -l",
            "fish",
            "fish -i",
            "fish -C x",
            "fish --init-command x",
            "csh",
            "tcsh -f",
            "bash -euo pipefail",
            "zsh +o nomatch",
        ] {
            assert!(reads(line), "{line}");
        }
    }

    #[test]
    fn commands_from_elsewhere() {
        for line in [
            "sh -c id",
            "sh -ic id",
            "bash -lc id",
            "bash script",
            "bash -- script",
            "bash -x script",
            "sh -c sh",
            "bash --rcfile f script",
            "zsh -c id",
            "zsh --emulate sh -c id",
            "ksh -c id",
            "mksh script",
            "fish -c id",
            "fish --command=id",
            "fish script",
            "csh -c id",
            "bash --version",
            "bash -s -c x",
            "bash +O extglob script",
            "bash - script",
            "bash -o posix script",
            "bash -euo pipefail script",
        ] {
            assert!(!reads(line), "{line}");
        }
    }
}
