//! A spool that grows: real records, some as long as a record can be, over small segments.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use tetherd::model::finding::Record;
use tetherd::model::ids::FindingId;
use tetherd::spool::settings::SpoolSettings;
use tetherd::spool::writer::Writer;

use crate::records::{BOOT, record};
use crate::shapes;

/// The spool, and its writer.
pub struct Spool {
    directory: TempDir,
    writer: Writer,
    short: Record,
    long: Record,
    written: u32,
}

impl Spool {
    pub fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("tetherd-spool-").tempdir().unwrap();
        let settings = SpoolSettings {
            directory: directory.path().into(),
            segment_bytes: 256 << 10,
            min_free_bytes: 0,
            ..SpoolSettings::default()
        };
        let (writer, _) = Writer::open(settings, BOOT).unwrap();
        let mut flood = shapes::flood();
        let subject = Arc::make_mut(&mut flood.subject);
        subject.args.list = vec!["a\\\"é\u{1}".repeat(200).into_bytes(); 8];
        Self { directory, writer, short: record(&shapes::pod()), long: record(&flood), written: 0 }
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Appends so many records; every eighth is a long one.
    pub fn write(&mut self, count: u32) {
        for _ in 0..count {
            self.written += 1;
            let mut record =
                if self.written.is_multiple_of(8) { self.long.clone() } else { self.short.clone() };
            let mut id = [0; 16];
            id[..4].copy_from_slice(&self.written.to_be_bytes());
            record.finding.name = tetherd::spool::record::finding_name(FindingId(id));
            self.writer.append(std::slice::from_mut(&mut record)).unwrap();
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> =
            entries.filter(|path| path.extension().is_some_and(|extension| extension == "jsonl")).collect();
        files.sort();
        files
    }

    pub fn segments(&self) -> usize {
        self.files().len()
    }

    /// All lines, in order.
    pub fn lines(&self) -> Vec<String> {
        let texts = self.files().into_iter().map(|path| fs::read_to_string(path).unwrap());
        texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }
}
