//! `/proc/PID/stat`, `status`, `cmdline`, `loginuid` (`host::stat`, `host::reader`).
//!
//! Holds: a process's name, whatever it is, cannot change any other field; arguments are bounded, and are the text.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherd::host::reader::args;
use tetherd::host::stat::{Stat, Status, parse_login};
use tetherd::model::ids::{Gid, Pid, StartTime, Uid};
use tetherd::model::look::ARGS_MAX;

const REST: &[u8] = b" S 41 42 43 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 987654 11 22\n";

fuzz_target!(|bytes: &[u8]| {
    if let Some(stat) = Stat::parse(bytes) {
        assert!(stat.comm.len() + 2 <= bytes.len());
    }
    let stat = [b"77 (", bytes, b")", REST].concat();
    let read = Stat::parse(&stat).expect("a whole text is read");
    assert_eq!((read.comm.as_slice(), read.state), (bytes, b'S'));
    assert_eq!((read.parent, read.pgrp, read.session), (Pid(41), Pid(42), Pid(43)));
    assert_eq!(read.start, StartTime(987_654));

    let _ = Status::parse(bytes);
    // The kernel escapes newlines and backslashes in the name.
    let name: Vec<u8> = bytes.iter().copied().filter(|&b| b != b'\n').collect();
    let status =
        [b"Name:\t", &name[..], b"\nPPid:\t5\nUid:\t1\t2\t3\t4\nGid:\t6\t7\t8\t9\nNSpid:\t77\t3\n"].concat();
    let read = Status::parse(&status);
    assert_eq!((read.parent, read.inner_pid), (Pid(5), Some(Pid(3))));
    assert_eq!((read.credentials.uid, read.credentials.euid), (Uid(1), Uid(2)));
    assert_eq!((read.credentials.gid, read.credentials.egid), (Gid(6), Gid(7)));

    let login = std::str::from_utf8(bytes.trim_ascii()).ok().filter(|t| !t.starts_with('+'));
    let login = login.filter(|text| text.len() <= 20).and_then(|text| text.parse::<u32>().ok());
    assert_eq!(parse_login(bytes), login.filter(|&uid| uid != u32::MAX).map(Uid));

    for most in [1, 3, ARGS_MAX] {
        let read = args(bytes, false, most);
        assert!(read.list.len() <= most);
        let joined = read.list.join(&0);
        let whole = bytes.strip_suffix(b"\0").unwrap_or(bytes);
        assert!(whole.starts_with(&joined));
        assert_eq!(read.truncated, joined.len() < whole.len());
        assert!(args(bytes, true, most).truncated);
    }
});
