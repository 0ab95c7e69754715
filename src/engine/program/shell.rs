//! Whether a shell executes what comes in on stdin.
//!
//! Owns: the option grammar of each family of shells, as its manual page has it and as the real shells are checked
//! against in `tests/shell_grammar.rs`. Must not own: which file is a shell.

/// A family of shells with one option grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ShellFamily {
    /// dash, ash, busybox ash, and sh whatever it is: where they differ, what leads to reading commands holds.
    Posix,
    /// bash.
    Bash,
    /// zsh.
    Zsh,
    /// ksh93, mksh, lksh, pdksh, oksh, posh.
    Ksh,
    /// yash.
    Yash,
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
            "sh" | "dash" | "ash" | "sash" | "bsh" | "static-sh" => Self::Posix,
            "bash" | "rbash" | "bash-static" => Self::Bash,
            "zsh" | "rzsh" | "zsh5" | "zsh-static" | "zsh5-static" => Self::Zsh,
            "ksh" | "ksh93" | "rksh" | "rksh93" | "mksh" | "mksh-static" | "lksh" | "pdksh" | "oksh"
            | "loksh" | "posh" => Self::Ksh,
            "yash" => Self::Yash,
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
    /// The next argument is the name of an option.
    TakesName,
    /// Commands come from the command line.
    Command,
    /// Commands come from stdin.
    Stdin,
    /// The shell says something and ends.
    Ends,
}

/// A longer path is not looked into.
const STDIN_PATH_MAX: usize = 4096;

