//! The directory or archive that evidence is put into.
//!
//! Owns: that it is new, its owner's alone (0700, files 0600), bounded, and there only when it is whole; the SHA-256 of
//! every file. Must not own: what the files hold.
//!
//! Everything is put into a new directory beside the one that is wanted, by names beneath its descriptor, and takes the
//! wanted name at the end; what is there already is never replaced.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, ResolveFlags};
use rustix::io::Errno;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::cli::failure::Failure;
use crate::cli::shown;
use crate::model::text::hexadecimal;

/// The most bytes of all files.
pub const BYTES_MAX: u64 = 1 << 30;
/// The file that `sha256sum -c` reads.
const SUMS: &str = "SHA256SUMS";
/// Endings of archives that are not made.
const OTHERS: [&str; 8] = [".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar.bz2", ".zip", ".7z", ".gz"];

const PRIVATE_DIR: Mode = Mode::RWXU;
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A file in the bundle.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Its name in the bundle.
    pub name: String,
    /// Where its content is from.
    pub from: String,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// Its size.
    pub bytes: u64,
    /// There was more.
    pub truncated: bool,
}

impl Kept {
    /// For the manifest.
    pub fn json(&self) -> Value {
        json!({
            "name": self.name, "sha256": self.sha256, "bytes": self.bytes, "from": self.from, "truncated": self.truncated,
        })
    }
}

/// A bundle that is being made. Dropped before its end, it leaves nothing.
#[derive(Debug)]
pub struct Bundle {
    parent: OwnedFd,
    output: PathBuf,
    /// The last part of `output`.
    name: String,
    archive: bool,
    temporary: String,
    top: OwnedFd,
    files: Vec<Kept>,
    bytes: u64,
    whole: bool,
}

/// A file that is being written.
#[derive(Debug)]
pub struct Part {
    file: File,
    name: String,
    from: String,
    sum: Sha256,
    bytes: u64,
    truncated: bool,
}

impl Part {
    /// Adds all of it, whatever room there is.
    pub fn put(&mut self, content: &[u8]) -> std::io::Result<()> {
        self.file.write_all(content)?;
        self.sum.update(content);
        self.bytes += content.len() as u64;
        Ok(())
    }
}

