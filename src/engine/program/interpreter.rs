//! Whether an interpreter executes what comes in on stdin.
//!
//! Owns: the option grammar of each family of interpreters, as far as it decides that; the real ones are held against it
//! in `tests/shell_grammar.rs`. Must not own: shells, which files are interpreters.

use crate::engine::program::shell::is_stdin_path;

/// One family. Letters may stand together behind one dash.
struct Grammar {
    names: &'static str,
    /// Letters that give the program; what follows is the program's.
    program: &'static str,
    /// Letters with an argument that keep stdin from being read, unless it is asked for by `-` or interactively.
    instead: &'static str,
    /// The same, without an argument.
    instead_alone: &'static str,
    /// Letters with an argument: the rest of the word, or the next one.
    takes: &'static str,
    /// Letters to which the rest of the word belongs.
    attached: &'static str,
    /// Letters that make it interactive: stdin is read whatever else there is.
    interactive: &'static str,
    /// Letters after which it says something and ends.
    ends: &'static str,
    /// Long options, the same way.
    long_instead: &'static str,
    long_takes: &'static str,
    long_ends: &'static str,
}

const PLAIN: Grammar = Grammar {
    names: "",
    program: "",
    instead: "",
    instead_alone: "",
    takes: "",
    attached: "",
    interactive: "",
    ends: "",
    long_instead: "",
    long_takes: "",
    long_ends: "version help",
};

const GRAMMARS: [Grammar; 7] = [
    Grammar {
        names: "python pypy",
        program: "cm",
        takes: "WX",
        interactive: "i",
        ends: "hV?",
        long_takes: "check-hash-based-pycs",
        long_ends: "version help help-all help-env help-xoptions",
        ..PLAIN
    },
    Grammar { names: "perl raku", program: "eE", takes: "I", attached: "iMmFDx", ends: "vVh?", ..PLAIN },
    Grammar {
        names: "ruby jruby",
        program: "e",
        takes: "rICEX",
        attached: "W0KTFix",
        instead_alone: "v",
        ends: "h",
        long_instead: "verbose",
        long_takes: "disable enable encoding external-encoding internal-encoding backtrace-limit parser",
        long_ends: "version help copyright",
        ..PLAIN
    },
    Grammar {
        names: "php php-cgi",
        program: "rBREFS",
        takes: "dczt",
        interactive: "a",
        ends: "ihmv",
        long_instead: "run process-begin process-code process-end process-file",
        long_takes: "define php-ini zend-extension docroot",
        long_ends: "version help info ini modules rf rc re rz ri rfunction rclass rextension rzendextension rextinfo",
        ..PLAIN
    },
    Grammar {
        names: "node nodejs",
        instead: "ep",
        takes: "rC",
        interactive: "i",
        ends: "vh",
        long_instead: "eval print",
        long_takes: "require import conditions input-type title icu-data-dir loader experimental-loader env-file \
                     env-file-if-exists inspect-port redirect-warnings openssl-config unhandled-rejections \
                     dns-result-order disable-warning diagnostic-dir report-dir report-directory report-filename \
                     trace-event-categories trace-event-file-pattern",
        long_ends: "version help v8-options completion-bash",
        ..PLAIN
    },
    Grammar {
        names: "lua luajit",
        instead: "e",
        instead_alone: "v",
        takes: "lj",
        program: "b",
        interactive: "i",
        ..PLAIN
    },
    Grammar { names: "expect", program: "c", takes: "d", interactive: "i", ends: "v", ..PLAIN },
];

