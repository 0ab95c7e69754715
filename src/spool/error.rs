//! What can go wrong with the spool.
//!
//! Owns: one sentence and one exit code for each act that fails. Must not own: deciding whether to go on.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::exit::Exit;

/// Why an act on the spool failed.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The directory to read is not there.
    #[error("there is no spool at {}; start the daemon first or name the directory with --spool", .path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// The directory is a symbolic link or another kind of file.
    #[error("the spool {} is not a directory itself but {what}; name the real directory", .path.display())]
    NotDirectory {
        /// The path.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Anybody may write in the directory.
    #[error("the spool {} may be written by everybody; run: chmod o-w {}", .path.display(), .path.display())]
    WorldWritable {
        /// The directory.
        path: PathBuf,
    },
    /// The filesystem is mounted read-only.
    #[error("the spool {} is on a read-only filesystem; remount it read-write or use --spool", .path.display())]
    ReadOnly {
        /// The directory or file.
        path: PathBuf,
    },
    /// Permission was denied.
    #[error("no permission for {}; run as root, or as a member of the group that owns the spool", .path.display())]
    Denied {
        /// The directory or file.
        path: PathBuf,
    },
    /// The directory could not be made or opened.
    #[error("cannot open the spool {}: {source}", .path.display())]
    Open {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process is the writer.
    #[error(
        "another tetherd (pid {}) holds the spool {}; stop it or use --spool",
        .pid.map_or_else(|| "unknown".to_owned(), |pid| pid.to_string()), .path.display()
    )]
    Held {
        /// The directory.
        path: PathBuf,
        /// The holder, as it wrote itself down.
        pid: Option<u32>,
    },
    /// A directory could not be listed, or a segment not read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The directory or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is no room, and nothing left to drop.
    #[error("no room on the filesystem of {}; {kept} records wait in memory; free some space", .path.display())]
    Full {
        /// The directory.
        path: PathBuf,
        /// Records that wait in the writer.
        kept: usize,
    },
    /// Writing or syncing failed, in a new segment too.
    #[error("cannot write to the spool {}: {source}; {kept} records wait in memory", .path.display())]
    Write {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
        /// Records that wait in the writer.
        kept: usize,
    },
    /// Too many records wait in the writer; those handed in were not taken.
    #[error("{kept} records wait in memory for the spool {}; no more are taken until it can be written", .path.display())]
    Backlog {
        /// The directory.
        path: PathBuf,
        /// Records that wait in the writer.
        kept: usize,
    },
    /// There are no numbers left.
    #[error(
        "the numbers of the spool {} are used up, up to {}; move the spool away, or that file if no tetherd wrote it",
        .path.display(), super::segment::name(*.highest)
    )]
    Exhausted {
        /// The directory.
        path: PathBuf,
        /// The highest number in it.
        highest: u64,
    },
    /// Another spool was put in its place.
    #[error("another spool was put in the place of {} while this one was written; restart tetherd to take it up", .path.display())]
    Replaced {
        /// The directory.
        path: PathBuf,
    },
    /// A record could not be written as JSON.
    #[error("a record cannot be written as JSON: {source}; this is an error of tetherd, please report it")]
    Encode {
        /// Why.
        source: serde_json::Error,
    },
    /// A small file beside the segments could not be written.
    #[error("cannot write {}: {source}", .path.display())]
    Replace {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A cursor's name would not be one file name.
    #[error("a cursor's name is 1 to 64 of a-z, 0-9 and '-'")]
    CursorName,
    /// A cursor's file does not hold a cursor.
    #[error("the cursor {} is damaged; remove it to deliver from the oldest record again", .path.display())]
    CursorDamaged {
        /// The file.
        path: PathBuf,
    },
}

impl SpoolError {
    /// How a command ends on it.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Missing { .. } => Exit::NoInput,
            Self::NotDirectory { .. }
            | Self::WorldWritable { .. }
            | Self::ReadOnly { .. }
            | Self::Open { .. } => Exit::CantCreate,
            Self::Denied { .. } => Exit::NoPermission,
            Self::Held { .. } => Exit::TempFail,
            Self::Read { .. }
            | Self::Full { .. }
            | Self::Write { .. }
            | Self::Backlog { .. }
            | Self::Replaced { .. }
            | Self::Replace { .. } => Exit::Io,
            Self::Encode { .. } | Self::CursorName => Exit::Software,
            Self::CursorDamaged { .. } | Self::Exhausted { .. } => Exit::Data,
        }
    }

    /// The failure to open `path`.
    pub(super) fn opening(path: &Path, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.to_owned(), source.into());
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::PermissionDenied => Self::Denied { path },
            _ => Self::Open { path, source },
        }
    }

    /// The failure to read `path`.
    pub(super) fn reading(path: &Path, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.to_owned(), source.into());
        match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Denied { path },
            _ => Self::Read { path, source },
        }
    }
}
