//! Where a program file came from: with its image, added to a running container, mounted into it, or from memory.
//!
//! Owns: finding the file's mount among the process's own, and the file in an overlay's writable layer. Must not own:
//! judging what that means. Needs CAP_SYS_ADMIN to tell an added file from a changed one (`trusted.overlay.origin`).
//!
//! The writable layer is looked for at the path that the mount names, in the host's mount namespace. A file there counts
//! only if it is the very one that ran, by size, times, owner and mode. A process that mounts an overlay of its own
//! whose layers lie elsewhere is told nothing of, or, where a directory of that name exists here, can pass a file off as
//! the image's: `image` says that the writable layer, as the mount names it, has no such file.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, open, openat2};

use crate::host::mounts::Mount;
use crate::host::proc_dir::file_id;
use crate::model::look::{Exe, FileId};
use crate::model::text::{cut, lossy};

use super::Known;

/// The longest mount point, in bytes.
const POINT_MAX: usize = 512;

/// Where from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::enrich) struct Origin {
    /// `memfd`, `image`, `added`, `changed`, `mount`, `host`, `unknown`.
    pub(in crate::enrich) kind: &'static str,
    /// The file has no name any more.
    pub(in crate::enrich) deleted: bool,
    /// The filesystem's type and where it is mounted, in the process's own namespace.
    pub(in crate::enrich) place: Option<(String, String)>,
}

/// `root`: the process's root directory. `mount`: which the file was found through. `on_host`: the root is the host's, in
/// its mount namespace.
pub(super) fn of(exe: &Exe, root: &[u8], mount: Known<&Mount>, on_host: bool) -> Known<Origin> {
    let deleted = exe.deleted;
    if exe.is_memfd() {
        return Ok(Origin { kind: "memfd", deleted, place: None });
    }
    let Some(file) = exe.file else { return Err("the program could not be opened") };
    let mount = mount?;
    let text = |bytes: &[u8]| cut(&lossy(bytes).0, POINT_MAX).to_owned();
    let place = Some((text(&mount.kind), text(&mount.point)));
    let kind = match mount.upper() {
        Some(_) if deleted => "unknown",
        Some(upper) => layer(mount, upper, inner(&exe.path, root), &file)?,
        None if on_host => "host",
        // An overlay that cannot be written to has no layer but the image's.
        None if mount.is_overlay() => "image",
        None if mount.point == b"/" => "unknown",
        None => "mount",
    };
    Ok(Origin { kind, deleted, place })
}

/// A path as the process has it: what its root is below is left out.
fn inner<'a>(path: &'a [u8], root: &[u8]) -> &'a [u8] {
    let below = path.strip_prefix(root).filter(|rest| rest.starts_with(b"/"));
    below.unwrap_or(path)
}

/// Whether the writable layer has the file.
fn layer(mount: &Mount, upper: &[u8], path: &[u8], file: &FileId) -> Known<&'static str> {
    let point = mount.point.strip_suffix(b"/").unwrap_or(&mount.point);
    let below = path.strip_prefix(point).filter(|rest| rest.starts_with(b"/"));
    let below = below.ok_or("its path is not below its mount")?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let upper = open(upper, flags, Mode::empty()).map_err(|_| "the writable layer could not be opened")?;
    let inside = [mount.root.as_slice(), b"/", below].concat();
    let inside: Vec<&[u8]> = inside.split(|&b| b == b'/').filter(|part| !part.is_empty()).collect();
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let found = match openat2(&upper, inside.join(&b'/').as_slice(), flags, Mode::empty(), resolve) {
        Ok(found) => found,
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok("image"),
        Err(_) => return Err("the writable layer could not be searched"),
    };
    let there = file_id(&found).map_err(|_| "the writable layer could not be searched")?;
    let same = FileId { device: file.device, inode: file.inode, ..there };
    if same != *file || FileType::from_raw_mode(there.mode) != FileType::RegularFile {
        return Ok("unknown");
    }
    Ok(if copied_up(&found) { "changed" } else { "added" })
}

