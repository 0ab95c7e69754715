//! The spool against damage of every kind, at every place: what is whole is read, what is not is counted and named,
//! and writing goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "spool/ground.rs"]
mod ground;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ground::{edit, nine, open, path, records, segments, settings};
use proptest::prelude::*;
use tetherd::model::exit::Exit;
use tetherd::model::finding::{CATEGORY_DROPPED, LINE_MAX, Record, property};
use tetherd::spool::cursor::Cursor;
use tetherd::spool::error::SpoolError;
use tetherd::spool::reader::{Reader, latest_by_name};
use tetherd::spool::segment::Position;
use tetherd::spool::settings::SpoolSettings;
use tetherd::spool::verify::verify;
use tetherd::spool::writer::{OpenReport, Writer};

/// Sequence numbers that a reader gives, damaged lines, skipped records.
fn read(dir: &Path) -> (Vec<u64>, u64, u64) {
    let mut reader = Reader::oldest(dir).unwrap();
    let mut numbers = Vec::new();
    while let Some(entry) = reader.next().unwrap() {
        assert_eq!(serde_json::from_str::<Record>(&entry.line).unwrap(), entry.record);
        numbers.push(entry.record.sequence());
    }
    (numbers, reader.damaged(), reader.skipped())
}

/// Writes on after damage: the new records are read, numbered anew, and nothing before them has gone.
fn goes_on(dir: &Path) -> OpenReport {
    let before = read(dir).0;
    let (mut writer, report) = open(dir);
    let done = writer.append(&mut records(2)).unwrap();
    assert!(done.first > before.last().copied().unwrap_or(0));
    let mut expected = before;
    expected.extend([done.first, done.last]);
    assert_eq!(read(dir).0, expected);
    report
}

