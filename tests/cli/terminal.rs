//! On a terminal, and not on one: colours and widths.

use std::path::Path;
use std::process::{Command, Stdio};

use unicode_width::UnicodeWidthStr;

use crate::common::daemon::TETHERD;
use crate::common::which;
use crate::require;
use crate::spools::{finding, id, printed, reading, spool};

/// What a command prints on a terminal of so many columns; script(1) makes the terminal.
fn on_a_terminal(columns: usize, directory: &Path, arguments: &str, no_color: bool) -> String {
    let command = format!("stty cols {columns}; {TETHERD} {arguments} --spool {}", directory.display());
    let mut script = Command::new(which("script").unwrap());
    script.args(["-qec", &command, "/dev/null"]).stdin(Stdio::null());
    script.env("LC_ALL", "C.UTF-8").env("TERM", "xterm").env_remove("NO_COLOR").env_remove("COLUMNS");
    if no_color {
        script.env("NO_COLOR", "1");
    }
    let output = script.output().unwrap();
    assert!(output.status.success(), "{command}: {}", output.status);
    String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n")
}

#[test]
fn colours_only_where_a_person_watches() {
    require!("script", "stty");
    let directory = spool(vec![finding(&id("aa11"), "x")]);
    for arguments in [&["list"][..], &["show", "aa"], &["list", "--json"], &["verify"]] {
        let text =
            printed(reading(directory.path(), arguments).env("TERM", "xterm").env("CLICOLOR_FORCE", "1"));
        assert!(!text.contains('\u{1b}'), "{arguments:?}: {text:?}");
    }
    assert!(on_a_terminal(80, directory.path(), "list", false).contains("\u{1b}[1;31mCRITICAL"));
    assert!(!on_a_terminal(80, directory.path(), "list", true).contains('\u{1b}'));
    assert!(!on_a_terminal(80, directory.path(), "list --json", false).contains('\u{1b}'));
}

#[test]
fn no_wider_than_the_terminal() {
    require!("script", "stty");
    let long = "long-name-".repeat(60);
    let records = vec![finding(&id("aa11"), &long), finding(&id("bb22"), &"宽".repeat(300))];
    let directory = spool(records);
    let widest = |text: &str| text.lines().map(UnicodeWidthStr::width).max().unwrap_or(0);
    for columns in [60, 80, 132] {
        let list = on_a_terminal(columns, directory.path(), "list", true);
        let found = widest(&list);
        assert!((columns - 1..=columns).contains(&found), "{found} of {columns}:\n{list}");
    }
    for wanted in ["aa", "bb"] {
        let drawn = on_a_terminal(80, directory.path(), &format!("show {wanted}"), true);
        assert!((75..=80).contains(&widest(&drawn)), "{}:\n{drawn}", widest(&drawn));
    }
    // Where it is no terminal, 80.
    assert!((79..=80).contains(&widest(&printed(&mut reading(directory.path(), &["list"])))));
}
