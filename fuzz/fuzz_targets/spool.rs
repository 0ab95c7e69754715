//! A spool whose files hold anything (`spool`).
//!
//! Holds: reading ends and gives every number at most once, in order; verifying never fails; a writer opens it, and
//! what it then writes is read back; no record that could be read before is lost; no checkpoint is taken for signed.
#![no_main]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use libfuzzer_sys::fuzz_target;
use tetherd::model::clock::Moment;
use tetherd::model::finding::Record;
use tetherd::spool::cursor::Cursor;
use tetherd::spool::key::PublicKey;
use tetherd::spool::reader::Reader;
use tetherd::spool::record::observation;
use tetherd::spool::segment::name;
use tetherd::spool::settings::SpoolSettings;
use tetherd::spool::verify::{verify, verify_with};
use tetherd::spool::writer::Writer;

/// Whose private half nobody has.
const KEY: &str = "MCowBQYDK2VwAyEAAdxZLa05l69YrhSljcCJ0aDqS9ZWKDYOMAuaw64YCP4=";

fn read(mut reader: Reader) -> Vec<Record> {
    std::iter::from_fn(|| reader.next().expect("a file that is there is read"))
        .map(|entry| entry.record)
        .collect()
}

fn all(path: &Path) -> Vec<Record> {
    read(Reader::oldest(path).expect("the directory is there"))
}

fuzz_target!(|bytes: &[u8]| {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path();
    // FF ends a file: it is in no UTF-8.
    let mut parts = bytes.split(|&b| b == 0xff);
    fs::write(path.join("sequence"), parts.next().unwrap_or_default()).expect("written");
    fs::write(path.join("cursor.syslog"), parts.next().unwrap_or_default()).expect("written");
    for (first, part) in [1, 2, 7].into_iter().zip(parts) {
        fs::write(path.join(name(first)), part).expect("written");
    }

    let before = all(path);
    assert!(before.is_sorted_by(|a, b| a.sequence() < b.sequence()));
    verify(path).expect("verified");
    let key = PublicKey::parse(KEY).expect("a key");
    let vouched = verify_with(path, &[key]).expect("verified").vouched;
    assert_eq!(vouched.good, 0, "nobody has signed that");
    if let Ok(Some(cursor)) = Cursor::load(path, "syslog") {
        read(Reader::after(path, cursor).expect("the directory is there"));
    }
    let settings =
        SpoolSettings { directory: path.to_owned(), min_free_bytes: 0, ..SpoolSettings::default() };
    let Ok((mut writer, _)) = Writer::open(settings, "boot") else { panic!("the spool does not open") };
    let mut new = [observation("Test", "a test", BTreeMap::new(), Moment::default(), "boot")];
    let done = writer.append(&mut new).expect("appended");
    assert!(before.last().is_none_or(|last| last.sequence() < done.first), "a number is used again");
    let after = all(path);
    assert_eq!(after.len(), before.len() + 1);
    assert_eq!(after.last().map(Record::id), Some(new[0].id()));
    verify(path).expect("verified");
});
