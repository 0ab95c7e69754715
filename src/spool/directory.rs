//! The spool's directory.
//!
//! Owns: opening it safely, and the acts on names in it, all relative to one descriptor. Must not own: what the files
//! hold.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::error::SpoolError;
use super::segment;
use crate::model::clock::SECOND;

/// Mode of every file in the spool.
const FILE_MODE: Mode = Mode::from_raw_mode(0o640);

/// An open spool directory.
#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

/// What a filesystem has, for an unprivileged user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Space {
    pub(super) total_bytes: u64,
    pub(super) free_bytes: u64,
    pub(super) free_inodes: u64,
}

/// The numbers in the names of segments.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Of regular files, ascending.
    pub(super) segments: Vec<u64>,
    /// The highest of any kind of file, 0 where there is none.
    pub(super) highest: u64,
}

impl Directory {
    /// For the writer: made with its parents (0750) where it is missing, refused where others could write in it.
    pub(super) fn create(path: &Path) -> Result<Self, SpoolError> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o750).create(path);
        let directory = match (made, Self::open(path)) {
            (Err(source), Err(SpoolError::Missing { .. })) => return Err(SpoolError::opening(path, source)),
            (_, opened) => opened?,
        };
        let status = rustix::fs::fstat(&directory.fd).map_err(|errno| SpoolError::opening(path, errno))?;
        if status.st_mode & 0o002 != 0 {
            return Err(SpoolError::WorldWritable { path: path.to_owned() });
        }
        Ok(directory)
    }

    /// For readers.
    pub(super) fn open(path: &Path) -> Result<Self, SpoolError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(fd) => Ok(Self { fd, path: path.to_owned() }),
            Err(Errno::NOENT) => Err(SpoolError::Missing { path: path.to_owned() }),
            Err(Errno::NOTDIR | Errno::LOOP) => {
                let link = std::fs::symlink_metadata(path).is_ok_and(|status| status.is_symlink());
                let what = if link { "a symbolic link" } else { "another kind of file" };
                Err(SpoolError::NotDirectory { path: path.to_owned(), what })
            }
            Err(errno) => Err(SpoolError::opening(path, errno)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a name in it, for messages.
    pub(super) fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What segments there are.
    pub(super) fn list(&self) -> Result<Listing, SpoolError> {
        let failed = |errno: Errno| SpoolError::reading(&self.path, errno);
        let mut listing = Listing::default();
        for entry in Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(first) = entry.file_name().to_str().ok().and_then(segment::parse_name) else { continue };
            listing.highest = listing.highest.max(first);
            let regular = match entry.file_type() {
                FileType::Unknown => {
                    rustix::fs::statat(&self.fd, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)
                        .is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::RegularFile)
                }
                kind => kind == FileType::RegularFile,
            };
            if regular {
                listing.segments.push(first);
            }
        }
        listing.segments.sort_unstable();
        Ok(listing)
    }

    /// What follows `prefix` in the names that begin with it.
    pub(super) fn names_after(&self, prefix: &str) -> Result<Vec<String>, SpoolError> {
        let failed = |errno: Errno| SpoolError::reading(&self.path, errno);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_str().ok().and_then(|name| name.strip_prefix(prefix));
            names.extend(name.map(str::to_owned));
        }
        Ok(names)
    }

    /// The sizes of segments; 0 where one cannot be read.
    pub(super) fn sizes<'a>(&self, segments: impl IntoIterator<Item = &'a u64>) -> BTreeMap<u64, u64> {
        let size = |first: u64| self.size_and_time(&segment::name(first)).map_or(0, |(size, _)| size);
        segments.into_iter().map(|&first| (first, size(first))).collect()
    }

    /// Opens a regular file for reading.
    pub(super) fn read(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.fd, name, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(file)
    }

    /// Opens a segment for appending; `new`: it must not exist.
    pub(super) fn append(&self, name: &str, new: bool) -> io::Result<File> {
        let mut flags =
            OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        if new {
            flags |= OFlags::CREATE | OFlags::EXCL;
        }
        Ok(File::from(rustix::fs::openat(&self.fd, name, flags, FILE_MODE)?))
    }

    /// Opens a file for reading and writing, making it where it is missing.
    pub(super) fn open_or_create(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&self.fd, name, flags, FILE_MODE)?))
    }

    /// Removes a name.
    pub(super) fn unlink(&self, name: &str) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }

    /// Makes creations and removals durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.fd)?)
    }

    /// What the filesystem has.
    pub(super) fn space(&self) -> io::Result<Space> {
        let status = rustix::fs::fstatvfs(&self.fd)?;
        Ok(Space {
            total_bytes: status.f_blocks.saturating_mul(status.f_frsize),
            free_bytes: status.f_bavail.saturating_mul(status.f_frsize),
            // Some filesystems make inodes as they are needed, and say 0 and 0.
            free_inodes: if status.f_files == 0 { u64::MAX } else { status.f_favail },
        })
    }

    /// Whether it is still what its path names. Where that cannot be told, it is.
    pub(super) fn is_in_place(&self) -> bool {
        let Ok(own) = rustix::fs::fstat(&self.fd) else { return true };
        match rustix::fs::lstat(&self.path) {
            Ok(there) => (there.st_dev, there.st_ino) == (own.st_dev, own.st_ino),
            Err(errno) => !matches!(errno, Errno::NOENT | Errno::NOTDIR),
        }
    }

    /// How many bytes a segment has, and when it was last written (nanoseconds after 1970).
    pub(super) fn size_and_time(&self, name: &str) -> io::Result<(u64, u64)> {
        let status = rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let (size, seconds) = (u64::try_from(status.st_size), u64::try_from(status.st_mtime));
        Ok((size.unwrap_or(0), seconds.unwrap_or(0).saturating_mul(SECOND)))
    }

    /// The content of a small file; `None` where there is none. At most 4,096 bytes are read.
    pub(super) fn read_small(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        let file = match self.read(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened?,
        };
        let mut content = Vec::new();
        file.take(4096).read_to_end(&mut content)?;
        Ok(Some(content))
    }

    /// Gives a small file a new content, durably, whole or not at all.
    pub(super) fn replace(&self, name: &str, content: &[u8]) -> Result<(), SpoolError> {
        let temporary = format!(".{name}.tmp");
        let act = || -> io::Result<()> {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut file = File::from(rustix::fs::openat(&self.fd, temporary.as_str(), flags, FILE_MODE)?);
            file.write_all(content)?;
            file.sync_data()?;
            rustix::fs::renameat(&self.fd, temporary.as_str(), &self.fd, name)?;
            self.sync()
        };
        act().map_err(|source| SpoolError::Replace { path: self.join(name), source })
    }
}
