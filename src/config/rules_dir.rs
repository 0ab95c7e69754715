//! Reading the directory of allow rules.
//!
//! Owns: which files are rules, bounds on them, and what the rules need to know of the machine: the time and the
//! accounts. Must not own: compiling them (`engine::policy`).

use std::collections::HashMap;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{ConfigError, file};
use crate::engine::policy::Source;
use crate::model::problem::Problem;
use crate::sys::clock;

/// The most files.
const FILES_MAX: usize = 256;
/// The accounts of this machine (passwd(5)).
const ACCOUNTS: &str = "/etc/passwd";
/// The most bytes read of them.
const ACCOUNTS_MAX: u64 = 16 << 20;

/// All `*.toml` of the directory, in the order of their names; names that begin with a dot are an editor's, and
/// directories in it are not entered. A directory that is not there holds none.
///
/// # Errors
/// Every file that cannot be read or trusted, and a directory that cannot.
pub fn read_rules(directory: &Path) -> Result<Vec<Source>, Vec<Problem>> {
    let paths = rule_files(directory)?;
    let read_ns = clock::now().wall_ns;
    let users = Arc::new(users());
    let mut problems = Vec::new();
    let mut sources = Vec::new();
    for path in paths {
        match file::read(&path) {
            Ok(text) => sources.push(Source { file: path, text, read_ns, users: users.clone() }),
            Err(ConfigError::Problems(found)) => problems.extend(found),
            Err(ConfigError::Unreadable { source, .. }) => {
                problems.push(unreadable(&path, source.to_string()))
            }
        }
    }
    if problems.is_empty() { Ok(sources) } else { Err(problems) }
}

fn rule_files(directory: &Path) -> Result<Vec<PathBuf>, Vec<Problem>> {
    let failed = |error: std::io::Error| vec![unreadable(directory, error.to_string())];
    let found = match std::fs::metadata(directory) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    if let Some(problem) = file::untrusted(directory, &found) {
        return Err(vec![problem]);
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !hidden && entry.path().extension().is_some_and(|extension| extension == "toml") {
            paths.push(entry.path());
        }
    }
    if paths.len() > FILES_MAX {
        let what = format!("there are {} files of rules, and {FILES_MAX} are the most", paths.len());
        return Err(vec![Problem { remedy: "join some of them".into(), ..unreadable(directory, what) }]);
    }
    paths.sort();
    Ok(paths)
}

/// User ids by name. A file that cannot be read gives none: then rules that name users say so.
fn users() -> HashMap<String, u32> {
    let mut text = Vec::new();
    if let Ok(file) = std::fs::File::open(ACCOUNTS) {
        // What could be read until an error counts.
        let _ = file.take(ACCOUNTS_MAX).read_to_end(&mut text);
    }
    parse_users(&String::from_utf8_lossy(&text))
}

/// The first id of each name.
#[doc(hidden)]
pub fn parse_users(text: &str) -> HashMap<String, u32> {
    let mut users = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(Ok(id))) = (fields.next(), fields.nth(1).map(str::parse)) {
            // The first of a name is the one that getpwnam(3) finds.
            users.entry(name.to_owned()).or_insert(id);
        }
    }
    users
}

fn unreadable(file: &Path, what: String) -> Problem {
    Problem {
        file: file.to_owned(),
        line: 0,
        column: 0,
        key: String::new(),
        what,
        consequence: "no rule of any file is taken over, and those in force stay".into(),
        remedy: "make it readable, or remove it".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts() {
        let users = parse_users(
            "root:x:0:0:root:/root:/bin/sh\nbroken\nx:x:none\nweb:x:33:33::/:/bin/false\nweb:x:1:1",
        );
        assert_eq!(users.len(), 2);
        assert_eq!((users.get("root"), users.get("web")), (Some(&0), Some(&33)));
    }

    #[test]
    fn files_in_the_order_of_names_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        for name in ["20-b.toml", "10-a.toml", ".#10-a.toml", "README", "c.toml.bak"] {
            std::fs::write(path(name), name).unwrap();
        }
        std::fs::create_dir(path("examples")).unwrap();
        std::fs::write(path("examples/30-d.toml"), "").unwrap();
        let texts: Vec<String> =
            read_rules(directory.path()).unwrap().into_iter().map(|source| source.text).collect();
        assert_eq!(texts, ["10-a.toml", "20-b.toml"]);
        assert!(read_rules(&path("absent")).unwrap().is_empty());

        std::fs::create_dir(path("40-x.toml")).unwrap();
        std::fs::write(path("50-y.toml"), b"# \xff").unwrap();
        let problems = read_rules(directory.path()).unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].file.ends_with("40-x.toml") && problems[0].what.contains("no regular file"));
        assert!(problems[1].file.ends_with("50-y.toml") && problems[1].what.contains("not UTF-8"));
    }

    #[test]
    fn too_many_files() {
        let directory = tempfile::tempdir().unwrap();
        for number in 0..=FILES_MAX {
            std::fs::write(directory.path().join(format!("{number}.toml")), "").unwrap();
        }
        assert!(read_rules(directory.path()).unwrap_err()[0].what.contains("257 files"));
    }
}