/// Reads the arguments of a shell.
pub fn reads_stdin(family: ShellFamily, argv: &[&[u8]]) -> bool {
    let mut command = false;
    let mut stdin = false;
    let mut args = argv.iter().skip(1).copied();
    let mut operand = None;
    while let Some(arg) = args.next() {
        if arg == b"--" && family != ShellFamily::Csh {
            operand = args.next();
            break;
        }
        let long = arg.strip_prefix(b"--");
        let short = arg.strip_prefix(b"-").or_else(|| arg.strip_prefix(b"+"));
        let plus = arg.starts_with(b"+");
        // What belongs to the options of this argument: whether it is an option's name.
        let mut taken: Vec<bool> = Vec::new();
        let mut apply = |effect| match effect {
            Effect::None => true,
            Effect::TakesNext | Effect::TakesName => {
                taken.push(effect == Effect::TakesName);
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
            // csh knows no long options, only letters.
            (Some(letters), _) if family == ShellFamily::Csh => {
                short_effects(family, letters, plus).all(&mut apply)
            }
            (Some(name), _) => apply(long_option(family, name)),
            (None, Some([])) if arg == b"-" => {
                // A lone dash ends the options.
                operand = args.next();
                break;
            }
            (None, Some(name)) if family == ShellFamily::Bash && !plus && is_bash_long(name) => {
                apply(long_option(family, name))
            }
            (None, Some(letters)) => short_effects(family, letters, plus).all(&mut apply),
            (None, None) => {
                operand = Some(arg);
                break;
            }
        };
        if !goes_on {
            return false;
        }
        for is_name in taken {
            let value = args.next().unwrap_or_default();
            stdin |= is_name && names_stdin(value, plus);
        }
    }
    if command {
        // dash and rc go on with stdin after the command where they are told -s as well.
        return stdin && matches!(family, ShellFamily::Posix | ShellFamily::Rc);
    }
    stdin || operand.is_none_or(is_stdin_path)
}

/// A script that is stdin itself, however its path is written.
pub(super) fn is_stdin_path(path: &[u8]) -> bool {
    if path.first() != Some(&b'/') || path.len() > STDIN_PATH_MAX {
        return false;
    }
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let own = |part: &[u8]| matches!(part, b"self" | b"thread-self") || part.iter().all(u8::is_ascii_digit);
    match parts.as_slice() {
        [b"dev", b"stdin"] | [b"dev", b"fd", b"0"] => true,
        [b"proc", process, b"fd", b"0"] => own(process),
        [b"proc", process, b"task", thread, b"fd", b"0"] => own(process) && own(thread),
        _ => false,
    }
}

fn short_effects(family: ShellFamily, letters: &[u8], plus: bool) -> impl Iterator<Item = Effect> {
    let mut rest = letters;
    std::iter::from_fn(move || {
        let (letter, after) = rest.split_first()?;
        rest = after;
        let effect = short_option(family, *letter, plus);
        // In zsh and ksh `-ofoo` is one word; elsewhere the name is the next argument.
        let takes = matches!(effect, Effect::TakesNext | Effect::TakesName);
        if takes && !rest.is_empty() && attaches(family, *letter) {
            let named = effect == Effect::TakesName && names_stdin(rest, plus);
            rest = &[];
            return Some(if named { Effect::Stdin } else { Effect::None });
        }
        Some(effect)
    })
}

fn attaches(family: ShellFamily, letter: u8) -> bool {
    match family {
        ShellFamily::Zsh | ShellFamily::Ksh | ShellFamily::Yash => letter == b'o' || letter == b'T',
        ShellFamily::Fish => true,
        _ => false,
    }
}

fn short_option(family: ShellFamily, letter: u8, plus: bool) -> Effect {
    match (family, letter) {
        (ShellFamily::Csh, b'c') => Effect::Command,
        (ShellFamily::Csh, b't' | b's' | b'i') => Effect::Stdin,
        (ShellFamily::Fish, b'c') => Effect::Command,
        (ShellFamily::Fish, b'C' | b'd' | b'D' | b'f' | b'o') => Effect::TakesNext,
        (ShellFamily::Fish, b'n' | b'h' | b'v') => Effect::Ends,
        (ShellFamily::Fish, _) => Effect::None,
        (ShellFamily::Rc, b'c') => Effect::Command,
        (_, b'c') if !plus => Effect::Command,
        (_, b's') if !plus || matches!(family, ShellFamily::Bash | ShellFamily::Posix) => Effect::Stdin,
        (ShellFamily::Csh | ShellFamily::Rc, _) => Effect::None,
        (_, b'o') => Effect::TakesName,
        (ShellFamily::Bash, b'O') => Effect::TakesNext,
        (ShellFamily::Bash, b'D') => Effect::Ends,
        (ShellFamily::Ksh, b'T') => Effect::TakesNext,
        (ShellFamily::Ksh, b'D') => Effect::Ends,
        (ShellFamily::Yash, b'V') => Effect::Ends,
        _ => Effect::None,
    }
}

fn long_option(family: ShellFamily, name: &[u8]) -> Effect {
    let has_value = name.contains(&b'=');
    let key = name.split(|&b| b == b'=').next().unwrap_or(name);
    // fish and yash take the beginning of a name for the name.
    let begins = |names: &[&str]| key.len() > 1 && names.iter().any(|name| name.as_bytes().starts_with(key));
    match (family, key) {
        // busybox ash passes it over.
        (ShellFamily::Posix, b"version") => Effect::None,
        (_, b"version" | b"help") => Effect::Ends,
        (ShellFamily::Bash, b"rcfile" | b"init-file") => Effect::TakesNext,
        (ShellFamily::Bash, b"pretty-print") => Effect::Ends,
        (ShellFamily::Bash | ShellFamily::Ksh, b"dump-strings" | b"dump-po-strings") => Effect::Ends,
        (ShellFamily::Zsh, b"emulate") => Effect::TakesNext,
        (ShellFamily::Zsh | ShellFamily::Ksh | ShellFamily::Yash, _) if names_stdin(key, false) => {
            Effect::Stdin
        }
        (ShellFamily::Yash, _) if begins(&["rcfile", "profile"]) && !has_value => Effect::TakesNext,
        (ShellFamily::Yash, _) if begins(&["stdin"]) => Effect::Stdin,
        (ShellFamily::Yash, _) if begins(&["cmdline"]) => Effect::Command,
        (ShellFamily::Fish, b"command") => Effect::Command,
        (ShellFamily::Fish, b"no-execute" | b"print-rusage-self") => Effect::Ends,
        (ShellFamily::Fish, _)
            if begins(&[
                "init-command",
                "debug",
                "debug-output",
                "features",
                "profile",
                "profile-startup",
            ]) && !has_value =>
        {
            Effect::TakesNext
        }
        _ => Effect::None,
    }
}

/// bash takes its long options with one dash too (bash(1), `parse_long_options` of its `shell.c`).
fn is_bash_long(name: &[u8]) -> bool {
    let known = "debug debugger dump-po-strings dump-strings help init-file login noediting noprofile norc posix \
                 pretty-print protected rcfile restricted verbose version wordexp";
    known.split(' ').any(|known| known.as_bytes() == name)
}

/// Whether an option's name is another way to say `-s`; zsh and yash ignore case, `_` and `-` in names.
fn names_stdin(name: &[u8], plus: bool) -> bool {
    let plain: Vec<u8> =
        name.iter().filter(|b| !matches!(b, b'_' | b'-')).map(u8::to_ascii_lowercase).collect();
    match plain.strip_prefix(b"no") {
        Some(rest) => plus && matches!(rest, b"stdin" | b"shinstdin"),
        None => !plus && matches!(plain.as_slice(), b"stdin" | b"shinstdin"),
    }
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
            "sh //dev/stdin",
            "sh /dev/./fd/../fd/0",
            "sh /proc/self/../thread-self/fd/0",
            "sh /proc/1234/task/1235/fd/0",
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
            "sh -sc true",
            "rc -s -c true",
            "sh --version",
            "bash -norc",
            "bash -rcfile f",
            "bash +s script",
            "dash -o stdin script",
            "zsh -o SHIN_STDIN script",
            "zsh --shin-stdin script",
            "zsh +o noshinstdin script",
            "mksh -eostdin script",
            "yash --rc f",
            "yash --std script",
            "csh -i script",
            "csh -- -s script",
            "fish --init x",
        ] {
            assert!(reads(line), "{line}");
        }
    }

    #[test]
    fn commands_from_elsewhere() {
        for line in [
            "sh -c id",
            "sh -ic id",
            "sh dev/stdin",
            "sh /dev/stdin/x",
            "sh /dev/fd/3",
            "sh /proc/fd/0",
            "sh /proc/self/task/fd/0",
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
            "bash -sc true",
            "bash -rcfile f script",
            "bash -version",
            "bash --pretty-print",
            "dash +o stdin script",
            "ksh -D",
            "yash -V",
            "yash --cmd id",
        ] {
            assert!(!reads(line), "{line}");
        }
    }
}
