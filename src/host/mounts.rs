//! Which filesystems are mounted, and which of them can hold programs that may be held.
//!
//! Owns: reading mountinfo (proc_pid_mountinfo(5)) and the lists of filesystem types. Must not own: marking them.
//! Holding an exec means that the kernel opens the program's file for us as well, so it is only safe where an open is
//! answered by this kernel from a local disk or from memory. A type that is not on the list of those is left alone: a
//! program on a network filesystem, or one that a process of some user serves (FUSE), is seen by the proc connector.

use std::collections::HashSet;

/// Local filesystems on which programs are found.
const LOCAL: &[&str] = &[
    "bcachefs", "btrfs", "cramfs", "devtmpfs", "erofs", "exfat", "ext2", "ext3", "ext4", "f2fs", "hfs",
    "hfsplus", "iso9660", "jffs2", "jfs", "minix", "nilfs2", "ntfs3", "overlay", "ramfs", "reiserfs",
    "romfs", "rootfs", "squashfs", "tmpfs", "ubifs", "udf", "ufs", "vfat", "xfs", "zfs",
];

/// Filesystems of the kernel's own, from which nothing is executed.
const NO_PROGRAMS: &[&str] = &[
    "anon_inodefs",
    "autofs",
    "bdev",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "cpuset",
    "debugfs",
    "devpts",
    "dmabuf",
    "efivarfs",
    "functionfs",
    "fusectl",
    "hugetlbfs",
    "mqueue",
    "nfsd",
    "nsfs",
    "pidfs",
    "pipefs",
    "proc",
    "pstore",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sockfs",
    "sysfs",
    "tracefs",
];

/// What may be done with a filesystem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holding {
    /// Its programs may be held.
    Fit,
    /// No programs, nothing to hold.
    Empty,
    /// It may have programs, but an open might wait for somebody else.
    Unfit,
}

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its number.
    pub id: u64,
    /// The filesystem: major and minor number of its device.
    pub device: (u32, u32),
    /// Which directory of the filesystem is mounted.
    pub root: Vec<u8>,
    /// Where it is mounted.
    pub point: Vec<u8>,
    /// Nothing is executed through this mount.
    pub noexec: bool,
    /// The filesystem's type, without a subtype.
    pub kind: Vec<u8>,
    /// The filesystem's options: for overlay, its layers.
    pub options: Vec<u8>,
}

impl Mount {
    /// Reads one line; `None` where it is not what it should be.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let mut fields = line.split(|&b| b == b' ');
        let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse::<u64>().ok();
        let id = number(fields.next()?)?;
        let _parent = fields.next()?;
        let device = fields.next()?;
        let colon = device.iter().position(|&b| b == b':')?;
        let major = u32::try_from(number(device.get(..colon)?)?).ok()?;
        let minor = u32::try_from(number(device.get(colon + 1..)?)?).ok()?;
        let root = unescape(fields.next()?);
        let point = unescape(fields.next()?);
        let noexec = fields.next()?.split(|&b| b == b',').any(|option| option == b"noexec");
        // Optional fields end with a hyphen.
        fields.by_ref().find(|field| *field == b"-")?;
        let kind = fields.next()?;
        let kind = kind.split(|&b| b == b'.').next().unwrap_or(kind).to_vec();
        let _source = fields.next();
        let options = fields.next().map(unescape).unwrap_or_default();
        Some(Self { id, device: (major, minor), root, point, noexec, kind, options })
    }

    /// An overlay's writable layer, if it has one that is written as an absolute path.
    pub fn upper(&self) -> Option<&[u8]> {
        let options = self.is_overlay().then(|| self.options.split(|&b| b == b','))?;
        options.filter_map(|option| option.strip_prefix(b"upperdir=")).find(|path| path.starts_with(b"/"))
    }

    /// Whether it is an overlay.
    pub fn is_overlay(&self) -> bool {
        self.kind == b"overlay"
    }

    /// An overlay's layers, as far as they are written as absolute paths.
    fn layers(&self) -> impl Iterator<Item = &[u8]> {
        let options = self.options.split(|&b| b == b',');
        options
            .filter_map(|option| {
                let at = option.iter().position(|&b| b == b'=')?;
                let (name, value) = option.split_at(at);
                matches!(name, b"lowerdir" | b"lowerdir+" | b"upperdir" | b"datadir+").then(|| &value[1..])
            })
            .flat_map(|paths| paths.split(|&b| b == b':'))
            .filter(|path| path.starts_with(b"/"))
    }
}