impl Bundle {
    /// Begins one. `output`: a directory to be made, or an archive that ends in `.tar`.
    ///
    /// # Errors
    /// It is there already, is a form of archive that is not made, or its parent is missing or anybody's.
    pub fn create(output: &Path) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::CannotCreate(format!("cannot make {}: {error}", shown(output)))
        };
        let name = output.file_name().and_then(|name| name.to_str()).filter(|name| name.len() <= 200);
        let Some(name) = name else {
            return Err(Failure::Usage(format!(
                "{} is no name that evidence can have: at most 200 bytes, in UTF-8",
                shown(output)
            )));
        };
        if OTHERS.iter().any(|ending| name.ends_with(ending)) {
            return Err(Failure::Usage(format!(
                "{}: a directory or a .tar is written; compress that afterwards",
                shown(output)
            )));
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let parent = rustix::fs::open(above(output), flags, Mode::empty()).map_err(|errno| failed(&errno))?;
        let status = rustix::fs::fstat(&parent).map_err(|errno| failed(&errno))?;
        if status.st_mode & 0o002 != 0 && status.st_mode & 0o1000 == 0 {
            return Err(failed(
                &"anybody can replace what is in its directory (no sticky bit); choose another",
            ));
        }
        if rustix::fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Err(failed(&"it is there already, and nothing is overwritten; choose another name"));
        }
        let temporary = format!(".{name}.{}", std::process::id());
        rustix::fs::mkdirat(&parent, temporary.as_str(), PRIVATE_DIR).map_err(|errno| failed(&errno))?;
        let top = rustix::fs::openat(&parent, temporary.as_str(), flags | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|errno| failed(&errno))?;
        let archive = name.ends_with(".tar");
        Ok(Self {
            parent,
            output: output.to_owned(),
            name: name.to_owned(),
            archive,
            temporary,
            top,
            files: Vec::new(),
            bytes: 0,
            whole: false,
        })
    }

    /// What is in it so far.
    pub fn files(&self) -> &[Kept] {
        &self.files
    }

    /// Begins a file; its directories are made.
    pub fn begin(&self, name: &str, from: &str) -> Result<Part, Failure> {
        let mut above = String::new();
        for part in name.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev() {
            above.push_str(part);
            match rustix::fs::mkdirat(&self.top, above.as_str(), PRIVATE_DIR) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(errno) => return Err(self.failed(name, &errno)),
            }
            above.push('/');
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let file = rustix::fs::openat2(&self.top, name, flags, PRIVATE, resolve)
            .map_err(|errno| self.failed(name, &errno))?;
        let (sum, bytes) = (Sha256::new(), 0);
        Ok(Part { file: file.into(), name: name.into(), from: from.into(), sum, bytes, truncated: false })
    }

    /// Bytes that there is room for beside the files that have ended.
    pub fn room(&self) -> u64 {
        BYTES_MAX.saturating_sub(self.bytes)
    }

    /// Adds to a file as much as there is room for; `false`: not all of it.
    pub fn write(&self, part: &mut Part, content: &[u8]) -> Result<bool, Failure> {
        let room = usize::try_from(self.room().saturating_sub(part.bytes)).unwrap_or(usize::MAX);
        let kept = content.get(..room).unwrap_or(content);
        part.put(kept).map_err(|error| self.failed(&part.name, &error))?;
        part.truncated |= kept.len() < content.len();
        Ok(kept.len() == content.len())
    }

    /// Ends a file. `truncated`: there was more of it.
    pub fn end(&mut self, part: Part, truncated: bool) -> Result<&Kept, Failure> {
        part.file.sync_all().map_err(|error| self.failed(&part.name, &error))?;
        self.bytes += part.bytes;
        self.files.push(Kept {
            sha256: hexadecimal(&part.sum.finalize()),
            name: part.name,
            from: part.from,
            bytes: part.bytes,
            truncated: truncated || part.truncated,
        });
        self.files.last().ok_or_else(|| Failure::CannotCreate("nothing was kept".into()))
    }

    /// A file of this content.
    pub fn add(&mut self, name: &str, from: &str, content: &[u8], truncated: bool) -> Result<&Kept, Failure> {
        let mut part = self.begin(name, from)?;
        self.write(&mut part, content)?;
        self.end(part, truncated)
    }

    /// A file goes that was begun.
    pub fn forget(&self, name: &str) {
        let _ = rustix::fs::unlinkat(&self.top, name, AtFlags::empty());
    }

    /// Gives it its name. Returns the number of files, their bytes and the SHA-256 of the list of digests.
    pub fn finish(mut self) -> Result<(usize, u64, String), Failure> {
        let lines: Vec<String> =
            self.files.iter().map(|kept| format!("{}  {}\n", kept.sha256, kept.name)).collect();
        // The list itself is not bounded by what the files took.
        self.bytes = 0;
        let sum = self.add(SUMS, "tetherd evidence", lines.concat().as_bytes(), false)?.sha256.clone();
        rustix::fs::fsync(&self.top).map_err(|errno| self.failed("", &errno))?;
        if self.archive {
            self.archive_all()?
        } else {
            self.rename()?
        }
        let _ = rustix::fs::fsync(&self.parent);
        self.whole = !self.archive;
        let bytes = self.files.iter().map(|kept| kept.bytes).sum();
        Ok((self.files.len(), bytes, sum))
    }

    fn rename(&self) -> Result<(), Failure> {
        let (from, to) = (self.temporary.as_str(), self.name.as_str());
        match rustix::fs::renameat_with(&self.parent, from, &self.parent, to, RenameFlags::NOREPLACE) {
            // A filesystem that cannot do that: an empty directory of ours is what is replaced.
            Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::mkdirat(&self.parent, to, PRIVATE_DIR)
                .and_then(|()| rustix::fs::renameat(&self.parent, from, &self.parent, to)),
            outcome => outcome,
        }
        .map_err(|errno| self.failed("", &errno))
    }

    /// The archive is written under its own name, which nothing had.
    fn archive_all(&self) -> Result<(), Failure> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = rustix::fs::openat(&self.parent, self.name.as_str(), flags, PRIVATE);
        let file = File::from(opened.map_err(|errno| self.failed("", &errno))?);
        let written = self.tar(&file).and_then(|()| file.sync_all());
        written.map_err(|error| {
            let _ = rustix::fs::unlinkat(&self.parent, self.name.as_str(), AtFlags::empty());
            self.failed("", &error)
        })
    }

    fn tar(&self, file: &File) -> std::io::Result<()> {
        let mut archive = tar::Builder::new(std::io::BufWriter::new(file));
        let top = self.name.strip_suffix(".tar").unwrap_or("evidence");
        for kept in &self.files {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let content =
                File::from(rustix::fs::openat(&self.top, kept.name.as_str(), flags, Mode::empty())?);
            let mut header = tar::Header::new_gnu();
            header.set_size(kept.bytes);
            header.set_mode(0o600);
            header.set_entry_type(tar::EntryType::Regular);
            let changed = content.metadata()?.modified()?.duration_since(std::time::UNIX_EPOCH);
            header.set_mtime(changed.map(|since| since.as_secs()).unwrap_or(0));
            archive.append_data(&mut header, format!("{top}/{}", kept.name), content)?;
        }
        archive.into_inner()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        Ok(())
    }

    fn failed(&self, name: &str, error: &dyn std::fmt::Display) -> Failure {
        let inside = if name.is_empty() { String::new() } else { format!(", {name}") };
        Failure::CannotCreate(format!("cannot write {}{inside}: {error}", shown(&self.output)))
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        if !self.whole {
            let _ = std::fs::remove_dir_all(above(&self.output).join(&self.temporary));
        }
    }
}