#[test]
fn whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut all = nine(dir.path());
    assert_eq!(read(dir.path()), ((1..=9).collect(), 0, 0));
    let report = verify(dir.path()).unwrap();
    assert_eq!((report.records, report.segments, report.first, report.last), (9, 3, 1, 9));
    assert!(report.breaks.is_empty());
    assert_eq!(goes_on(dir.path()), OpenReport { torn: 0, damaged: 0, next: 10 });
    assert_eq!(verify(dir.path()).unwrap().records, 11);
    for first in segments(dir.path()) {
        let text = fs::read_to_string(path(dir.path(), first)).unwrap();
        assert!(text.starts_with(r#"{"finding":{"name":"organizations/0/sources/tetherd/"#));
        assert!(
            text.lines().all(|line| line.len() >= 1024),
            "a forwarder takes up a segment by its first line"
        );
        assert_eq!(fs::metadata(path(dir.path(), first)).unwrap().permissions().mode() & 0o7777, 0o640);
    }
    // A finding that is issued again: the newest record wins.
    all[0].finding.description = "grown".into();
    let (mut writer, _) = open(dir.path());
    writer.append(&mut all[..1]).unwrap();
    assert_eq!(all[0].sequence(), 12);
    let latest = latest_by_name(dir.path()).unwrap();
    assert_eq!(latest.len(), 11);
    assert_eq!(latest.last().unwrap().sequence(), 12);
    assert_eq!(latest.last().unwrap().finding.description, "grown");
}

#[test]
fn tails() {
    let long = vec![b'x'; 3 * LINE_MAX];
    let half = &serde_json::to_vec(&records(1)[0]).unwrap()[..500];
    for tail in [half, &[0; 4096][..], &[0xff, 0xfe], b"{}", &long] {
        let dir = tempfile::tempdir().unwrap();
        nine(dir.path());
        let mut bytes = fs::read(path(dir.path(), 7)).unwrap();
        bytes.extend_from_slice(tail);
        fs::write(path(dir.path(), 7), &bytes).unwrap();
        assert_eq!(verify(dir.path()).unwrap().torn, 1);
        assert_eq!(goes_on(dir.path()), OpenReport { torn: 1, damaged: 0, next: 10 });
        assert_eq!(segments(dir.path()), [1, 4, 7, 10]);
        bytes.push(b'\n');
        assert_eq!(fs::read(path(dir.path(), 7)).unwrap(), bytes, "closed with a newline, nothing else");
        let report = verify(dir.path()).unwrap();
        assert_eq!((report.torn, report.breaks.len(), report.records), (1, 0, 11));
        assert_eq!(read(dir.path()).1, 1);
        assert_eq!(goes_on(dir.path()).torn, 0, "counted once");
    }
}

#[test]
fn torn_just_before_the_newline() {
    for first in [7, 10] {
        let dir = tempfile::tempdir().unwrap();
        nine(dir.path());
        if first == 10 {
            open(dir.path()).0.append(&mut records(1)).unwrap();
        }
        let whole = fs::read(path(dir.path(), first)).unwrap();
        fs::write(path(dir.path(), first), &whole[..whole.len() - 1]).unwrap();
        let (mut writer, report) = open(dir.path());
        assert_eq!((report.torn, report.next), (0, if first == 10 { 11 } else { 10 }));
        writer.append(&mut records(1)).unwrap();
        assert_eq!(read(dir.path()), ((1..=report.next).collect(), 0, 0));
        let report = verify(dir.path()).unwrap();
        assert_eq!((report.breaks.len(), report.rewritten, report.torn), (0, 0, 0));
    }
}

#[test]
fn first_record_of_a_segment_torn() {
    let dir = tempfile::tempdir().unwrap();
    nine(dir.path());
    fs::write(path(dir.path(), 10), b"{\"finding\":{\"na").unwrap();
    let report = goes_on(dir.path());
    assert_eq!((report.torn, report.next), (1, 11));
    let report = verify(dir.path()).unwrap();
    assert_eq!((report.breaks.len(), report.unused, report.torn), (0, 1, 1));
    assert_eq!(read(dir.path()).2, 0, "an unused number is not a lost record");
}

#[test]
fn empty_segment() {
    let dir = tempfile::tempdir().unwrap();
    nine(dir.path());
    fs::write(path(dir.path(), 10), b"").unwrap();
    assert_eq!(goes_on(dir.path()), OpenReport { torn: 0, damaged: 0, next: 10 });
    assert_eq!(segments(dir.path()), [1, 4, 7, 10]);
    assert!(verify(dir.path()).unwrap().breaks.is_empty());
    // An empty one in a place where no record belongs.
    fs::write(path(dir.path(), 500), b"").unwrap();
    assert_eq!(goes_on(dir.path()).next, 500, "numbers 12 to 499 stay unused");
    assert!(verify(dir.path()).unwrap().breaks.is_empty());
}

/// What `verify` says about nine records after `damage` was done.
fn breaks_after(damage: impl Fn(&Path)) -> Vec<(u64, String)> {
    let dir = tempfile::tempdir().unwrap();
    nine(dir.path());
    damage(dir.path());
    goes_on(dir.path());
    verify(dir.path()).unwrap().breaks.into_iter().map(|fault| (fault.sequence, fault.what)).collect()
}

#[test]
fn change_and_removal_are_named() {
    for (first, place, sequence) in [(1, 0, 1), (1, 2, 3), (4, 1, 5), (7, 0, 7)] {
        let found = breaks_after(|dir| {
            edit(dir, first, |lines| lines[place] = lines[place].replace("a test", "a rest"))
        });
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, sequence);
        assert!(found[0].1.contains("one of the two was changed"), "{found:?}");
    }
    let found = breaks_after(|dir| edit(dir, 4, |lines| lines[1] = "garbage".into()));
    assert!(found.iter().any(|(_, what)| what.contains("a line after record 4 is no record")), "{found:?}");
    assert!(found.iter().any(|(sequence, what)| *sequence == 5 && what.contains("missing")), "{found:?}");

    let found = breaks_after(|dir| edit(dir, 4, |lines| drop(lines.remove(1))));
    assert_eq!(found.len(), 1);
    assert!(found[0].1.contains("records 5 to 5 are missing before record 6"), "{found:?}");

    let found = breaks_after(|dir| fs::remove_file(path(dir, 4)).unwrap());
    assert!(found[0].1.contains("records 4 to 6 are missing before record 7"), "{found:?}");

    let found = breaks_after(|dir| edit(dir, 4, |lines| lines.truncate(1)));
    assert!(found[0].1.contains("records 5 to 6 are missing before record 7"), "{found:?}");

    let found = breaks_after(|dir| edit(dir, 4, |lines| lines.insert(2, lines[0].clone())));
    assert!(found.iter().any(|(_, what)| what.contains("record 4 stands twice")), "{found:?}");

    let found = breaks_after(|dir| edit(dir, 4, |lines| lines.swap(0, 1)));
    assert!(found.iter().any(|(_, what)| what.contains("put in or reordered")), "{found:?}");

    let found = breaks_after(|dir| edit(dir, 4, |lines| lines[1] = "y".repeat(LINE_MAX + 1)));
    assert!(found.iter().any(|(_, what)| what.contains("is no record")), "{found:?}");

    let found = breaks_after(|dir| fs::rename(path(dir, 4), path(dir, 5)).unwrap());
    assert!(found.iter().any(|(_, what)| what.contains("not with the one in its name")), "{found:?}");
}