/// All mounts of one mount namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mounts {
    list: Vec<Mount>,
}

impl Mounts {
    /// Reads the text; lines that cannot be read are left out.
    pub fn parse(text: &[u8]) -> Self {
        Self { list: text.split(|&b| b == b'\n').filter_map(Mount::parse).collect() }
    }

    /// The mount with this number.
    pub fn by_id(&self, id: u64) -> Option<&Mount> {
        self.list.iter().find(|mount| mount.id == id)
    }

    /// Only the mount with this number, of the text: nothing is kept of the others.
    pub fn only(text: &[u8], id: u64) -> Option<Mount> {
        let start = [id.to_string().as_bytes(), b" "].concat();
        text.split(|&b| b == b'\n').find(|line| line.starts_with(&start)).and_then(Mount::parse)
    }

    /// Whether programs on this mount's filesystem may be held. An overlay is as fit as its layers.
    pub fn holding(&self, mount: &Mount) -> Holding {
        let listed = |list: &[&str]| list.iter().any(|kind| kind.as_bytes() == mount.kind);
        if listed(NO_PROGRAMS) {
            return Holding::Empty;
        }
        let unfit_layer = |path: &[u8]| self.at(path).is_some_and(|below| !below.is_fit_layer());
        if !listed(LOCAL) || (mount.is_overlay() && mount.layers().any(unfit_layer)) {
            return Holding::Unfit;
        }
        Holding::Fit
    }

    /// The mount that a path leads to, by its text.
    pub(super) fn at(&self, path: &[u8]) -> Option<&Mount> {
        let below = |point: &[u8]| {
            path.strip_prefix(point)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/") || point.ends_with(b"/"))
        };
        // Of two mounts at one point the later one is on top.
        self.list.iter().filter(|mount| below(&mount.point)).max_by_key(|mount| mount.point.len())
    }

    /// One mount for each filesystem that may be held and from which something can be executed here, and how many
    /// filesystems with programs may not be held.
    pub fn fit(&self) -> (Vec<&Mount>, usize) {
        let (mut seen, mut unfit) = (HashSet::new(), HashSet::new());
        let mut fit = Vec::new();
        for mount in self.list.iter().filter(|mount| !mount.noexec) {
            match self.holding(mount) {
                Holding::Fit => {
                    seen.insert(mount.device);
                    fit.push(mount);
                }
                Holding::Unfit => {
                    unfit.insert(mount.device);
                }
                Holding::Empty => {}
            }
        }
        (fit, unfit.difference(&seen).count())
    }
}

impl Mount {
    fn is_fit_layer(&self) -> bool {
        LOCAL.iter().any(|kind| kind.as_bytes() == self.kind)
    }
}

