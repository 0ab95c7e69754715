//! What becomes of a segment that could not be written or synced.
//!
//! Owns: giving a segment up, ending torn lines, and that no number ever has two contents: a line is readable as soon as
//! it is written, so a number that stood in any file must not come again with another content, whether or not it was
//! acknowledged, also when the process is killed before it could write the line again. Must not own: writing again
//! (`writer`), numbers after a start (`recover`, which looks through the ends of all segments).

use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use super::directory::Directory;
use super::error::SpoolError;
use super::segment::{self, SEQUENCE_MAX};
use super::segments::Open;
use super::sequence::Mark;
use super::writer::{Line, Writer};

/// Segments that were given up.
#[derive(Debug, Default)]
pub(super) struct GivenUp {
    /// Segments whose torn end is not known to be ended, durably, by a newline.
    torn: Vec<u64>,
    /// A segment of which nothing was acknowledged, whose name is needed again; and whether a whole line stands in it.
    in_the_way: Option<(u64, bool)>,
    /// Segments with lines that are readable and wait to be written again.
    waiting: Vec<u64>,
    /// Such lines are in no file any more: only the mark says that their numbers were used.
    gone: bool,
}

impl GivenUp {
    /// After a start that could not end the torn line of a segment.
    pub(super) fn with_torn(torn: Vec<u64>) -> Self {
        Self { torn, ..Self::default() }
    }

    /// Whether a segment has lines that wait to be written again.
    pub(super) fn waits(&self, first: u64) -> bool {
        self.waiting.contains(&first)
    }
}

impl Writer {
    /// Leaves a segment that could not be written or synced: what the page cache holds of it is not known. `written` are
    /// the bytes of what waits that went into it.
    pub(super) fn give_up(&mut self, open: Open, written: usize) {
        let whole_lines = lines_within(&self.pending, written);
        let torn = lines_bytes(&self.pending, whole_lines) < written;
        if self.pending.front().is_some_and(|line| line.sequence == open.first) {
            self.given_up.in_the_way = Some((open.first, whole_lines > 0));
            // Where it does not go now, it is tried again before its name is used.
            let _ = self.clear_the_way();
            return;
        }
        if torn {
            self.tally.torn += 1;
            self.given_up.torn.push(open.first);
            self.end_torn();
        }
        if whole_lines > 0 {
            self.given_up.waiting.push(open.first);
        }
        self.closed.insert(open.first, open.bytes);
    }

    /// Removes a segment of which nothing was acknowledged, because its name is needed again.
    pub(super) fn clear_the_way(&mut self) -> io::Result<()> {
        let Some((first, readable)) = self.given_up.in_the_way else { return Ok(()) };
        if readable {
            self.say_gone()?;
        }
        match self.directory.unlink(&segment::name(first)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => self.given_up.in_the_way = None,
        }
        Ok(())
    }

    /// To be called before lines that are readable and not yet durable elsewhere are removed.
    pub(super) fn say_gone(&mut self) -> io::Result<()> {
        self.given_up.gone = true;
        self.store_mark(self.next.max(self.mark.unused), self.mark.segment).map_err(|error| match error {
            SpoolError::Replace { source, .. } => source,
            other => io::Error::other(other),
        })
    }

    /// Everything is durable: what was given up has been written again.
    pub(super) fn all_synced(&mut self) {
        self.given_up.waiting.clear();
        if std::mem::take(&mut self.given_up.gone) {
            // If it fails, the next start leaves some numbers unused.
            let _ = self.store_mark(self.mark.unused, self.mark.segment);
        }
    }

    /// Stores that no number from `unused` on was ever used. While lines are gone that readers may have seen, the mark
    /// is stored in a way that the next start believes it more than the files.
    pub(super) fn store_mark(&mut self, unused: u64, segment: u64) -> Result<(), SpoolError> {
        let boot_id = if self.given_up.gone { String::new() } else { self.boot_id.clone() };
        let unused = unused.min(SEQUENCE_MAX);
        let mark = Mark { unused, segment, boot_id, noted: self.mark.noted, ended: self.over };
        mark.store(&self.directory)?;
        self.mark = mark;
        Ok(())
    }

