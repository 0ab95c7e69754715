//! Reading the directory of allow rules.
//!
//! Owns: which files are rules, and bounds on them. Must not own: compiling them (`engine::policy`).

use std::path::{Path, PathBuf};

use crate::config::{ConfigError, file};
use crate::engine::policy::Source;
use crate::model::problem::Problem;

/// The most files.
const FILES_MAX: usize = 256;

/// All `*.toml` of the directory, in the order of their names. A directory that is not there holds none.
pub fn read_rules(directory: &Path) -> Result<Vec<Source>, Vec<Problem>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(vec![problem(directory, error.to_string())]),
    };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    if paths.len() > FILES_MAX {
        return Err(vec![problem(directory, format!("there are more than {FILES_MAX} files of rules"))]);
    }
    let mut problems = Vec::new();
    let mut sources = Vec::new();
    for path in paths {
        match file::read(&path) {
            Ok(text) => sources.push(Source { file: path, text }),
            Err(ConfigError::Problems(found)) => problems.extend(found),
            Err(ConfigError::Unreadable { source, .. }) => problems.push(problem(&path, source.to_string())),
        }
    }
    if problems.is_empty() { Ok(sources) } else { Err(problems) }
}

fn problem(file: &Path, what: String) -> Problem {
    Problem {
        file: file.to_owned(),
        line: 0,
        column: 0,
        key: String::new(),
        what,
        consequence: "the rules in force stay as they are".into(),
        remedy: "make it readable, or remove it".into(),
    }
}