#[test]
fn oldest_removed_is_not_a_break() {
    let dir = tempfile::tempdir().unwrap();
    nine(dir.path());
    fs::remove_file(path(dir.path(), 1)).unwrap();
    let report = verify(dir.path()).unwrap();
    assert_eq!((report.first, report.before_first, report.dropped_explained), (4, 3, 0));
    assert!(report.breaks.is_empty());
}

#[test]
fn numbers_are_not_used_again_after_everything_was_removed() {
    for removed in [&[1, 4, 7][..], &[7]] {
        let dir = tempfile::tempdir().unwrap();
        nine(dir.path());
        removed.iter().for_each(|&first| fs::remove_file(path(dir.path(), first)).unwrap());
        assert_eq!(open(dir.path()).1.next, 10);
    }
    // After a crash of the machine (another boot, no clean end), numbers that readers may have seen stay unused.
    let dir = tempfile::tempdir().unwrap();
    nine(dir.path());
    let mark = r#"{"unused":1000,"segment":7,"boot_id":"boot"}"#;
    fs::write(dir.path().join("sequence"), mark).unwrap();
    assert_eq!(open(dir.path()).1.next, 10);
    fs::write(dir.path().join("sequence"), mark).unwrap();
    let (mut writer, report) = Writer::open(settings(dir.path()), "next boot").unwrap();
    assert_eq!(report.next, 1000);
    writer.append(&mut records(1)).unwrap();
    assert!(verify(dir.path()).unwrap().breaks.is_empty());
    assert_eq!(read(dir.path()).2, 0);
    // A damaged mark is as none.
    drop(writer);
    fs::write(dir.path().join("sequence"), b"\0\0").unwrap();
    goes_on(dir.path());
}

#[test]
fn strange_names_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    nine(dir.path());
    fs::write(dir.path().join("findings-1.jsonl"), "junk").unwrap();
    fs::write(dir.path().join("findings-000000000001.jsonl.gz"), "junk").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", path(dir.path(), 20)).unwrap();
    fs::create_dir(path(dir.path(), 30)).unwrap();
    nix::unistd::mkfifo(&path(dir.path(), 25), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(goes_on(dir.path()).next, 31);
    assert!(verify(dir.path()).unwrap().breaks.is_empty());
    assert_eq!(read(dir.path()).0.len(), 11);
}

#[test]
fn caps_drop_the_oldest_with_a_note() {
    let dir = tempfile::tempdir().unwrap();
    let small = SpoolSettings { max_bytes: 10_000, ..settings(dir.path()) };
    let (mut writer, _) = Writer::open(small, "boot").unwrap();
    let mut dropped = 0;
    for _ in 0..40 {
        dropped += writer.append(&mut records(1)).unwrap().dropped;
        assert!(writer.usage().bytes <= 10_000 + 2 * 1100, "{:?}", writer.usage());
    }
    assert!(dropped > 20, "{dropped}");
    let report = verify(dir.path()).unwrap();
    assert!(
        report.breaks.is_empty() && report.before_first > 20 && report.dropped_recorded > 0,
        "{report:?}"
    );
    let mut reader = Reader::oldest(dir.path()).unwrap();
    let mut notes = 0;
    while let Some(entry) = reader.next().unwrap() {
        if entry.record.finding.category == CATEGORY_DROPPED {
            notes += 1;
            assert_eq!(entry.record.finding.finding_class, "OBSERVATION");
            assert_eq!(entry.record.text("Reason"), Some("max_bytes reached"));
            assert!(entry.record.number("First_Sequence") <= entry.record.number("Last_Sequence"));
        }
    }
    assert!(notes > 0);
    // Less free space than any filesystem has: only the open segment stays, and that is the end of it.
    drop(writer);
    let none = SpoolSettings { min_free_bytes: u64::MAX, ..settings(dir.path()) };
    let (mut writer, _) = Writer::open(none, "boot").unwrap();
    writer.append(&mut records(1)).unwrap();
    writer.append(&mut records(1)).unwrap();
    assert!(segments(dir.path()).len() <= 2);
}

