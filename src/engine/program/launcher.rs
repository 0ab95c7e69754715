//! Programs that start another on their own stdio.
//!
//! Owns: for each, which options take an argument and how many operands come before the command (their manual
//! pages). Must not own: what the command is.

/// What stands behind a launcher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unwrapped<'a> {
    /// This command with its arguments.
    Command(&'a [&'a [u8]]),
    /// A shell that reads commands.
    ShellOnStdin,
    /// A shell with one command.
    ShellCommand,
    /// Nothing: it is no launcher, or was given no command.
    Itself,
}

/// What a launcher does when it was given no command.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Without {
    Itself,
    Shell,
}

/// One launcher's grammar.
struct Grammar {
    names: &'static str,
    /// Short options that take an argument.
    short: &'static str,
    /// Long options whose argument is the next word.
    long: &'static str,
    /// Operands before the command.
    operands: usize,
    /// `NAME=value` words come before the command.
    variables: bool,
    without: Without,
}

const fn grammar(names: &'static str, short: &'static str, long: &'static str, operands: usize) -> Grammar {
    Grammar { names, short, long, operands, variables: false, without: Without::Itself }
}

const GRAMMARS: [Grammar; 26] = [
    Grammar { variables: true, ..grammar("env", "uCS", "unset chdir", 0) },
    grammar("timeout", "ks", "kill-after signal", 1),
    grammar("nice", "n", "adjustment", 0),
    grammar("ionice", "cn", "class classdata", 0),
    grammar("chrt", "TPD", "sched-runtime sched-period sched-deadline", 1),
    grammar("taskset", "", "", 1),
    grammar("setsid", "", "", 0),
    grammar("nohup", "", "", 0),
    grammar("stdbuf", "ioe", "input output error", 0),
    Grammar { without: Without::Shell, ..grammar("chroot", "", "userspec groups", 1) },
    Grammar { without: Without::Shell, ..grammar("nsenter", "tSGW", "target setuid setgid wdns", 0) },
    Grammar {
        without: Without::Shell,
        ..grammar(
            "unshare",
            "SGRw",
            "setuid setgid root wd map-user map-group map-users map-groups propagation setgroups",
            0,
        )
    },
    Grammar {
        variables: true,
        ..grammar("sudo", "ugpCrtThRDU", "user group prompt chdir host role type close-from chroot", 0)
    },
    grammar("doas", "uC", "", 0),
    grammar(
        "setpriv",
        "",
        "ruid euid reuid rgid egid regid groups inh-caps ambient-caps bounding-set securebits pdeathsig",
        0,
    ),
    grammar("strace", "oepsSaEIObuPX", "output expr trace attach user", 0),
    grammar("ltrace", "oepsaAlnuxDF", "output user", 0),
    grammar("time", "fo", "format output", 0),
    grammar("linux32 linux64 i386 x86_64", "", "", 0),
    grammar("setarch", "", "", 1),
    grammar("prlimit", "", "", 0),
    grammar("flock", "wE", "timeout wait conflict-exit-code", 1),
    grammar("tini dumb-init catatonit", "pr", "rewrite", 0),
    grammar("gosu su-exec", "", "", 1),
    grammar("rlwrap", "aAbcCDfFgHlmMoOpPqrsStz", "file prompt-colour history-filename", 0),
    grammar("catchsegv eatmydata fakeroot proxychains proxychains4 stdlog xargs-none", "", "", 0),
];

/// Whether a name is a launcher's.
pub fn is_launcher(name: &str) -> bool {
    matches!(name, "su" | "runuser" | "script")
        || GRAMMARS.iter().any(|grammar| grammar.names.split(' ').any(|known| known == name))
}

