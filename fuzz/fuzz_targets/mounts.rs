//! `/proc/PID/mountinfo` (`host::mounts`).
//!
//! Holds: a mount's directories, source and options, whatever they are, change no other field when the kernel has escaped
//! them (Linux `fs/proc_namespace.c` `show_mountinfo`); every mount that may be held is one of the list.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherd::host::mounts::{Mount, Mounts};

/// As `mangle` has it: what would end a field is three octal digits behind a backslash.
fn escaped(bytes: &[u8]) -> Vec<u8> {
    let one = |&byte: &u8| match byte {
        b' ' | b'\t' | b'\n' | b'\\' | b'#' => format!("\\{byte:03o}").into_bytes(),
        _ => vec![byte],
    };
    bytes.iter().flat_map(one).collect()
}

fuzz_target!(|bytes: &[u8]| {
    let all = Mounts::parse(bytes);
    let (fit, _unfit) = all.fit();
    for mount in fit {
        assert!(!mount.noexec && all.by_id(mount.id).is_some());
        let _ = mount.upper();
    }
    for id in [0, 21, u64::MAX] {
        assert!(Mounts::only(bytes, id).is_none_or(|mount| mount.id == id));
    }

    let mut parts = bytes.splitn(4, |&b| b == 0);
    let [root, point, source, options] = [(); 4].map(|()| parts.next().unwrap_or_default());
    let line = [
        b"36 35 98:0 ".as_slice(),
        &escaped(root),
        b" ",
        &escaped(point),
        b" rw,noexec master:1 - ext4.sub ",
        &escaped(source),
        b" ",
        &escaped(options),
    ]
    .concat();
    let mount = Mount::parse(&line).expect("a whole line is read");
    assert_eq!(
        (mount.id, mount.device, mount.noexec, mount.kind.as_slice()),
        (36, (98, 0), true, &b"ext4"[..])
    );
    assert_eq!(
        (mount.root.as_slice(), mount.point.as_slice(), mount.options.as_slice()),
        (root, point, options)
    );
});
