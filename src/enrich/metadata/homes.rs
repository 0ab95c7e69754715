//! What rootless runtimes keep below a user's home.
//!
//! Owns: whose container a cgroup path says it is, that user's home, and the places in it. Must not own: reading them. The
//! user owns everything below the home and may write there what they like of their own containers; `reading` follows no
//! link and opens nothing but a regular file.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::enrich::container::ContainerIdentity;
use crate::model::ids::Uid;

/// dockerd's data, below a home (docker's `rootless.md`).
pub(super) const DOCKER: &str = ".local/share/docker";
/// containers/storage's data, below a home (containers-storage.conf(5), `rootless_storage_path`).
pub(super) const STORAGE: &str = ".local/share/containers/storage";

/// Where users are.
const PASSWD: &str = "/etc/passwd";
/// The most of it that is read, in bytes.
const PASSWD_MAX: u64 = 1 << 20;

/// The user below whose slice a container is (systemd's `user-UID.slice`); root's is no one's in this sense. Groups below
/// the container's own are whatever its payload called them.
pub(super) fn user_of(container: &ContainerIdentity) -> Option<Uid> {
    let slice = |part: &str| part.strip_prefix("user-")?.strip_suffix(".slice")?.parse().ok();
    let above = container.cgroup_path.split('/').take_while(|part| !part.contains(container.id.as_str()));
    above.into_iter().find_map(slice).filter(|uid| *uid != 0).map(Uid)
}

/// The home of a user of this machine. Other sources of users (NSS) are not asked: they would run a library's network
/// lookups as root.
pub(super) fn home_of(uid: Uid) -> Option<PathBuf> {
    let mut text = Vec::new();
    File::open(PASSWD).ok()?.take(PASSWD_MAX).read_to_end(&mut text).ok()?;
    home_in(&text, uid)
}

/// The home in the first line of a passwd file (passwd(5)) with this uid, if it is an absolute path and not the root.
fn home_in(passwd: &[u8], uid: Uid) -> Option<PathBuf> {
    let home = passwd.split(|&b| b == b'\n').find_map(|line| {
        let mut fields = line.split(|&b| b == b':').skip(2);
        let (number, _, _, home) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
        let number: u32 = std::str::from_utf8(number).ok()?.parse().ok()?;
        (number == uid.0).then(|| Path::new(OsStr::from_bytes(home)).to_owned())
    })?;
    (home.is_absolute() && home != Path::new("/")).then_some(home)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::container::identify;

    #[test]
    fn users() {
        let id = "0123456789abcdef".repeat(4);
        let of = |path: &str| {
            let cgroup = format!("0::{path}\n").replace("ID", &id);
            user_of(&identify(cgroup.as_bytes(), true).unwrap()).map(|uid| uid.0)
        };
        assert_eq!(
            of("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope"),
            Some(1000)
        );
        assert_eq!(of("/user.slice/user-0.slice/session-1.scope/libpod-ID"), None);
        assert_eq!(of("/machine.slice/libpod-ID.scope"), None);
        assert_eq!(of("/user-x.slice/user-.slice/user-99999999999.slice/xuser-7.slice/docker-ID"), None);
        // systemd in a container has slices of its users too.
        assert_eq!(of("/docker/ID/user.slice/user-1000.slice/session-1.scope"), None);
    }

    #[test]
    fn homes() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\nshort:x:5\nann:x:1000:1000:,,,:/home/ann:/bin/bash\nann2:x:1000:1::/b:\n\
            none:x:7:7:::\nslash:x:8:8::/:\nrel:x:9:9::etc:";
        let home = |uid| home_in(passwd, Uid(uid));
        assert_eq!(home(1000), Some(PathBuf::from("/home/ann")));
        for uid in [5, 7, 8, 9, 10] {
            assert_eq!(home(uid), None, "{uid}");
        }
        assert_eq!(home_of(Uid(0)), home_in(&std::fs::read(PASSWD).unwrap(), Uid(0)));
    }
}