#[test]
fn readers_follow() {
    let dir = tempfile::tempdir().unwrap();
    let (mut writer, _) = open(dir.path());
    let mut early = Reader::newest(dir.path()).unwrap();
    assert!(early.next().unwrap().is_none());
    let numbers = |reader: &mut Reader| -> Vec<u64> {
        std::iter::from_fn(|| reader.next().unwrap()).map(|entry| entry.record.sequence()).collect()
    };
    for _ in 0..8 {
        writer.append(&mut records(1)).unwrap();
    }
    assert_eq!(numbers(&mut early), (1..=8).collect::<Vec<_>>());
    let mut late = Reader::newest(dir.path()).unwrap();
    let mut slow = Reader::oldest(dir.path()).unwrap();
    let second = {
        slow.next().unwrap().unwrap();
        slow.next().unwrap().unwrap()
    };
    let cursor = Cursor { position: second.next, sequence: 2 };
    assert_eq!(numbers(&mut Reader::after(dir.path(), cursor).unwrap()), (3..=8).collect::<Vec<_>>());
    assert_eq!(numbers(&mut Reader::at(dir.path(), second.position).unwrap())[0], 2);

    // Dropped under the reader: what it has open it reads to its end, then it knows what is missing.
    fs::remove_file(path(dir.path(), 1)).unwrap();
    fs::remove_file(path(dir.path(), 4)).unwrap();
    assert_eq!(numbers(&mut slow), [3, 7, 8]);
    assert_eq!(slow.skipped(), 3);
    let mut resumed = Reader::after(dir.path(), cursor).unwrap();
    assert_eq!(numbers(&mut resumed), [7, 8]);
    assert_eq!(resumed.skipped(), 4);
    writer.append(&mut records(1)).unwrap();
    assert_eq!(numbers(&mut late), [9]);

    // Cursors that lie: behind the end, in a line, in a spool that was since replaced.
    let lie = |segment, offset, sequence| {
        let cursor = Cursor { position: Position { segment, offset }, sequence };
        numbers(&mut Reader::after(dir.path(), cursor).unwrap())
    };
    assert_eq!(lie(7, 1 << 40, 9), [7, 8, 9]);
    assert_eq!(lie(7, 17, 7), [7, 8, 9]);
    assert_eq!(lie(1 << 50, 17, 1 << 51), [7, 8, 9]);
    assert_eq!(lie(u64::MAX, u64::MAX, u64::MAX), [7, 8, 9]);
    fs::remove_dir_all(dir.path()).unwrap();
    assert!(matches!(late.next(), Err(SpoolError::Missing { .. })));
}

#[test]
fn half_a_line_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    nine(dir.path());
    let whole = fs::read(path(dir.path(), 7)).unwrap();
    let cut = whole.len() - 300;
    fs::write(path(dir.path(), 7), &whole[..cut]).unwrap();
    let mut reader = Reader::oldest(dir.path()).unwrap();
    let count = std::iter::from_fn(|| reader.next().unwrap()).count();
    assert_eq!((count, reader.damaged()), (8, 0));
    use std::io::Write;
    fs::File::options().append(true).open(path(dir.path(), 7)).unwrap().write_all(&whole[cut..]).unwrap();
    assert_eq!(reader.next().unwrap().unwrap().record.sequence(), 9);
}

