//! How far a reader of the spool has got.
//!
//! Owns: the files `cursor.<name>`. Must not own: when to move it (`deliver`).

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::directory::Directory;
use super::error::SpoolError;
use super::segment::Position;

/// What the files' names begin with.
const PREFIX: &str = "cursor.";

/// The place behind the last record that is done with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cursor {
    /// Where the next line begins.
    pub position: Position,
    /// The number of the last record that is done with; 0 for none.
    pub sequence: u64,
}

impl Cursor {
    /// The stored cursor; `None` where none was stored.
    ///
    /// # Errors
    /// A name that is not 1 to 64 of `[a-z0-9-]`, a directory or file that cannot be read, a damaged file.
    pub fn load(dir: &Path, name: &str) -> Result<Option<Self>, SpoolError> {
        let file = file_name(name)?;
        let directory = Directory::open(dir)?;
        let path = directory.join(&file);
        let content = directory.read_small(&file).map_err(|source| SpoolError::reading(&path, source))?;
        content
            .map(|bytes| serde_json::from_slice(&bytes).map_err(|_| SpoolError::CursorDamaged { path }))
            .transpose()
    }

    /// Stores it durably: whole or not at all.
    ///
    /// # Errors
    /// A name that is not 1 to 64 of `[a-z0-9-]`, a directory or file that cannot be written.
    pub fn store(&self, dir: &Path, name: &str) -> Result<(), SpoolError> {
        let file = file_name(name)?;
        let mut content = serde_json::to_vec(self).map_err(|source| SpoolError::Encode { source })?;
        content.push(b'\n');
        Directory::open(dir)?.replace(&file, &content)
    }

    /// The names of all stored cursors, in order.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn names(dir: &Path) -> Result<Vec<String>, SpoolError> {
        let mut names = Directory::open(dir)?.names_after(PREFIX)?;
        names.retain(|name| file_name(name).is_ok());
        names.sort_unstable();
        Ok(names)
    }

    /// Removes a stored cursor, durably; it is no error where there is none.
    ///
    /// # Errors
    /// A name that is not 1 to 64 of `[a-z0-9-]`, a directory that cannot be written.
    pub fn remove(dir: &Path, name: &str) -> Result<(), SpoolError> {
        let file = file_name(name)?;
        let directory = Directory::open(dir)?;
        match directory.unlink(&file).and_then(|()| directory.sync()) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(SpoolError::Replace { path: directory.join(&file), source })
            }
            _ => Ok(()),
        }
    }
}

fn file_name(name: &str) -> Result<String, SpoolError> {
    let fits = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits { Ok(format!("{PREFIX}{name}")) } else { Err(SpoolError::CursorName) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::exit::Exit;

    #[test]
    fn round_trip_and_damage() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Cursor::load(dir.path(), "syslog").unwrap(), None);
        let cursor = Cursor { position: Position { segment: 7, offset: u64::MAX }, sequence: 12 };
        cursor.store(dir.path(), "syslog").unwrap();
        cursor.store(dir.path(), "syslog").unwrap();
        assert_eq!(Cursor::load(dir.path(), "syslog").unwrap(), Some(cursor));
        for damage in
            [&b""[..], b"{}", b"\0\0\0\0", b"{\"position\":{\"segment\":1,\"offset\":-1},\"sequence\":1}"]
        {
            std::fs::write(dir.path().join("cursor.syslog"), damage).unwrap();
            let error = Cursor::load(dir.path(), "syslog").unwrap_err();
            assert!(error.to_string().contains("cursor.syslog is damaged; remove it"), "{error}");
            assert_eq!(error.exit(), Exit::Data);
        }
    }

    #[test]
    fn all_are_known_by_name_and_can_go() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["siem", "a-2"] {
            Cursor::default().store(dir.path(), name).unwrap();
        }
        for other in ["cursor.", "cursor.A", ".cursor.siem.tmp", "lock"] {
            std::fs::write(dir.path().join(other), "").unwrap();
        }
        assert_eq!(Cursor::names(dir.path()).unwrap(), ["a-2", "siem"]);
        Cursor::remove(dir.path(), "siem").unwrap();
        Cursor::remove(dir.path(), "siem").unwrap();
        assert_eq!(Cursor::names(dir.path()).unwrap(), ["a-2"]);
    }

    #[test]
    fn names_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        for bad in ["", "../x", "a/b", "A", "a.b", &"a".repeat(65)] {
            assert!(matches!(Cursor::load(dir.path(), bad), Err(SpoolError::CursorName)), "{bad}");
            assert!(matches!(Cursor::default().store(dir.path(), bad), Err(SpoolError::CursorName)), "{bad}");
        }
    }
}
