//! What is wrong with something a user wrote.
//!
//! Owns: one problem, with its place, its consequence and its remedy. Must not own: finding problems (`config`,
//! `engine::policy`).

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// One problem in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The file; empty for the command line.
    pub file: PathBuf,
    /// Line, from 1; 0 where no line can be named.
    pub line: usize,
    /// Column in characters, from 1; 0 where no line can be named.
    pub column: usize,
    /// The key, with its tables (`spool.directory`); empty where it is not about one key.
    pub key: String,
    /// What is wrong.
    pub what: String,
    /// What happens because of it.
    pub consequence: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.as_os_str().is_empty() {
            write!(f, "{}:", self.file.display())?;
        }
        if self.line > 0 {
            write!(f, "{}:{}:", self.line, self.column)?;
        }
        if !self.file.as_os_str().is_empty() || self.line > 0 {
            f.write_str(" ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}; {}", self.what, self.consequence, self.remedy)
    }
}
