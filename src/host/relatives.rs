//! Who is near a process.
//!
//! Owns: the order in which holders of a channel's far end are looked for: those that most likely have it first. Must
//! not own: looking into them.

use std::collections::HashSet;

use crate::host::reader::stat;
use crate::model::ids::Pid;

/// How far up.
const ANCESTORS_MAX: usize = 8;
/// How many ancestors' other children are asked for.
const FAMILIES_MAX: usize = 3;
/// How many threads of one process are asked for their children.
const THREADS_MAX: usize = 64;
/// How far up a descent is followed.
const LINE_MAX: usize = 32;
/// How many relatives at most.
const RELATIVES_MAX: usize = 256;

/// Ancestors, then brothers and sisters and their children, then those of the ancestors above. The process itself is
/// not among them.
pub fn relatives(of: Pid) -> Vec<Pid> {
    let mut found = Vec::new();
    let mut seen = HashSet::from([of]);
    let mut pid = of;
    let mut line = Vec::new();
    while line.len() < ANCESTORS_MAX {
        let Some(parent) = stat(pid).map(|stat| stat.parent).filter(|parent| parent.0 > 1) else { break };
        line.push(parent);
        if seen.insert(parent) {
            found.push(parent);
        }
        pid = parent;
    }
    // An orphan's brothers and sisters are all orphans: those are asked with everybody.
    for ancestor in line.into_iter().take(FAMILIES_MAX) {
        descend(ancestor, &mut seen, &mut found);
    }
    found
}

fn descend(from: Pid, seen: &mut HashSet<Pid>, found: &mut Vec<Pid>) {
    let mut next = vec![from];
    for _ in 0..2 {
        let mut below = Vec::new();
        for pid in next {
            for child in children(pid) {
                if found.len() >= RELATIVES_MAX {
                    return;
                }
                if seen.insert(child) {
                    found.push(child);
                    below.push(child);
                }
            }
        }
        next = below;
    }
}

/// The children of a process, whichever of its threads forked them (proc_pid_task(5), `children`).
pub fn children(pid: Pid) -> Vec<Pid> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let mut found = Vec::new();
    for thread in threads.flatten().take(THREADS_MAX) {
        let Ok(text) = std::fs::read_to_string(thread.path().join("children")) else { continue };
        found.extend(text.split_ascii_whitespace().filter_map(|id| id.parse::<Pid>().ok()));
        if found.len() >= RELATIVES_MAX {
            break;
        }
    }
    found.truncate(RELATIVES_MAX);
    found
}

/// Whether `pid` descends from `from`.
pub fn descends(pid: Pid, from: Pid) -> bool {
    let mut at = pid;
    for _ in 0..LINE_MAX {
        let Some(parent) = stat(at).map(|stat| stat.parent).filter(|parent| parent.0 > 1) else {
            return false;
        };
        if parent == from {
            return true;
        }
        at = parent;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_comes_first() {
        let mut child = std::process::Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let near = relatives(Pid(child.id()));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(near.first(), Some(&Pid(std::process::id())));
        assert!(!near.contains(&Pid(child.id())));
    }
}
