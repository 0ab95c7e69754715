//! Texts that attackers choose: names, arguments, directories. On a terminal they are text and nothing else, they begin
//! no line of their own, and they are no wider than the terminal.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use unicode_width::UnicodeWidthStr;

use crate::common::attacker::Session;
use crate::common::victim::Victim;
use crate::common::{token, which};
use crate::require;
use crate::spools::{finding, id, lines_of_json, printed, reading, spool, tetherd};

/// Clears the screen, sets the title, forges a line, turns the writing around, hides, is an 8-bit CSI.
pub const TEXTS: [&str; 7] = [
    "\u{1b}[2J\u{1b}]0;pwned\u{7}",
    "a\nNo findings.\r\n2026-11-24 00:00:00 LOW",
    "\u{202e}gnp.exe\u{2066}\u{200f}",
    "\u{9b}31m\u{85}\u{2028}\u{2029}\u{7f}",
    "z\u{200b}w\u{feff}\u{e0041}\u{ad}\u{61c}",
    "日本語のとても長い名前のプログラム日本語のとても長い名前のプログラム日本語のとても長い名前のプログラム🐚🐚🐚🐚",
    "e\u{301}\u{301}\u{301}\\x1b\t\0'\"$(id)`id`",
];

/// No line is wider than 80 columns, and nothing in the text moves a cursor or hides.
fn harmless(text: &str) {
    for line in text.split('\n') {
        let bad = |c: char| {
            c.is_control()
                || matches!(u32::from(c), 0xad | 0x61c | 0x200b..=0x200f | 0x2028..=0x202e | 0x2060..=0x206f | 0xfeff | 0xe0000..=0xe007f)
        };
        assert!(!line.contains(bad), "{line:?} of\n{text}");
        assert!(line.width() <= 80, "{} columns: {line}", line.width());
    }
}

#[test]
fn list_and_show() {
    for (number, text) in TEXTS.iter().enumerate() {
        let long = text.repeat(40);
        let directory = spool(vec![finding(&id("aa11"), text), finding(&id("bb22"), &long)]);
        let list = printed(&mut reading(directory.path(), &["list"]));
        harmless(&list);
        assert_eq!(list.lines().count(), 3, "text {number} adds a line:\n{list}");
        for wanted in ["aa", "bb"] {
            let drawn = printed(&mut reading(directory.path(), &["show", wanted]));
            harmless(&drawn);
            let ascii = printed(&mut reading(directory.path(), &["show", wanted, "--ascii"]));
            harmless(&ascii);
            assert!(ascii.is_ascii() && drawn.contains('│'), "{ascii}");
            // The same where the locale knows no more.
            let plain = printed(reading(directory.path(), &["show", wanted]).env("LC_ALL", "C"));
            assert_eq!(plain, ascii);
            let explained = printed(reading(directory.path(), &["explain", wanted]).env("LC_ALL", "C"));
            let (told, plan) = explained.split_once("\nResponse plan\n").unwrap();
            harmless(told);
            assert!(told.is_ascii() && plan.lines().any(|line| line.contains("# ")), "{explained}");
        }
    }
}

#[test]
fn json_keeps_the_bytes_and_the_terminal() {
    for text in TEXTS {
        let directory = spool(vec![finding(&id("aa11"), text)]);
        let safe = |printed: &str| {
            assert!(
                !printed.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'),
                "{printed:?}"
            );
        };
        let list = printed(&mut reading(directory.path(), &["list", "--json"]));
        safe(&list);
        let record = &lines_of_json(&list)[0];
        assert_eq!(record["finding"]["processes"][0]["args"][1], text);
        let show = printed(&mut reading(directory.path(), &["show", "aa", "--json"]));
        safe(&show);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&show).unwrap(), *record);
    }
}

/// A spool that somebody else has written: even what tetherd itself chooses is not believed.
#[test]
fn a_forged_spool() {
    let mut record = finding(&id("aa11"), "x");
    record.finding.name = "x/\u{1b}[2J\u{202e}".into();
    record.finding.event_time = "\u{1b}[31m2026\n11-24T00:00:00Z".into();
    record.finding.connections[0].destination_ip = Some("\u{1b}[2J".into());
    record.finding.processes[0].pid = "\u{1b}[2J".into();
    let directory = spool(vec![record.clone(), finding(&id("bb22"), "x")]);
    let list = printed(&mut reading(directory.path(), &["list"]));
    harmless(&list);
    assert_eq!(list.lines().count(), 3, "{list}");
    harmless(&printed(&mut reading(directory.path(), &["show", "\u{1b}"])));
}

/// A live process with a hostile argument and directory, as `scan` draws it.
#[test]
fn scan() {
    require!("sh");
    let attacker = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(attacker.local_addr().unwrap()).unwrap();
    let (mut server, _) = attacker.accept().unwrap();
    let token = token();
    let hostile = format!("{token}{}", TEXTS[..6].concat());
    let place = tempfile::tempdir().unwrap();
    let inside = place.path().join("\u{1b}[2J\n\u{202e}x");
    std::fs::create_dir(&inside).unwrap();
    let mut command = std::process::Command::new(which("sh").unwrap());
    let stdio = || std::process::Stdio::from(std::os::fd::OwnedFd::from(stream.try_clone().unwrap()));
    command.args(["-c", "echo ready; read line", &hostile]).current_dir(&inside);
    command.stdin(stdio()).stdout(stdio()).stderr(stdio());
    let victim = Victim::spawn(command);
    let mut ready = [0; 6];
    server.read_exact(&mut ready).unwrap();

    let drawn = String::from_utf8(tetherd(&["scan"]).output().unwrap().stdout).unwrap();
    harmless(&drawn);
    assert!(drawn.contains(&token), "{drawn}");
    let (port, pid) = (attacker.local_addr().unwrap().port(), victim.pid().to_string());
    let json = String::from_utf8(tetherd(&["scan", "--json"]).output().unwrap().stdout).unwrap();
    assert!(!json.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{json:?}");
    let ours = lines_of_json(&json).into_iter().find(|record| {
        record["finding"]["connections"][0]["destinationPort"] == port
            && record["finding"]["processes"][0]["pid"] == pid.as_str()
    });
    assert_eq!(ours.expect("the tether is found")["finding"]["processes"][0]["args"][3], hostile.as_str());
    server.write_all(b"\n").unwrap();
    drop(Session::on(server));
}
