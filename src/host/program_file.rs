//! Program files that somebody else may control: opened and read without being caught.
//!
//! Owns: opening what an O_PATH descriptor stands for, telling whether it still is what ran, comparing two files. Must
//! not own: which file, and why. An open or a read of a file can take for ever: this belongs on a thread that may hang.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::time::Instant;

use crate::model::look::FileId;

/// How many bytes are read at once.
const CHUNK: usize = 64 * 1024;

/// Opens for reading what `handle` (O_PATH) stands for; regular files only, which is asked before anything that an
/// open could set off.
pub fn reopen(handle: &OwnedFd) -> Result<File, &'static str> {
    let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
    let kind = std::fs::metadata(&path).map_err(|_| "the file could not be asked for its type")?.file_type();
    if !kind.is_file() {
        return Err("it is not a regular file");
    }
    File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY)
        .open(path)
        .map_err(|_| "the file could not be opened")
}

/// Whether the content can still be what ran. Removing a name of the file, or adding one, changes its ctime and nothing
/// else; removing the last one is let through.
pub fn still_the_same(file: &FileId, open: &File) -> Result<(), &'static str> {
    let now = open.metadata().map_err(|_| "the file could not be asked for its size")?;
    let ns = |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
    let content = now.size() == file.size && ns(now.mtime(), now.mtime_nsec()) == file.mtime_ns;
    let inode = ns(now.ctime(), now.ctime_nsec()) == file.ctime_ns || now.nlink() == 0;
    if content && inode { Ok(()) } else { Err("the file has changed since it was executed") }
}

/// Gives a file's first `most` bytes to `take`, piece by piece, until that returns false.
pub fn read_pieces(
    file: &File,
    most: u64,
    until: Instant,
    mut take: impl FnMut(&[u8]) -> bool,
) -> Result<(), &'static str> {
    let (mut at, mut piece) = (0, vec![0; CHUNK]);
    while at < most {
        let want = usize::try_from(most - at).unwrap_or(CHUNK).min(CHUNK);
        let n = read_at(file, piece.get_mut(..want).unwrap_or_default(), at, until)?;
        if n == 0 || !take(piece.get(..n).unwrap_or_default()) {
            break;
        }
        at += n as u64;
    }
    Ok(())
}

/// Whether two files of `size` bytes have the same content.
pub fn same_content(one: &File, other: &File, size: u64, until: Instant) -> Result<bool, &'static str> {
    let (mut at, mut there) = (0, vec![0; CHUNK]);
    let mut same = true;
    read_pieces(one, size, until, |here| {
        let mut compared = 0;
        while same && compared < here.len() {
            let room = there.get_mut(..here.len() - compared).unwrap_or_default();
            let n = read_at(other, room, at, until).unwrap_or(0);
            same = n > 0 && here.get(compared..compared + n) == there.get(..n);
            compared += n;
            at += n as u64;
        }
        same
    })?;
    Ok(same && at == size)
}

fn read_at(file: &File, space: &mut [u8], at: u64, until: Instant) -> Result<usize, &'static str> {
    loop {
        if Instant::now() > until {
            return Err("reading the file took too long");
        }
        match file.read_at(space, at) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done.map_err(|_| "the file could not be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn contents() {
        let until = Instant::now() + Duration::from_secs(60);
        let file = |bytes: &[u8]| {
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(bytes, 0).unwrap();
            file
        };
        let mut bytes: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
        let (one, two) = (file(&bytes), file(&bytes));
        let size = bytes.len() as u64;
        assert_eq!(same_content(&one, &two, size, until), Ok(true));
        assert_eq!(same_content(&one, &two, size + 1, until), Ok(false), "it has become shorter");
        bytes[150_000] ^= 1;
        assert_eq!(same_content(&one, &file(&bytes), size, until), Ok(false));
        assert_eq!(same_content(&one, &file(b""), size, until), Ok(false));
        let over = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
        assert_eq!(same_content(&one, &two, size, over), Err("reading the file took too long"));
        let mut seen = 0;
        read_pieces(&one, 70_000, until, |piece| {
            seen += piece.len();
            true
        })
        .unwrap();
        assert_eq!(seen, 70_000);
    }
}