    /// Ends torn lines that are not yet known to be ended.
    pub(super) fn end_torn(&mut self) {
        let directory = &self.directory;
        self.given_up.torn.retain(|&first| match end_line(directory, first) {
            Ok(()) => false,
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        });
    }
}

/// Sees to it that a segment ends with a newline, durably. May be called again after it failed: there will be one
/// newline in any case, as a second one would be an empty line, which is damage.
pub(super) fn end_line(directory: &Directory, first: u64) -> io::Result<()> {
    let name = segment::name(first);
    let reading = directory.read(&name)?;
    let mut file = directory.append(&name, false)?;
    let length = reading.metadata()?.len();
    let mut byte = [b'\n'];
    if length > 0 {
        reading.read_exact_at(&mut byte, length - 1)?;
    }
    if byte != [b'\n'] {
        file.write_all(b"\n")?;
    }
    file.sync_data()
}

/// How many of the lines are in the first `bytes` bytes as a whole.
pub(super) fn lines_within<'a>(lines: impl IntoIterator<Item = &'a Line>, bytes: usize) -> usize {
    let mut end = 0;
    lines
        .into_iter()
        .take_while(|line| {
            end += line.bytes.len();
            end <= bytes
        })
        .count()
}

fn lines_bytes<'a>(lines: impl IntoIterator<Item = &'a Line>, count: usize) -> usize {
    lines.into_iter().take(count).map(|line| line.bytes.len()).sum()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::{self, File};
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::model::finding::Record;
    use crate::spool::cursor::Cursor;
    use crate::spool::reader::Reader;
    use crate::spool::record::observation;
    use crate::spool::settings::SpoolSettings;
    use crate::spool::verify::verify;
    use crate::spool::writer::now;

    fn open(dir: &Path) -> Writer {
        let settings =
            SpoolSettings { directory: dir.to_owned(), min_free_bytes: 0, ..SpoolSettings::default() };
        Writer::open(settings, "boot").unwrap().0
    }

    fn records(count: usize) -> Vec<Record> {
        (0..count).map(|_| observation("c", "d", BTreeMap::new(), now(), "boot")).collect()
    }

    fn path(dir: &Path, first: u64) -> PathBuf {
        dir.join(segment::name(first))
    }

    /// Ends a writer as `kill -9` does: what it would have stored at its end is not there.
    fn kill(dir: &Path, writer: Writer) {
        let small = ["sequence", "active"].map(|name| dir.join(name));
        let before = small.each_ref().map(|path| fs::read(path).ok());
        drop(writer);
        for (path, content) in small.iter().zip(before) {
            match content {
                Some(content) => fs::write(path, content).unwrap(),
                None => drop(fs::remove_file(path)),
            }
        }
    }

    /// Numbers records, writes them to the open segment and has its fdatasync fail: readers see them, nobody acknowledged
    /// them.
    fn write_unsynced(writer: &mut Writer, records: &mut [Record]) {
        for record in records.iter_mut() {
            writer.number(record).unwrap();
        }
        writer.write_group().unwrap_err();
    }

    /// A file that can be written and not synced: fdatasync of a FIFO fails (EINVAL). What is written is read back by a
    /// thread and goes to the segment, as it would to the page cache.
    fn unsyncable(dir: &Path, first: u64) -> (File, std::thread::JoinHandle<()>) {
        let (reading, writing) = nix::unistd::pipe().unwrap();
        let mut segment = File::options().append(true).open(path(dir, first)).unwrap();
        let copying = std::thread::spawn(move || drop(io::copy(&mut File::from(reading), &mut segment)));
        (File::from(writing), copying)
    }

    /// All lines of all segments: no number may have two contents.
    fn contents(dir: &Path) -> BTreeMap<u64, String> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "jsonl") {
                continue;
            }
            for line in fs::read_to_string(path).unwrap().lines() {
                let Ok(record) = serde_json::from_str::<Record>(line) else { continue };
                let before = found.insert(record.sequence(), line.to_owned());
                assert!(before.is_none_or(|before| before == line), "{} twice", record.sequence());
            }
        }
        found
    }

    fn read_all(reader: &mut Reader) -> Vec<(u64, String)> {
        let next = || reader.next().unwrap();
        std::iter::from_fn(next)
            .map(|entry| (entry.record.sequence(), entry.record.id().to_owned()))
            .collect()
    }

    fn cursor(reader: &Reader, sequence: u64) -> Cursor {
        Cursor { position: reader.position(), sequence }
    }

    #[test]
    fn numbers_of_lines_that_were_to_be_written_again_are_not_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let mut writer = open(dir);
        writer.append(&mut records(2)).unwrap();
        let (file, copying) = unsyncable(dir, 1);
        writer.current.as_mut().unwrap().file = file;
        write_unsynced(&mut writer, &mut records(3));
        copying.join().unwrap();
        let mut early = Reader::oldest(dir).unwrap();
        assert_eq!(read_all(&mut early).len(), 5, "readable, not acknowledged");
        // Killed when one of the three had been written again.
        fs::write(path(dir, 3), &writer.pending[0].bytes).unwrap();
        kill(dir, writer);
        let mut writer = open(dir);
        let mut new = records(3);
        writer.append(&mut new).unwrap();
        assert_eq!(contents(dir).len(), 8);
        let expected: Vec<_> = new.iter().map(|r| (r.sequence(), r.id().to_owned())).collect();
        assert_eq!(read_all(&mut early), expected, "a reader that saw all of it gets what was acknowledged");
        let report = verify(dir).unwrap();
        assert_eq!((report.breaks, report.unused), (Vec::new(), 0));
    }

    #[test]
    fn numbers_of_a_segment_that_made_way_are_not_used_again() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let mut writer = open(dir);
        let mut first = records(1);
        // A segment that has only lines nobody acknowledged.
        writer.number(&mut first[0]).unwrap();
        writer.choose_segment().unwrap();
        let (file, copying) = unsyncable(dir, 1);
        writer.current.as_mut().unwrap().file = file;
        let mut others = records(2);
        for record in &mut others {
            writer.number(record).unwrap();
        }
        let mut reader = Reader::oldest(dir).unwrap();
        // The reader has read them before they make way.
        for line in &writer.pending {
            File::options().append(true).open(path(dir, 1)).unwrap().write_all(&line.bytes).unwrap();
        }
        assert_eq!(read_all(&mut reader).len(), 3);
        let seen = cursor(&reader, 3);
        fs::write(path(dir, 1), b"").unwrap();
        writer.write_group().unwrap_err();
        copying.join().unwrap();
        assert!(!path(dir, 1).exists(), "its name is needed again");
        kill(dir, writer);
        let mut writer = open(dir);
        let mut new = records(2);
        let done = writer.append(&mut new).unwrap();
        assert!(done.first > 3, "{done:?}");
        assert_eq!(read_all(&mut Reader::after(dir, seen).unwrap()).len(), 2);
        assert!(verify(dir).unwrap().breaks.is_empty());
        // Within one life the same bytes come back under the same numbers, and the mark is believed no longer than needed.
        kill(dir, writer);
        assert_eq!(open(dir).next_sequence(), done.last + 1);
    }

    #[test]
    fn torn_line_gets_one_newline_however_often_ending_it_fails() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        open(dir).append(&mut records(2)).unwrap();
        File::options().append(true).open(path(dir, 1)).unwrap().write_all(b"{\"finding\":{\"na").unwrap();
        let mut writer = open(dir);
        // As when the newline could be written and not synced: it is not known to be there.
        writer.given_up.torn.push(1);
        writer.append(&mut records(1)).unwrap();
        assert!(writer.given_up.torn.is_empty());
        let text = fs::read_to_string(path(dir, 1)).unwrap();
        assert!(text.ends_with("\"na\n"), "{:?}", &text[text.len() - 20..]);
        let report = verify(dir).unwrap();
        assert_eq!((report.breaks, report.torn, report.records), (Vec::new(), 1, 3));
        // Where there is no newline yet, it is written; a segment that has gone is forgotten.
        let whole = fs::read(path(dir, 1)).unwrap();
        fs::write(path(dir, 1), &whole[..whole.len() - 1]).unwrap();
        writer.given_up.torn.extend([1, 77]);
        writer.append(&mut records(1)).unwrap();
        assert_eq!(fs::read(path(dir, 1)).unwrap(), whole);
        assert!(writer.given_up.torn.is_empty());
    }
}