#[test]
fn long_records_are_shortened_and_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut all = records(3);
    all[1].finding.source_properties.insert("Big".into(), "\u{1}".repeat(100_000).into());
    let done = open(dir.path()).0.append(&mut all).unwrap();
    assert_eq!((done.first, done.last, done.shortened), (1, 3, 1));
    assert_eq!(read(dir.path()).0, [1, 2, 3]);
    assert!(verify(dir.path()).unwrap().breaks.is_empty());
    assert_eq!(all[2].text(property::SEQUENCE), Some("3"));
}

#[test]
fn bad_directories_get_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |path: &Path| {
        let error = Writer::open(settings(path), "boot").unwrap_err();
        (error.to_string(), error.exit())
    };
    let deep = dir.path().join("a/b/spool");
    drop(open(&deep));
    assert_eq!(fs::metadata(&deep).unwrap().permissions().mode() & 0o7777, 0o750);

    std::os::unix::fs::symlink(&deep, dir.path().join("link")).unwrap();
    let (sentence, exit) = refused(&dir.path().join("link"));
    assert!(sentence.contains("but a symbolic link; name the real directory"), "{sentence}");
    assert_eq!(exit, Exit::CantCreate);

    fs::write(dir.path().join("file"), "").unwrap();
    assert!(refused(&dir.path().join("file")).0.contains("another kind of file"));

    fs::set_permissions(&deep, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(refused(&deep).0.contains("chmod o-w"));
    fs::set_permissions(&deep, fs::Permissions::from_mode(0o750)).unwrap();

    let (_writer, _) = open(&deep);
    let (sentence, exit) = refused(&deep);
    let expected = format!(
        "another tetherd (pid {}) holds the spool {}; stop it or use --spool",
        std::process::id(),
        deep.display()
    );
    assert_eq!((sentence, exit), (expected, Exit::TempFail));

    let missing = Reader::oldest(&dir.path().join("none")).unwrap_err();
    assert!(missing.to_string().contains("there is no spool at"), "{missing}");
    assert_eq!(missing.exit(), Exit::NoInput);
    assert_eq!(verify(&dir.path().join("none")).unwrap_err().exit(), Exit::NoInput);
}

fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let line = serde_json::to_string(&records(1)[0]).unwrap();
    let number = prop_oneof![0u64..20, any::<u64>()];
    let record = number.prop_map(move |number| {
        line.replace("\"Schema_Version\"", &format!("\"Sequence\":\"{number}\",\"Schema_Version\""))
            .into_bytes()
    });
    let part = prop_oneof![
        record,
        Just(b"\n".to_vec()),
        Just(b"\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..60),
        Just(vec![0; 100]),
    ];
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(150) })]

    #[test]
    fn any_content_is_survived(
        contents in proptest::collection::vec((1u64..30, hostile()), 0..4),
        sequence in hostile(),
        cursor in (any::<u64>(), 0u64..3000, any::<u64>()),
    ) {
        let dir = tempfile::tempdir().unwrap();
        for (first, content) in &contents {
            fs::write(path(dir.path(), *first), content).unwrap();
        }
        fs::write(dir.path().join("sequence"), &sequence).unwrap();
        fs::write(dir.path().join("cursor.x"), &sequence).unwrap();
        let _ = Cursor::load(dir.path(), "x");
        let before = read(dir.path()).0;
        prop_assert!(before.is_sorted());
        verify(dir.path()).unwrap();
        latest_by_name(dir.path()).unwrap();
        let place = Cursor { position: Position { segment: cursor.0 % 40, offset: cursor.1 }, sequence: cursor.2 };
        let mut reader = Reader::after(dir.path(), place).unwrap();
        while reader.next().unwrap().is_some() {}
        let (mut writer, _) = open(dir.path());
        let mut new = records(3);
        writer.append(&mut new).unwrap();
        let after: Vec<String> = {
            let mut reader = Reader::oldest(dir.path()).unwrap();
            std::iter::from_fn(|| reader.next().unwrap()).map(|entry| entry.record.finding.name).collect()
        };
        for record in &new {
            prop_assert!(after.contains(&record.finding.name) || before.last() >= Some(&record.sequence()),
                "{} {before:?}", record.sequence());
        }
        verify(dir.path()).unwrap();
    }
}