/// Whether the file began as a lower layer's (Linux `fs/overlayfs/overlayfs.h`, OVL_XATTR_ORIGIN).
fn copied_up(file: &OwnedFd) -> bool {
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    let mut space = [0u8; 256];
    [c"trusted.overlay.origin", c"user.overlay.origin"]
        .into_iter()
        .any(|name| rustix::fs::getxattr(path.as_str(), name, &mut space).is_ok())
}

/// The mount that a descriptor was opened through (proc_pid_fdinfo(5)).
pub(super) fn mount_id(handle: &OwnedFd) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", handle.as_raw_fd())).ok()?;
    text.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::samples;
    use crate::host::mounts::Mounts;

    fn own_mounts() -> Mounts {
        Mounts::parse(&std::fs::read("/proc/self/mountinfo").unwrap())
    }

    #[test]
    fn memory_host_and_others() {
        let mut exe = samples::exe_of(std::path::Path::new("/proc/self/exe"));
        let mount =
            mount_id(exe.handle.as_ref().unwrap()).and_then(|id| own_mounts().by_id(id).cloned()).unwrap();
        let found = of(&exe, b"/", Ok(&mount), true).unwrap();
        assert!(
            found.kind == "host" || found.place.as_ref().is_some_and(|(kind, _)| kind == "overlay"),
            "{found:?}"
        );
        assert_eq!(of(&exe, b"/", Err("gone"), true), Err("gone"));
        exe.path = b"/memfd:x".to_vec();
        exe.deleted = true;
        assert_eq!(
            of(&exe, b"/", Err("gone"), true).unwrap(),
            Origin { kind: "memfd", deleted: true, place: None }
        );
    }

    /// The writable layer as the mount names it, without a mount.
    #[test]
    fn layers() {
        let upper = tempfile::tempdir().unwrap();
        std::fs::create_dir(upper.path().join("bin")).unwrap();
        let path = upper.path().join("bin/tool");
        std::fs::write(&path, b"x").unwrap();
        let line = format!("7 1 0:9 / /over rw - overlay overlay rw,upperdir={}", upper.path().display());
        let mount = Mount::parse(line.as_bytes()).unwrap();
        let dir = upper.path().as_os_str().as_encoded_bytes();
        let file = samples::exe_of(&path).file.unwrap();
        assert_eq!(layer(&mount, dir, b"/over/bin/tool", &file), Ok("added"));
        assert_eq!(layer(&mount, dir, b"/over/bin/other", &file), Ok("image"));
        assert_eq!(layer(&mount, dir, b"/over/bin/tool", &FileId { size: 9, ..file }), Ok("unknown"));
        assert_eq!(layer(&mount, dir, b"/elsewhere", &file), Err("its path is not below its mount"));
        assert_eq!(
            layer(&mount, b"/no/such", b"/over/x", &file),
            Err("the writable layer could not be opened")
        );
        // A link in the layer, and a path that climbs, lead nowhere.
        std::os::unix::fs::symlink("/etc", upper.path().join("link")).unwrap();
        assert_eq!(
            layer(&mount, dir, b"/over/link/passwd", &file),
            Err("the writable layer could not be searched")
        );
        assert_eq!(
            layer(&mount, dir, b"/over/../../etc/passwd", &file),
            Err("the writable layer could not be searched")
        );
    }

    #[test]
    fn roots() {
        assert_eq!(inner(b"/srv/jail/bin/sh", b"/srv/jail"), b"/bin/sh");
        assert_eq!(inner(b"/srv/jailed/sh", b"/srv/jail"), b"/srv/jailed/sh");
        assert_eq!(inner(b"/bin/sh", b"/"), b"/bin/sh");
        assert_eq!(inner(b"/bin/sh", b""), b"/bin/sh");
    }
}
