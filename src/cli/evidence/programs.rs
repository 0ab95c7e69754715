//! Copies of programs that the daemon made while they ran.
//!
//! Owns: taking those that the incident's records name from the spool's `evidence`, and checking that each is what its
//! name says. Must not own: making copies (`enrich::evidence`, `process`).

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::cli::evidence::NotKept;
use crate::cli::evidence::bundle::Bundle;
use crate::cli::evidence::records::Incident;
use crate::cli::failure::Failure;

/// Copies each digest's file, where there is one.
pub fn keep(
    bundle: &mut Bundle,
    spool: &Path,
    incident: &Incident,
    missing: &mut NotKept,
) -> Result<(), Failure> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = match rustix::fs::open(spool.join("evidence"), flags, Mode::empty()) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => {
            missing
                .add("copies of programs", "the spool has none ([enrich] evidence_copy is off by default)");
            return Ok(());
        }
        Err(errno) => {
            missing.add("copies of programs", format!("the spool's evidence directory: {errno}"));
            return Ok(());
        }
    };
    for sum in &incident.digests {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&directory, sum.as_str(), flags, Mode::empty()) {
            Ok(file) => file,
            Err(Errno::NOENT) => continue,
            Err(errno) => {
                missing.add(format!("the copy {sum}"), errno.to_string());
                continue;
            }
        };
        let status = rustix::fs::fstat(&file);
        if !status.is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::RegularFile) {
            missing.add(format!("the copy {sum}"), "it is no regular file");
            continue;
        }
        let kept = copy(bundle, &format!("programs/{sum}"), File::from(file))?;
        if kept != *sum {
            missing.add(
                format!("the copy {sum} as it was made"),
                format!("its content has another digest now, {kept}; it was kept as it is"),
            );
        }
    }
    Ok(())
}

/// Its digest.
fn copy(bundle: &mut Bundle, name: &str, mut file: File) -> Result<String, Failure> {
    let mut part = bundle.begin(name, "the spool's evidence directory")?;
    let mut piece = vec![0; 64 << 10];
    let mut whole = true;
    loop {
        match file.read(&mut piece) {
            Ok(0) => break,
            Ok(n) => {
                if !bundle.write(&mut part, piece.get(..n).unwrap_or_default())? {
                    break;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => {
                whole = false;
                break;
            }
        }
    }
    Ok(bundle.end(part, !whole)?.sha256.clone())
}
