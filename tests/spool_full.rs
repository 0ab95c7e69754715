//! The spool on filesystems that are full, out of inodes, over quota, or read-only, and a spool that is removed while it is
//! written: on a tmpfs or an image that the test mounts. Needs root.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "spool/ground.rs"]
mod ground;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tetherd::model::clock::Moment;
use tetherd::model::exit::Exit;
use tetherd::model::finding::{CATEGORY_DROPPED, CATEGORY_LOSS, Record};
use tetherd::spool::cursor::Cursor;
use tetherd::spool::error::SpoolError;
use tetherd::spool::level::Level;
use tetherd::spool::reader::Reader;
use tetherd::spool::record::observation;
use tetherd::spool::segment;
use tetherd::spool::settings::SpoolSettings;
use tetherd::spool::verify::verify;
use tetherd::spool::writer::Writer;

/// One test at a time: a child that another test starts would have this one's lock on the spool from fork to exec.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a test mounts.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    /// `None` where mounting is not allowed; fails then if `TETHERD_TESTS_STRICT=1`.
    fn mount(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir.path()).output();
        if status.is_ok_and(|output| output.status.success()) {
            return Some(Self(dir));
        }
        assert!(
            std::env::var_os("TETHERD_TESTS_STRICT").is_none_or(|v| v != "1"),
            "cannot mount a tmpfs: run as root"
        );
        eprintln!("SKIPPED: cannot mount a tmpfs; run as root");
        None
    }

    /// A filesystem with quotas, of which the whole may take 8 MiB; `None` as above, and where the kernel has none.
    fn with_quota() -> Option<Self> {
        let (dir, image) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
        image.as_file().set_len(128 << 20).unwrap();
        let run = |program: &str, arguments: &[&std::ffi::OsStr]| {
            Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
        };
        let (file, mount) = (image.path().as_os_str(), dir.path().as_os_str());
        let made = run("mkfs.btrfs", &["-q".as_ref(), file])
            && run("mount", &["-o".as_ref(), "loop".as_ref(), file, mount]);
        let this = made.then_some(Self(dir))?;
        let mount = this.path().as_os_str();
        let limited = run("btrfs", &["quota".as_ref(), "enable".as_ref(), mount])
            && run("btrfs", &["qgroup".as_ref(), "limit".as_ref(), "8M".as_ref(), mount]);
        limited.then_some(this)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let mut size = 1 << 20;
        while size >= 512 {
            let mut file = fs::File::options().create(true).append(true).open(self.filler()).unwrap();
            while file.write_all(&vec![b'x'; size]).is_ok() {}
            size /= 2;
        }
    }

    fn free(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(Command::new("mount").args(["-o", &options]).arg(self.path()).status().unwrap().success());
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

fn settings(dir: &Path) -> SpoolSettings {
    SpoolSettings { segment_bytes: 20_000, ..ground::settings(&dir.join("spool")) }
}

fn records(count: usize) -> Vec<Record> {
    let now = Moment { mono_ns: 0, wall_ns: 1_795_492_217_000_000_000 };
    (0..count).map(|_| observation(CATEGORY_LOSS, "a test", BTreeMap::new(), now, "boot")).collect()
}

/// The same with a reserve.
fn with_reserve(dir: &Path) -> SpoolSettings {
    SpoolSettings { reserve_bytes: 1 << 20, ..settings(dir) }
}

fn reserve(dir: &Path) -> Option<u64> {
    fs::metadata(dir.join("spool/reserve")).ok().map(|status| status.len())
}

/// Tends the spool until its level is one of these: room that was given back can take a moment to be seen.
fn wait_for_level(writer: &mut Writer, wanted: &[Level]) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        writer.tend().unwrap();
        let level = writer.level();
        if wanted.contains(&level) {
            return;
        }
        assert!(Instant::now() < deadline, "{level:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn names(dir: &Path) -> Vec<String> {
    let mut reader = Reader::oldest(&dir.join("spool")).unwrap();
    std::iter::from_fn(|| reader.next().unwrap()).map(|entry| entry.record.finding.name).collect()
}

#[test]
fn full_disk_drops_the_oldest_and_goes_on() {
    let _alone = alone();
    let Some(disk) = Tmpfs::mount("size=200k") else { return };
    let (mut writer, _) = Writer::open(settings(disk.path()), "boot").unwrap();
    let mut dropped = 0;
    for _ in 0..100 {
        let mut batch = records(7);
        dropped += writer.append(&mut batch).unwrap().dropped;
        let stored = names(disk.path());
        assert!(batch.iter().all(|record| stored.contains(&record.finding.name)));
    }
    assert!(dropped > 300, "{dropped}");
    let report = verify(&disk.path().join("spool")).unwrap();
    assert!(report.breaks.is_empty(), "{report:?}");
    assert!(report.dropped_recorded > 0);
}

#[test]
fn records_wait_until_there_is_room() {
    let _alone = alone();
    let Some(disk) = Tmpfs::mount("size=200k") else { return };
    let (mut writer, _) = Writer::open(settings(disk.path()), "boot").unwrap();
    disk.fill();
    let mut batch = records(5);
    let error = writer.append(&mut batch).unwrap_err();
    assert!(matches!(error, SpoolError::Full { kept: 5, .. }), "{error}");
    assert!(error.to_string().contains("no room on the filesystem of"));
    assert!(writer.append(&mut records(2)).is_err());
    assert_eq!(writer.usage().waiting, 7);
    disk.free();
    // What a tmpfs has given back can take a moment to be seen on every processor.
    let deadline = Instant::now() + Duration::from_secs(10);
    let done = loop {
        match writer.append(&mut batch) {
            Ok(done) => break done,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    };
    assert_eq!((done.first, done.last), (1, 5));
    assert_eq!(names(disk.path()).len(), 7);

    // Full in the middle of a batch: the torn line is ended, the records stand in the next segment.
    disk.fill();
    let mut more = records(9);
    if writer.append(&mut more).is_err() {
        disk.free();
        while writer.append(&mut more).is_err() {
            assert!(Instant::now() < deadline);
        }
    }
    let stored = names(disk.path());
    assert!(more.iter().all(|record| stored.contains(&record.finding.name)));
    let report = verify(&disk.path().join("spool")).unwrap();
    assert!(report.breaks.is_empty(), "{report:?}");
}

#[test]
fn out_of_inodes() {
    let _alone = alone();
    // The root, the spool, lock, sequence and its temporary file, and three segments.
    let Some(disk) = Tmpfs::mount("size=4m,nr_inodes=8") else { return };
    let (mut writer, _) = Writer::open(settings(disk.path()), "boot").unwrap();
    let mut dropped = 0;
    for _ in 0..200 {
        let mut batch = records(5);
        dropped += writer.append(&mut batch).unwrap().dropped;
        let stored = names(disk.path());
        assert!(batch.iter().all(|record| stored.contains(&record.finding.name)));
    }
    assert!(dropped > 500, "{dropped}");
    let mut reader = Reader::oldest(&disk.path().join("spool")).unwrap();
    let notes = std::iter::from_fn(|| reader.next().unwrap())
        .filter(|entry| entry.record.finding.category == CATEGORY_DROPPED)
        .count();
    assert!(notes > 0);
    assert!(verify(&disk.path().join("spool")).unwrap().breaks.is_empty());
}

#[test]
fn read_only() {
    let _alone = alone();
    let Some(disk) = Tmpfs::mount("size=1m") else { return };
    Writer::open(settings(disk.path()), "boot").unwrap().0.append(&mut records(3)).unwrap();
    disk.remount("ro");
    let error = Writer::open(settings(disk.path()), "boot").unwrap_err();
    assert!(
        error.to_string().contains("is on a read-only filesystem; remount it read-write or use --spool"),
        "{error}"
    );
    assert_eq!(error.exit(), Exit::CantCreate);
    let elsewhere = SpoolSettings { directory: disk.path().join("new/spool"), ..settings(disk.path()) };
    assert!(matches!(Writer::open(elsewhere, "boot"), Err(SpoolError::ReadOnly { .. })));
    assert_eq!(names(disk.path()).len(), 3, "reading needs no writing");
    disk.remount("rw");
    let (mut writer, _) = Writer::open(settings(disk.path()), "boot").unwrap();
    writer.append(&mut records(1)).unwrap();
    assert!(verify(&disk.path().join("spool")).unwrap().breaks.is_empty());
}

#[test]
fn reserve_lets_in_what_matters_when_the_disk_is_full() {
    let _alone = alone();
    let Some(disk) = Tmpfs::mount("size=4m") else { return };
    let one = SpoolSettings { segment_bytes: 1 << 20, ..with_reserve(disk.path()) };
    let (mut writer, _) = Writer::open(one, "boot").unwrap();
    assert_eq!(reserve(disk.path()), Some(256 << 10), "a sixteenth of the filesystem");
    writer.append(&mut records(3)).unwrap();
    assert_eq!(writer.level(), Level::Ok);
    disk.fill();
    // Nothing can be dropped, and it goes in.
    for _ in 0..10 {
        writer.append(&mut records(9)).unwrap();
    }
    assert_eq!((writer.level(), reserve(disk.path())), (Level::Emergency, None));
    writer.tend().unwrap();
    assert_eq!(reserve(disk.path()), None, "there is still no room for it");
    // The reserve has its end too.
    let mut stored = 93;
    let error = loop {
        match writer.append(&mut records(1)) {
            Ok(done) => stored = stored + 1 - done.dropped,
            Err(error) => break error,
        }
        assert!(stored < 1000);
    };
    assert!(matches!(error, SpoolError::Full { kept: 1, .. }), "{error}");
    assert_eq!(writer.level(), Level::Full);
    disk.free();
    let deadline = Instant::now() + Duration::from_secs(10);
    while writer.append(&mut []).is_err() {
        assert!(Instant::now() < deadline);
    }
    wait_for_level(&mut writer, &[Level::Ok]);
    assert_eq!(reserve(disk.path()), Some(256 << 10));
    let report = verify(&disk.path().join("spool")).unwrap();
    assert!(report.breaks.is_empty() && report.records >= stored, "{report:?}");
    // A start takes it up; switched off, it goes.
    drop(writer);
    drop(Writer::open(with_reserve(disk.path()), "boot").unwrap());
    assert_eq!(reserve(disk.path()), Some(256 << 10));
    drop(Writer::open(settings(disk.path()), "boot").unwrap());
    assert_eq!(reserve(disk.path()), None);
}

#[test]
fn reserve_is_an_inode_too() {
    let _alone = alone();
    // The root, the spool, lock, sequence, the reserve, one segment.
    let Some(disk) = Tmpfs::mount("size=4m,nr_inodes=6") else { return };
    let (mut writer, _) = Writer::open(with_reserve(disk.path()), "boot").unwrap();
    writer.append(&mut records(3)).unwrap();
    assert_eq!(writer.level(), Level::Warn, "hardly any inodes");
    let mut dropped = 0;
    for _ in 0..15 {
        dropped += writer.append(&mut records(5)).unwrap().dropped;
    }
    assert_eq!((writer.level(), dropped), (Level::Emergency, 0));
    assert_eq!(names(disk.path()).len(), 78);
    assert!(verify(&disk.path().join("spool")).unwrap().breaks.is_empty());
}

#[test]
fn over_quota() {
    let _alone = alone();
    let Some(disk) = Tmpfs::with_quota() else {
        assert!(std::env::var_os("TETHERD_TESTS_STRICT").is_none_or(|v| v != "1"), "no btrfs with quotas");
        return eprintln!("SKIPPED: no btrfs with quotas here; run as root, with btrfs-progs");
    };
    let wide = SpoolSettings { segment_bytes: 1 << 20, ..with_reserve(disk.path()) };
    let (mut writer, _) = Writer::open(wide, "boot").unwrap();
    writer.append(&mut records(3)).unwrap();
    disk.fill();
    let mut seen = std::collections::BTreeSet::new();
    let mut stored = 3;
    for _ in 0..300 {
        let mut batch = records(64);
        match writer.append(&mut batch) {
            Ok(done) => stored += 64 - done.dropped,
            Err(error) => {
                assert!(matches!(error, SpoolError::Full { .. }), "{error}");
                break;
            }
        }
        seen.insert(writer.level());
    }
    assert!(
        seen.contains(&Level::Emergency) && writer.level() == Level::Full,
        "{seen:?} {:?}",
        writer.level()
    );
    disk.free();
    let deadline = Instant::now() + Duration::from_secs(30);
    while writer.append(&mut []).is_err() {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(stored > 3);
    let report = verify(&disk.path().join("spool")).unwrap();
    assert!(report.breaks.is_empty(), "{report:?}");
    assert_eq!(writer.usage().waiting, 0);
}

/// As after an error of the disk: the kernel makes the filesystem read-only, whatever is open on it.
#[test]
fn read_only_for_a_while() {
    let _alone = alone();
    let (dir, image) = (tempfile::tempdir().unwrap(), tempfile::NamedTempFile::new().unwrap());
    image.as_file().set_len(16 << 20).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
    };
    let (file, mount) = (image.path().to_str().unwrap(), &*dir.path().to_str().unwrap().to_owned());
    let device = Command::new("losetup").args(["--find", "--show", file]).output().unwrap();
    let device = String::from_utf8(device.stdout).unwrap().trim().to_owned();
    let name = device.rsplit('/').next().unwrap_or_default();
    let trigger = PathBuf::from(format!("/sys/fs/ext4/{name}/trigger_fs_error"));
    let ready = run("mkfs.ext4", &["-q", &device])
        && run("mount", &["-o", "errors=remount-ro", &device, mount])
        && trigger.exists();
    let disk = Tmpfs(dir);
    if !ready {
        run("losetup", &["-d", &device]);
        assert!(
            std::env::var_os("TETHERD_TESTS_STRICT").is_none_or(|v| v != "1"),
            "no ext4 on a loop device"
        );
        return eprintln!("SKIPPED: no ext4 on a loop device here; run as root");
    }
    let (mut writer, _) = Writer::open(with_reserve(disk.path()), "boot").unwrap();
    let mut all = records(50);
    writer.append(&mut all).unwrap();
    fs::write(&trigger, "1").unwrap();
    let mut waiting = records(7);
    let error = writer.append(&mut waiting).unwrap_err();
    assert!(matches!(error, SpoolError::ReadOnly { .. } | SpoolError::Write { .. }), "{error}");
    assert_eq!((writer.level(), writer.usage().waiting), (Level::Full, 7));
    assert_eq!(names(disk.path()).len(), 50, "it can be read");
    // Unmounted, what is below the mount is the spool's place: it begins anew there, and the numbers go on.
    assert!(run("umount", &["-l", mount]));
    writer.tend().unwrap();
    let done = writer.append(&mut waiting).unwrap();
    assert_eq!((done.first, done.last, done.removed), (51, 57, 3));
    assert_eq!(names(disk.path()).len(), 7);
    assert!(verify(&disk.path().join("spool")).unwrap().breaks.is_empty());
    drop(writer);
    // Mounted again, the old records are there as they were.
    assert!(run("mount", &["-o", "ro", &device, mount]));
    assert_eq!(names(disk.path()).len(), 50);
    drop(disk);
    run("losetup", &["-d", &device]);
}

#[test]
fn directory_that_may_not_be_changed() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let attribute = |change: &str| {
        Command::new("chattr")
            .arg(change)
            .arg(dir.path().join("spool"))
            .output()
            .is_ok_and(|output| output.status.success())
    };
    let (mut writer, _) = Writer::open(settings(dir.path()), "boot").unwrap();
    writer.append(&mut records(16)).unwrap();
    if !attribute("+i") {
        assert!(std::env::var_os("TETHERD_TESTS_STRICT").is_none_or(|v| v != "1"), "chattr +i does not work");
        return eprintln!("SKIPPED: chattr +i does not work here");
    }
    let mut waiting = Vec::new();
    let failed = loop {
        let mut batch = records(5);
        let outcome = writer.append(&mut batch);
        waiting.extend(batch);
        if outcome.is_err() || waiting.len() > 1000 {
            break outcome;
        }
    };
    let level = writer.level();
    assert!(attribute("-i"));
    assert!(matches!(failed, Err(SpoolError::Write { kept: 1..=5, .. })), "{failed:?}");
    assert_eq!(level, Level::Full);
    writer.append(&mut []).unwrap();
    let stored = names(dir.path());
    assert_eq!(stored.len(), 16 + waiting.len());
    assert!(verify(&dir.path().join("spool")).unwrap().breaks.is_empty());
}

#[test]
fn directory_removed_or_moved_away() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    let (mut writer, _) = Writer::open(with_reserve(dir.path()), "boot").unwrap();
    writer.append(&mut records(20)).unwrap();
    fs::remove_dir_all(&spool).unwrap();
    let done = writer.append(&mut records(2)).unwrap();
    assert_eq!((done.first, done.removed), (21, 2), "two segments");
    assert_eq!(names(dir.path()).len(), 2);
    assert!(reserve(dir.path()).is_some());

    // Moved away, it could be written on; but nobody would find it there.
    fs::rename(&spool, dir.path().join("elsewhere")).unwrap();
    writer.tend().unwrap();
    let done = writer.append(&mut records(2)).unwrap();
    assert_eq!((done.first, done.removed), (23, 1));
    assert_eq!(names(dir.path()).len(), 2);
    assert!(spool.join("lock").exists());

    // A closed segment.
    writer.append(&mut records(20)).unwrap();
    fs::remove_file(spool.join(segment::name(23))).unwrap();
    writer.tend().unwrap();
    assert_eq!(writer.append(&mut []).unwrap().removed, 1);

    // Another spool in its place: the numbers go on behind its own.
    fs::remove_dir_all(&spool).unwrap();
    let other = Writer::open(settings(dir.path()), "boot").unwrap().0;
    drop(other);
    fs::write(spool.join(segment::name(5000)), "").unwrap();
    writer.tend().unwrap();
    let done = writer.append(&mut records(1)).unwrap();
    assert!(done.first > 5000, "{done:?}");
    assert!(verify(&spool).unwrap().breaks.is_empty());

    // Where it cannot be made again, records wait, and are bounded.
    fs::remove_dir_all(dir.path()).unwrap();
    fs::write(dir.path(), "a file").unwrap();
    let mut refused = None;
    for _ in 0..500 {
        if let Err(error) = writer.append(&mut records(10)) {
            refused = Some(error);
        }
    }
    assert!(matches!(refused, Some(SpoolError::Backlog { .. })), "{refused:?}");
    assert!(writer.usage().waiting <= 2000);
    fs::remove_file(dir.path()).unwrap();
    writer.append(&mut []).unwrap();
    assert_eq!((names(dir.path()).len(), writer.usage().waiting), (2000, 0));
    assert!(verify(&spool).unwrap().breaks.is_empty());
}