/// Spaces, tabs, newlines and backslashes are written as three octal digits.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).filter(|d| first == b'\\' && d.iter().all(|b| (b'0'..=b'7').contains(b)));
        let value = digits.map(|d| d.iter().fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0')));
        if let Some(byte) = value.and_then(|value| u8::try_from(value).ok()) {
            out.push(byte);
            rest = after.get(3..).unwrap_or_default();
        } else {
            out.push(first);
            rest = after;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &[u8] = b"27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
        22 27 0:21 / /proc rw,relatime - proc proc rw\n\
        40 27 0:50 / /mnt/nfs rw - nfs4 server:/x rw,addr=192.0.2.1\n\
        41 27 0:51 / /run/my\\040disk rw,noexec master:2 shared:9 - tmpfs tmpfs rw,size=1k\n\
        42 27 0:52 / /over rw - overlay overlay rw,lowerdir=/var/a:/var/b,upperdir=/var/up,workdir=/var/w\n\
        43 27 0:53 / /bad rw - overlay overlay rw,lowerdir=/var/a:/mnt/nfs/image,upperdir=/var/up\n\
        44 27 0:54 / /docker rw - overlay overlay rw,lowerdir=l/AB:l/CD,upperdir=XY/diff\n\
        45 27 0:55 / /ssh rw - fuse.sshfs host:/ rw\n\
        46 27 254:0 /srv /srv rw - ext4 /dev/vda rw\n\
        nonsense\n";

    #[test]
    fn what_may_be_held() {
        let mounts = Mounts::parse(TEXT);
        assert_eq!(mounts.list.len(), 9);
        let (fit, unfit) = mounts.fit();
        let points: Vec<&str> = fit.iter().map(|m| std::str::from_utf8(&m.point).unwrap()).collect();
        assert_eq!(points, ["/", "/over", "/docker", "/srv"]);
        assert_eq!(unfit, 3, "nfs4, fuse, and an overlay with a layer on nfs4");
        assert_eq!(mounts.list[3].point, b"/run/my disk");
        let upper = |id| mounts.by_id(id).and_then(Mount::upper);
        assert_eq!((upper(42), upper(27), upper(44), upper(99)), (Some(&b"/var/up"[..]), None, None, None));
        assert_eq!(mounts.by_id(46).unwrap().root, b"/srv");
        for id in [27, 2, 46, 4] {
            assert_eq!(Mounts::only(TEXT, id).as_ref(), mounts.by_id(id));
        }
        assert_eq!(mounts.at(b"/mnt/nfs/image").unwrap().kind, b"nfs4");
        assert_eq!(mounts.at(b"/mnt/nfsx").unwrap().kind, b"ext4");
    }

    #[test]
    fn escapes() {
        assert_eq!(unescape(b"a\\040b\\134c\\"), b"a b\\c\\");
        assert_eq!(unescape(b"\\777\\09"), b"\\777\\09");
    }

    /// What the kernel says of this machine can be read whole.
    #[test]
    fn this_machine() {
        let text = std::fs::read("/proc/self/mountinfo").unwrap();
        let mounts = Mounts::parse(&text);
        assert_eq!(mounts.list.len(), text.split(|&b| b == b'\n').filter(|line| !line.is_empty()).count());
        assert!(!mounts.fit().0.is_empty());
    }

    fn escape(text: &[u8]) -> Vec<u8> {
        text.iter()
            .flat_map(|&b| match b {
                b' ' | b'\t' | b'\n' | b'\\' => format!("\\{b:03o}").into_bytes(),
                _ => vec![b],
            })
            .collect()
    }

    proptest! {
        #[test]
        fn any_text_is_safe(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mounts = Mounts::parse(&text);
            let _ = mounts.fit();
        }

        #[test]
        fn a_written_line_is_read(
            id in any::<u32>(),
            device in any::<(u32, u32)>(),
            point in proptest::collection::vec(1u8.., 1..40),
            noexec in any::<bool>(),
            tags in 0usize..3,
        ) {
            let mut line = format!("{id} 1 {}:{} / ", device.0, device.1).into_bytes();
            line.extend(escape(&point));
            line.extend(if noexec { &b" rw,noexec"[..] } else { b" rw" });
            line.extend(b" shared:1".repeat(tags));
            line.extend(b" - fuse.x source rw,a");
            let read = Mount::parse(&line).unwrap();
            prop_assert_eq!((read.id, read.device, read.noexec), (u64::from(id), device, noexec));
            prop_assert_eq!((read.point, read.kind), (point, b"fuse".to_vec()));
        }
    }
}
