//! What a start knows of the findings that go on: always what reading the whole spool would tell.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tetherd::model::clock::Moment;
use tetherd::model::detection::State;
use tetherd::model::finding::{CATEGORY, Record};
use tetherd::spool::reader::latest_where;
use tetherd::spool::record::observation;
use tetherd::spool::segment::{name, parse_name};
use tetherd::spool::settings::SpoolSettings;
use tetherd::spool::writer::Writer;

/// One thing that happens to a spool.
#[derive(Clone, Debug)]
enum Act {
    /// Records of findings by number, that go on or have ended.
    Append(Vec<(u8, bool)>),
    /// The daemon ends in order and starts.
    Restart,
    /// The daemon is killed and starts: what it would have stored at its end is not there.
    Kill,
    /// The machine crashes: the spool's last bytes are gone, whatever else is durable.
    Crash(u16),
    /// The daemon starts with the file as it was at some time before.
    Old,
    /// The file is damaged.
    Damage(u16),
    /// The oldest segment is removed.
    Remove,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => proptest::collection::vec((0u8..12, any::<bool>()), 1..6).prop_map(Act::Append),
        1 => Just(Act::Restart),
        2 => Just(Act::Kill),
        2 => (0u16..3000).prop_map(Act::Crash),
        1 => Just(Act::Old),
        1 => any::<u16>().prop_map(Act::Damage),
        1 => Just(Act::Remove),
    ]
}

fn open(dir: &Path) -> Writer {
    let settings = SpoolSettings {
        directory: dir.to_owned(),
        // Three records a segment.
        segment_bytes: 3400,
        min_free_bytes: 0,
        ..SpoolSettings::default()
    };
    Writer::open(settings, "boot").unwrap().0
}

fn record((number, active): (u8, bool)) -> Record {
    let mut record = observation("c", "d", BTreeMap::new(), Moment::default(), "boot");
    record.finding.name = format!("organizations/0/sources/tetherd/locations/global/findings/{number:032x}");
    record.finding.category = CATEGORY.into();
    record.finding.state = if active { State::Active } else { State::Inactive };
    record
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    let numbers = fs::read_dir(dir).unwrap().filter_map(|e| parse_name(e.unwrap().file_name().to_str()?));
    let sorted: BTreeSet<u64> = numbers.collect();
    sorted.into_iter().map(|first| dir.join(name(first))).collect()
}

/// Compares what a start knows with what is there.
fn check(dir: &Path, writer: &Writer) -> Result<(), TestCaseError> {
    let brief = |records: Vec<Record>| -> BTreeSet<(u64, String)> {
        records.into_iter().map(|r| (r.sequence(), r.finding.name)).collect()
    };
    let going_on = |r: &Record| r.finding.category == CATEGORY && r.finding.state == State::Active;
    prop_assert_eq!(brief(writer.active_records().collect()), brief(latest_where(dir, going_on).unwrap()));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]
    #[test]
    fn as_if_all_was_read(acts in proptest::collection::vec(act(), 1..30)) {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let file = dir.join("active");
        let mut old: Vec<Vec<u8>> = Vec::new();
        let mut writer = open(dir);
        for act in acts {
            let stored = fs::read(&file).ok();
            match act {
                Act::Append(list) => {
                    writer.append(&mut list.into_iter().map(record).collect::<Vec<_>>()).unwrap();
                    old.extend(fs::read(&file).ok());
                    check(dir, &writer)?;
                    continue;
                }
                Act::Restart => drop(writer),
                Act::Kill => {
                    drop(writer);
                    match stored {
                        Some(stored) => fs::write(&file, stored).unwrap(),
                        None => drop(fs::remove_file(&file)),
                    }
                }
                Act::Crash(bytes) => {
                    drop(writer);
                    if let Some(newest) = segments(dir).last() {
                        let newest = fs::File::options().write(true).open(newest).unwrap();
                        let length = newest.metadata().unwrap().len();
                        newest.set_len(length.saturating_sub(bytes.into())).unwrap();
                    }
                }
                Act::Old => {
                    drop(writer);
                    if let Some(stored) = old.first() {
                        fs::write(&file, stored).unwrap();
                    }
                }
                Act::Damage(place) => {
                    drop(writer);
                    let mut content = fs::read(&file).unwrap_or_default();
                    let place = usize::from(place) % content.len().max(1);
                    content.truncate(place);
                    fs::write(&file, content).unwrap();
                }
                Act::Remove => {
                    drop(writer);
                    let all = segments(dir);
                    if all.len() > 1 {
                        fs::remove_file(&all[0]).unwrap();
                    }
                }
            }
            writer = open(dir);
            check(dir, &writer)?;
        }
    }
}