/// Whether an interpreter was given neither a program nor a script, so that it reads one from stdin.
pub fn reads_stdin(name: &str, argv: &[&[u8]]) -> bool {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if matches!(stem, "tclsh" | "wish") {
        return tcl_reads_stdin(argv);
    }
    let Some(grammar) = GRAMMARS.iter().find(|grammar| has(grammar.names, stem.as_bytes())) else {
        return false;
    };
    let php = grammar.names.starts_with("php");
    let mut args = argv.iter().skip(1).copied();
    let (mut interactive, mut instead) = (false, false);
    while let Some(arg) = args.next() {
        match arg {
            b"-" => return true,
            // php's operands after -- are the arguments of a script on stdin.
            b"--" if php => return !instead,
            b"--" => return interactive || args.next().map_or(!instead, is_stdin_path),
            [b'-', b'-', long @ ..] => {
                let has_value = long.contains(&b'=');
                let key = long.split(|&b| b == b'=').next().unwrap_or(long);
                if has(grammar.long_ends, key) {
                    return false;
                }
                if key == b"interactive" {
                    interactive = true;
                }
                if php && key == b"file" {
                    return args.next().is_some_and(is_stdin_path);
                }
                // node's --print takes its argument from the next word alone.
                let replaces = has(grammar.long_instead, key) && !(key == b"print" && has_value);
                instead |= replaces;
                let alone = grammar.instead_alone.contains('v') && key == b"verbose";
                if !has_value && !alone && (replaces || has(grammar.long_takes, key)) {
                    args.next();
                }
            }
            [b'-', letters @ ..] => {
                for (at, &letter) in letters.iter().enumerate() {
                    let last = at + 1 == letters.len();
                    let is = |set: &str| set.as_bytes().contains(&letter);
                    interactive |= is(grammar.interactive);
                    instead |= is(grammar.instead) || is(grammar.instead_alone);
                    if is(grammar.program) {
                        return interactive;
                    }
                    if is(grammar.ends) {
                        return false;
                    }
                    if php && letter == b'f' {
                        let attached = letters.get(at + 1..).filter(|rest| !rest.is_empty());
                        return attached.or_else(|| args.next()).is_some_and(is_stdin_path);
                    }
                    // node's -pe is -p -e with one argument.
                    let together = is(grammar.instead)
                        && letters.get(at + 1).is_some_and(|l| is_letter(grammar.instead, *l));
                    if is(grammar.takes) || is(grammar.instead) && !together {
                        if last {
                            args.next();
                        }
                        break;
                    }
                    if is(grammar.attached) {
                        break;
                    }
                }
            }
            path => return interactive || is_stdin_path(path),
        }
    }
    interactive || !instead
}

fn is_letter(set: &str, letter: u8) -> bool {
    set.as_bytes().contains(&letter)
}

/// Whether a list of words has this one.
fn has(words: &str, word: &[u8]) -> bool {
    !word.is_empty() && words.split_ascii_whitespace().any(|known| known.as_bytes() == word)
}

/// tclsh takes only its first argument for a script, and only if it does not begin with a dash.
fn tcl_reads_stdin(argv: &[&[u8]]) -> bool {
    match argv.get(1..).unwrap_or_default() {
        [b"-encoding", _, script, ..] | [script, ..] if !script.starts_with(b"-") => is_stdin_path(script),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(line: &str) -> bool {
        let argv: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        reads_stdin(line.split(' ').next().unwrap(), &argv)
    }

    #[test]
    fn programs_from_stdin() {
        for line in [
            "python3.11",
            "python3 -u -",
            "python3 -i script",
            "python3 -ic pass",
            "python3 -W ignore",
            "perl -I /tmp",
            "perl -w",
            "perl -i.be",
            "ruby -rset",
            "ruby -W:no-deprecated",
            "ruby --encoding utf-8",
            "php8.2 -- a",
            "php -d x=1",
            "php -f /dev/stdin",
            "php -a",
            "node --require fs",
            "node -e 1 -i",
            "node --print=1",
            "lua5.4 -e x=1 -",
            "lua -i script",
            "lua -v -i",
            "tclsh",
            "tclsh -encoding utf-8",
        ] {
            assert!(reads(line), "{line}");
        }
    }

    #[test]
    fn programs_from_elsewhere() {
        for line in [
            "python3 script",
            "python3 -c pass -",
            "python3 -mthis",
            "python3 -W ignore script",
            "perl -we 1",
            "perl -I /tmp script",
            "perl -pie script",
            "ruby -e 1",
            "ruby -v",
            "ruby --verbose",
            "php -r 1;",
            "php -fscript",
            "php --ini",
            "php -c /tmp script",
            "node --eval=1",
            "node -pe 1",
            "node --v8-options",
            "node -r fs script",
            "lua -e x=1",
            "lua -l string script",
            "tclsh script",
            "tclsh -encoding utf-8 script",
            "nginx",
        ] {
            assert!(!reads(line), "{line}");
        }
    }
}
