//! The program that a process has become since it was looked at.
//!
//! Owns: telling whether it is still the one that was looked at, and what is known of the other. Must not own: reading
//! what is known of the first.

use std::thread;
use std::time::Duration;

use crate::host::proc_dir::{ProcDir, file_id};
use crate::host::reader;
use crate::model::look::{ARGS_BYTES_MAX, ARGS_MAX, Args, Exe, Observation};

use super::{Environment, Inodes};

/// How often, and how long between, a process is asked again that was let go a moment ago.
const SETTLE: (u32, Duration) = (10, Duration::from_millis(2));

/// Another program than the one that the finding names, in the same process.
#[derive(Debug)]
pub(in crate::enrich) struct Later {
    /// Its path, as the kernel has it.
    pub(in crate::enrich) path: Vec<u8>,
    pub(in crate::enrich) args: Vec<Vec<u8>>,
    pub(in crate::enrich) environment: Option<Environment>,
    pub(in crate::enrich) label: Option<String>,
    /// Those that are not the host's.
    pub(in crate::enrich) namespaces: Inodes,
}

impl Later {
    pub(super) fn of(
        dir: &ProcDir,
        environment: Option<Environment>,
        label: Option<String>,
        namespaces: Inodes,
    ) -> Self {
        let args = arguments(dir).unwrap_or_default().list;
        Self { path: dir.link(c"exe").unwrap_or_default(), args, environment, label, namespaces }
    }
}

/// Whether the process still runs what it was looked at with: the same file, with the same arguments. (A process that
/// has written over its arguments is taken for another: what it has now is kept apart.)
pub(super) fn same_program(dir: &ProcDir, exe: &Exe, args: &Args, seen: Observation) -> bool {
    let now = dir.exe_handle().ok().and_then(|handle| file_id(&handle).ok());
    let file = match (now, exe.file) {
        (Some(now), Some(then)) => (now.device, now.inode) == (then.device, then.inode),
        _ => true,
    };
    file && arguments(dir).is_none_or(|now| same_arguments(&now, args, seen))
}

fn same_arguments(now: &Args, then: &Args, seen: Observation) -> bool {
    // Of a script that waits in execve the interpreter and its option are not among the arguments yet.
    let script = || seen == Observation::Held && now.list.ends_with(then.list.get(1..).unwrap_or_default());
    then.list.is_empty()
        || now.list.is_empty()
        || now.truncated
        || then.truncated
        || now.list == then.list
        || script()
}

/// The arguments as they are; `None` where they cannot be read.
fn arguments(dir: &ProcDir) -> Option<Args> {
    let (text, more) = dir.read(c"cmdline", ARGS_BYTES_MAX).ok()?;
    Some(reader::args(&text, more, ARGS_MAX))
}

/// Asks again, for a short time, until it is so.
pub(super) fn settle(mut is: impl FnMut() -> bool) {
    let (times, pause) = SETTLE;
    for _ in 0..times {
        if is() {
            return;
        }
        thread::sleep(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_of_one_program() {
        let args = |words: &[&str]| Args {
            list: words.iter().map(|word| word.as_bytes().to_vec()).collect(),
            truncated: false,
        };
        let launcher = args(&["nsenter", "-t", "7", "-m", "sh"]);
        let same = |now: &[&str], seen| same_arguments(&args(now), &launcher, seen);
        assert!(same(&["nsenter", "-t", "7", "-m", "sh"], Observation::Live));
        for seen in [Observation::Live, Observation::Held] {
            assert!(!same(&["sh"], seen), "{seen:?}");
            assert!(!same(&["nsenter", "-t", "8", "-m", "sh"], seen));
        }
        // A script, as its interpreter has it.
        let script = args(&["./x", "a"]);
        let now = args(&["/bin/sh", "-e", "./x", "a"]);
        assert!(same_arguments(&now, &script, Observation::Held));
        assert!(!same_arguments(&now, &script, Observation::Live));
    }
}