/// Looks through one launcher.
pub fn unwrap<'a>(name: &str, argv: &'a [&'a [u8]]) -> Unwrapped<'a> {
    match name {
        "su" | "runuser" => return switch_user(name, argv),
        "script" => return script(argv),
        "sudo" if has_short(argv, b"si") => return Unwrapped::ShellOnStdin,
        _ => {}
    }
    let Some(grammar) = GRAMMARS.iter().find(|g| g.names.split(' ').any(|known| known == name)) else {
        return Unwrapped::Itself;
    };
    let mut at = 1;
    let mut operands = 0;
    while let Some(arg) = argv.get(at) {
        if operands > 0 || !arg.starts_with(b"-") || *arg == b"-" {
            let variable = grammar.variables && arg.contains(&b'=') && !arg.starts_with(b"=");
            if !variable && operands == grammar.operands && *arg != b"-" {
                return Unwrapped::Command(argv.get(at..).unwrap_or_default());
            }
            operands += usize::from(!variable && *arg != b"-");
            at += 1;
            continue;
        }
        if *arg == b"--" {
            at += 1;
            let first = at + grammar.operands.saturating_sub(operands);
            return match argv.get(first..) {
                Some(rest) if !rest.is_empty() => Unwrapped::Command(rest),
                _ => without(grammar.without),
            };
        }
        at += if takes_next(grammar.short, grammar.long, arg) { 2 } else { 1 };
    }
    without(grammar.without)
}

fn without(without: Without) -> Unwrapped<'static> {
    match without {
        Without::Itself => Unwrapped::Itself,
        Without::Shell => Unwrapped::ShellOnStdin,
    }
}

/// Whether an option's argument is the next word: `-k 3`, `--signal 9`; not `-k3`, `--signal=9`.
fn takes_next(short: &str, long: &str, arg: &[u8]) -> bool {
    if let Some(name) = arg.strip_prefix(b"--") {
        return long.split(' ').any(|known| known.as_bytes() == name);
    }
    let letters = arg.get(1..).unwrap_or_default();
    let taking = letters.iter().position(|letter| short.as_bytes().contains(letter));
    taking.is_some_and(|place| place + 1 == letters.len())
}

fn has_short(argv: &[&[u8]], letters: &[u8]) -> bool {
    argv.iter()
        .skip(1)
        .take_while(|arg| arg.starts_with(b"-") && **arg != b"--")
        .filter(|arg| !arg.starts_with(b"--"))
        .any(|arg| arg.iter().any(|letter| letters.contains(letter)))
}

/// su and runuser start a login shell, or with -c one command; `runuser -u USER COMMAND` starts that.
fn switch_user<'a>(name: &str, argv: &'a [&'a [u8]]) -> Unwrapped<'a> {
    let mut at = 1;
    while let Some(arg) = argv.get(at) {
        let long = arg.strip_prefix(b"--");
        if long.is_some_and(|l| l.starts_with(b"command") || l.starts_with(b"session-command")) {
            return Unwrapped::ShellCommand;
        }
        let short = if long.is_none() { arg.strip_prefix(b"-") } else { None };
        if short.is_some_and(|letters| letters.contains(&b'c')) {
            return Unwrapped::ShellCommand;
        }
        if name == "runuser" && (short == Some(b"u") || long == Some(b"user")) {
            let rest = argv.get(at + 2..).unwrap_or_default();
            let rest = rest.strip_prefix(&[b"--".as_slice()]).unwrap_or(rest);
            return if rest.is_empty() { Unwrapped::Itself } else { Unwrapped::Command(rest) };
        }
        at += if takes_next("sgGwT", "shell group supp-group whitelist-environment", arg) { 2 } else { 1 };
    }
    Unwrapped::ShellOnStdin
}

/// script starts a shell on a terminal of its own; with -c one command.
fn script<'a>(argv: &'a [&'a [u8]]) -> Unwrapped<'a> {
    let command = argv.iter().skip(1).any(|arg| {
        arg.starts_with(b"--command")
            || (arg.starts_with(b"-") && !arg.starts_with(b"--") && arg.contains(&b'c'))
    });
    if command { Unwrapped::ShellCommand } else { Unwrapped::ShellOnStdin }
}

/// The program that the dynamic loader was told to run (ld.so(8)).
pub fn loader_operand<'a>(argv: &'a [&'a [u8]]) -> Option<&'a [&'a [u8]]> {
    const TAKING: [&[u8]; 7] = [
        b"--library-path",
        b"--preload",
        b"--argv0",
        b"--audit",
        b"--inhibit-rpath",
        b"--glibc-hwcaps-prepend",
        b"--glibc-hwcaps-mask",
    ];
    let mut at = 1;
    while let Some(arg) = argv.get(at) {
        if !arg.starts_with(b"--") {
            return argv.get(at..);
        }
        at += if TAKING.contains(arg) { 2 } else { 1 };
    }
    None
}