/// The directory that a path's last part is in.
fn above(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn entries(path: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn private_new_and_whole() {
        let place = tempfile::tempdir().unwrap();
        let output = place.path().join("out");
        let mut bundle = Bundle::create(&output).unwrap();
        bundle.add("live/7/maps", "/proc/7/maps", b"hello world", true).unwrap();
        assert!(!output.exists(), "it is there only when it is whole");
        let (files, bytes, _) = bundle.finish().unwrap();
        assert_eq!(entries(place.path()), ["out"]);
        assert_eq!((files, entries(&output)), (2, vec![SUMS.to_owned(), "live".to_owned()]));
        assert!(bytes > 11);
        // Known answer: sha256("hello world").
        let sums = std::fs::read_to_string(output.join(SUMS)).unwrap();
        let sum = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
        assert_eq!(sums, format!("{sum}  live/7/maps\n"));
        for (path, mode) in [("", 0o700), ("live", 0o700), ("live/7/maps", 0o600), (SUMS, 0o600)] {
            let found = std::fs::metadata(output.join(path)).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{path}");
        }
        assert!(Bundle::create(&output).is_err_and(|error| error.to_string().contains("there already")));
    }

    #[test]
    fn nothing_is_replaced_and_nothing_is_left() {
        let place = tempfile::tempdir().unwrap();
        for name in ["out", "out.tar"] {
            let output = place.path().join(name);
            drop(Bundle::create(&output).unwrap());
            assert!(entries(place.path()).is_empty(), "a bundle that was given up");
            let mut bundle = Bundle::create(&output).unwrap();
            bundle.add("a", "", b"x", false).unwrap();
            // Somebody was faster.
            std::fs::write(&output, "theirs").unwrap();
            assert!(bundle.finish().is_err(), "{name}");
            assert_eq!(std::fs::read(&output).unwrap(), b"theirs");
            assert_eq!(entries(place.path()), [name]);
            std::fs::remove_file(&output).unwrap();
            std::os::unix::fs::symlink("/nowhere", &output).unwrap();
            assert!(Bundle::create(&output).is_err(), "a link that leads nowhere");
            std::fs::remove_file(&output).unwrap();
        }
        for bad in ["x.tar.gz", "..", "x.zip"] {
            assert!(matches!(Bundle::create(&place.path().join(bad)), Err(Failure::Usage(_))), "{bad}");
        }
        std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(Bundle::create(&place.path().join("x")), Err(Failure::CannotCreate(_))));
    }

    #[test]
    fn archives() {
        let place = tempfile::tempdir().unwrap();
        let output = place.path().join("out.tar");
        let mut bundle = Bundle::create(&output).unwrap();
        bundle.add("live/7/maps", "", b"hello world", false).unwrap();
        bundle.finish().unwrap();
        assert_eq!(entries(place.path()), ["out.tar"]);
        assert_eq!(std::fs::metadata(&output).unwrap().permissions().mode() & 0o777, 0o600);
        let mut archive = tar::Archive::new(File::open(&output).unwrap());
        let names: Vec<String> = archive
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().to_str().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["out/live/7/maps", "out/SHA256SUMS"]);
    }

    #[test]
    fn room() {
        let place = tempfile::tempdir().unwrap();
        let mut bundle = Bundle::create(&place.path().join("out")).unwrap();
        bundle.bytes = BYTES_MAX - 3;
        let kept = bundle.add("a", "", b"hello", false).unwrap().clone();
        assert_eq!((kept.bytes, kept.truncated), (3, true));
    }
}
