//! What real shells make of quoted text is that text.

use std::io::Write;
use std::process::{Command, Stdio};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tetherd::cli::quote::quote;

use crate::common::{say, which};
use crate::hostile::TEXTS;

/// Shells of the POSIX kind, and how each is told to read nothing of its own.
const SHELLS: [&[&str]; 6] =
    [&["sh"], &["bash", "--norc"], &["dash"], &["zsh", "-f"], &["mksh"], &["busybox", "sh"]];

/// What shells do things with.
const SPECIAL: [&str; 24] = [
    "$(touch /tmp/x)",
    "`id`",
    "';id;'",
    "\";id;\"",
    "a'b''c",
    "\\",
    "\\\\'",
    "!!",
    "!x",
    "'!x'\u{1b}",
    "~root",
    "=ls",
    "*",
    "?[a-z]",
    "{a,b}",
    "#x",
    "$HOME",
    "${x:-y}",
    "$'\\n'",
    "a\nb",
    "%s%n\u{7}",
    "--",
    "\t \r",
    "é\u{85}\u{202e}日",
];

/// Words for one run of each shell: those above and random ones.
fn texts() -> Vec<String> {
    let mut texts: Vec<String> = SPECIAL.iter().chain(&TEXTS).map(|text| (*text).to_owned()).collect();
    texts.extend(SPECIAL.iter().map(|text| format!("{text}\u{1b}{text}x")));
    let mut runner = TestRunner::new(ProptestConfig::default());
    let any = prop_oneof![".{0,40}", "[\\x00-\\x7f]{0,40}", "['\"\\\\$`!\n\u{1b} a%=~-]{0,30}"];
    for _ in 0..600 {
        texts.push(any.new_tree(&mut runner).unwrap().current());
    }
    texts
}

#[test]
fn shells_read_back_what_was_quoted() {
    let (mut wanted, mut words) = (Vec::new(), Vec::new());
    for text in texts() {
        match quote(&text) {
            Some(word) => {
                assert!(!word.contains(|c: char| c.is_control() || c == '\u{202e}'), "{word:?}");
                words.push(word);
                wanted.push(text);
            }
            None => assert!(text.contains('\0') || text.ends_with('\n'), "{text:?} is not quoted"),
        }
    }
    assert!(words.len() > 400);
    // Not on the command line: its length has a limit.
    let script: String = words.iter().map(|word| format!("printf '%s\\0' {word}\n")).collect();
    let mut tried = 0;
    for shell in SHELLS {
        let Some(program) = which(shell[0]) else {
            say(&format!("SKIPPED: {} is missing", shell[0]));
            continue;
        };
        let mut command = Command::new(program);
        command.args(&shell[1..]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.env("LC_ALL", "C.UTF-8").spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = script.clone();
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap().unwrap();
        let read: Vec<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
        for (at, text) in wanted.iter().enumerate() {
            let found = read.get(at).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
            assert_eq!(found.as_ref(), Some(text), "{shell:?} of {}", words[at]);
        }
        assert_eq!(read.len(), wanted.len() + 1, "{shell:?}");
        tried += 1;
    }
    assert!(tried >= 2, "sh and bash are everywhere");
}

/// An interactive shell looks for `!` also within double quotes.
#[test]
fn interactive_shells_find_no_history() {
    let texts = ["!!", "'!x'", "!\u{1b}!x", "a!\"b"];
    for shell in [&["bash", "--norc", "-i"][..], &["zsh", "-f", "-i"]] {
        let Some(program) = which(shell[0]) else {
            say(&format!("SKIPPED: {} is missing", shell[0]));
            continue;
        };
        let words: Vec<String> = texts.iter().map(|text| quote(text).unwrap()).collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        let out = file.path().to_str().unwrap();
        let history = if shell[0] == "bash" { "set -o history -H" } else { "setopt banghist" };
        let script = format!("{history}\nprintf '%s\\0' {} >{out}\nexit\n", words.join(" "));
        let mut command = Command::new(program);
        command.args(&shell[1..]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        child.wait().unwrap();
        let read = std::fs::read_to_string(out).unwrap();
        assert_eq!(read, texts.map(|text| format!("{text}\0")).concat(), "{shell:?}: {script}");
    }
}