#[test]
fn numbers_near_their_end() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    drop(Writer::open(settings(dir.path()), "boot").unwrap());
    let last = segment::SEQUENCE_MAX;
    fs::remove_file(spool.join("sequence")).unwrap();
    fs::write(spool.join(segment::name(last - 3)), "").unwrap();
    let (mut writer, report) = Writer::open(settings(dir.path()), "boot").unwrap();
    assert_eq!(report.next, last - 3);
    writer.append(&mut records(2)).unwrap();
    let error = writer.append(&mut records(7)).unwrap_err();
    assert!(error.to_string().contains("are used up, up to findings-1152921504606846974.jsonl"), "{error}");
    writer.append(&mut records(1)).unwrap();
    drop(writer);
    let mut reader = Reader::oldest(&spool).unwrap();
    let entries: Vec<_> = std::iter::from_fn(|| reader.next().unwrap()).collect();
    assert_eq!(
        entries.iter().map(|e| e.record.sequence()).collect::<Vec<_>>(),
        [last - 3, last - 2, last - 1]
    );
    let cursor = Cursor { position: entries[1].next, sequence: last - 2 };
    cursor.store(&spool, "far").unwrap();
    let cursor = Cursor::load(&spool, "far").unwrap().unwrap();
    assert_eq!(Reader::after(&spool, cursor).unwrap().next().unwrap().unwrap().record.sequence(), last - 1);
    assert!(verify(&spool).unwrap().breaks.is_empty());
    // A file that leaves no number is named.
    fs::write(spool.join(segment::name(last)), "junk\n").unwrap();
    let error = Writer::open(settings(dir.path()), "boot").unwrap_err();
    assert!(error.to_string().contains("or that file if no tetherd wrote it"), "{error}");
    assert_eq!(error.exit(), Exit::Data);
}

