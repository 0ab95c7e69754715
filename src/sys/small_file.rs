//! Small files that an administrator names.
//!
//! Owns: opening one without being caught by a FIFO or a terminal in its place, reading it up to a limit. Must not own: who
//! may write or read it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a regular file for reading.
///
/// # Errors
/// It cannot be opened, or is of another kind.
pub fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // A FIFO would otherwise keep us waiting for its writer.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)?;
    let found = file.metadata()?;
    if found.is_file() { Ok((file, found)) } else { Err(io::Error::other("it is no regular file")) }
}

/// All of it; `None` where it is longer than `most` bytes.
///
/// # Errors
/// It cannot be read.
pub fn read(file: File, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= most).then_some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regular_files_up_to_a_limit() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        let read = |most| read(open(file.path()).unwrap().0, most).unwrap();
        assert_eq!((read(3), read(2)), (Some(b"abc".to_vec()), None));
        for other in ["/dev/null", "/", "/nowhere"] {
            assert!(open(Path::new(other)).is_err(), "{other}");
        }
    }
}
