//! A look in the words of the finding's `Process` message.
//!
//! Owns: `processes[]` and what bounds one process's text. Must not own: which processes an incident has.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::model::finding::{File, FileOperation, Process};
use crate::model::look::Look;
use crate::model::text::{cut, lossy, shell_quote};

use super::digest::Digests;

/// The longest path that is written, in bytes (PATH_MAX).
pub(super) const PATH_MAX: usize = 4096;
/// The longest argument that is written, in bytes; a multiple of 3, so that base64 has no padding inside.
const ARG_MAX: usize = 1023;
/// The most bytes of arguments of the main process.
pub(super) const ARGS_SUBJECT: usize = 8 * 1024;
/// The most bytes of arguments of every other process.
pub(super) const ARGS_OTHER: usize = 512;
/// What an argument takes on the line beside its own bytes: two quotes and a comma.
const ARG_FRAME: usize = 3;

/// Arguments fit for a record.
#[derive(Debug, Default)]
pub(super) struct Arguments {
    /// As text.
    pub(super) list: Vec<String>,
    /// The same bytes in base64, where some of them are not UTF-8.
    pub(super) base64: Option<Vec<String>>,
    /// There was more.
    pub(super) truncated: bool,
}

/// The arguments of a process, at most `most` bytes of them.
pub(super) fn arguments(look: &Look, most: usize) -> Arguments {
    let mut shown = Arguments { truncated: look.args.truncated, ..Arguments::default() };
    let (mut left, mut encoded, mut replaced) = (most, Vec::new(), false);
    for arg in &look.args.list {
        let Some(room) = left.checked_sub(ARG_FRAME) else {
            shown.truncated = true;
            break;
        };
        let (text, bad) = lossy(arg);
        let kept = cut(&text, room.min(ARG_MAX));
        shown.truncated |= kept.len() < text.len();
        replaced |= bad;
        left = room - kept.len();
        shown.list.push(kept.to_owned());
        encoded.push(BASE64.encode(arg.get(..ARG_MAX).unwrap_or(arg)));
    }
    shown.base64 = replaced.then_some(encoded);
    shown
}

/// Arguments as one line that a shell would take, at most `most` bytes of it.
pub(super) fn command_line(args: &[Vec<u8>], most: usize) -> String {
    let mut line = String::new();
    for arg in args {
        if line.len() >= most {
            break;
        }
        if !line.is_empty() {
            line.push(' ');
        }
        // No more of a long argument than can be shown.
        line.push_str(&shell_quote(&lossy(arg.get(..most).unwrap_or(arg)).0));
    }
    line.truncate(cut(&line, most).len());
    line
}

/// Bytes as text of at most `most` bytes.
pub(super) fn bounded(bytes: &[u8], most: usize) -> String {
    cut(&lossy(bytes).0, most).to_owned()
}

/// One process.
pub(super) fn process(look: &Look, args_max: usize, digests: &Digests) -> Process {
    let args = arguments(look, args_max);
    Process {
        name: bounded(&look.comm, 64),
        binary: binary(look, digests),
        script: None,
        args: args.list,
        arguments_truncated: args.truncated,
        pid: look.key.pid.to_string(),
        parent_pid: look.parent.to_string(),
        user_id: look.credentials.uid.to_string(),
    }
}

/// A process of an earlier daemon's record, with the bounds of this one's; `None` where it is not one.
pub(super) fn restored(value: &serde_json::Value) -> Option<Process> {
    let mut process: Process = serde_json::from_value(value.clone()).ok()?;
    let number = |text: &str| text.parse::<i64>().is_ok();
    if ![&process.pid, &process.parent_pid, &process.user_id].into_iter().all(|text| number(text)) {
        return None;
    }
    let mut left = ARGS_OTHER;
    let before = process.args.len();
    process.args.retain_mut(|arg| {
        let Some(room) = left.checked_sub(ARG_FRAME) else { return false };
        let kept = cut(arg, room).len();
        process.arguments_truncated |= kept < arg.len();
        arg.truncate(kept);
        left = room - kept;
        true
    });
    process.arguments_truncated |= process.args.len() < before;
    Some(process)
}

fn binary(look: &Look, digests: &Digests) -> Option<File> {
    if look.exe.path.is_empty() {
        return None;
    }
    let size = look.exe.file.map(|file| file.size);
    let sum = digests.get(&look.exe).ok();
    Some(File {
        path: bounded(&look.exe.path, PATH_MAX),
        size: size.map(|size| size.to_string()),
        sha256: sum.map(|sum| sum.sha256.clone()),
        hashed_size: sum.map(|sum| sum.hashed.to_string()),
        partially_hashed: sum.is_some_and(|sum| size.is_some_and(|size| sum.hashed < size)),
        operations: vec![FileOperation { kind: "EXECUTE".into() }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enrich::samples;
    use crate::model::look::Observation;
    use proptest::prelude::*;

    #[test]
    fn bounds() {
        let mut look = samples::look(1, Observation::Live);
        look.args.list = vec![vec![b'a'; 5000], b"b".to_vec(), vec![0xff; 3]];
        let shown = arguments(&look, ARGS_SUBJECT);
        assert_eq!(shown.list, ["a".repeat(ARG_MAX), "b".into(), "\u{fffd}\u{fffd}\u{fffd}".into()]);
        assert!(shown.truncated);
        assert_eq!(shown.base64.unwrap()[1..], ["Yg==".to_owned(), "////".to_owned()]);
        look.args.list = vec![b"x".to_vec(); 256];
        let shown = arguments(&look, 40);
        assert_eq!((shown.list.len(), shown.truncated, shown.base64), (10, true, None));
    }

    #[test]
    fn lines() {
        let args: Vec<Vec<u8>> = vec![b"sh".to_vec(), b"-c".to_vec(), b"id; ls".to_vec()];
        assert_eq!(command_line(&args, 200), "sh -c 'id; ls'");
        assert_eq!(command_line(&args, 8), "sh -c 'i");
        assert_eq!(command_line(&[], 8), "");
    }

    #[test]
    fn restored_processes_are_checked() {
        let good = serde_json::json!({"name": "sh", "pid": "1", "parentPid": "2", "userId": "0", "args": ["a".repeat(9000)]});
        let process = restored(&good).unwrap();
        assert!(process.arguments_truncated && process.args[0].len() == ARGS_OTHER - ARG_FRAME);
        for (key, bad) in
            [("pid", serde_json::json!("x")), ("pid", serde_json::json!(1)), ("args", serde_json::json!("x"))]
        {
            let mut value = good.clone();
            value[key] = bad;
            assert!(restored(&value).is_none());
        }
    }

    proptest! {
        #[test]
        fn any_arguments(list in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..40), most in 0usize..600) {
            let mut look = samples::look(1, Observation::Live);
            look.args.list = list;
            let shown = arguments(&look, most);
            prop_assert!(shown.list.iter().map(|arg| arg.len() + ARG_FRAME).sum::<usize>() <= most);
            prop_assert!(shown.truncated || shown.list.len() == look.args.list.len());
            prop_assert!(command_line(&look.args.list, most).len() <= most);
        }
    }
}