#[test]
fn what_was_dropped_is_noted_also_after_a_kill() {
    let _alone = alone();
    let dir = tempfile::tempdir().unwrap();
    let spool = dir.path().join("spool");
    let (mut writer, _) = Writer::open(settings(dir.path()), "boot").unwrap();
    for _ in 0..10 {
        writer.append(&mut records(10)).unwrap();
    }
    drop(writer);
    // Dropped, and killed before it was noted.
    fs::remove_file(spool.join(segment::name(1))).unwrap();
    let (mut writer, _) = Writer::open(settings(dir.path()), "boot").unwrap();
    writer.append(&mut []).unwrap();
    let notes = |dir: &Path| {
        let mut reader = Reader::oldest(dir).unwrap();
        let all = std::iter::from_fn(|| reader.next().unwrap());
        all.filter(|entry| entry.record.finding.category == CATEGORY_DROPPED)
            .map(|entry| (entry.record.number("First_Sequence"), entry.record.number("Last_Sequence")))
            .collect::<Vec<_>>()
    };
    let first = Reader::oldest(&spool).unwrap().next().unwrap().unwrap().record.sequence();
    assert_eq!(notes(&spool), [(Some(1), Some(first - 1))]);
    drop(writer);
    drop(Writer::open(settings(dir.path()), "boot").unwrap().0.append(&mut []));
    assert_eq!(notes(&spool).len(), 1, "once");
}
