//! Naming what is wrong with a TOML text.
//!
//! Owns: the problems of one text with their places, bounded in number and time, and the nearest known word. Must not
//! own: what the text should say (`compile`, and `config` for its own file). Talks to: the TOML parser.

use std::collections::HashSet;
use std::ops::Range;
use std::path::Path;

use toml::de::{DeInteger, DeTable};

use crate::model::problem::Problem;
use crate::model::text;

/// The most problems named of one text; the number of the others is told.
pub const PROBLEMS_MAX: usize = 100;
/// The longest word that is compared with the known ones, in bytes.
const WORD_MAX: usize = 64;

/// The problems of one text.
#[derive(Debug)]
pub struct Report<'a> {
    file: &'a Path,
    text: &'a str,
    /// The first byte of each line.
    lines: Vec<usize>,
    consequence: &'static str,
    problems: Vec<Problem>,
    unlisted: usize,
    /// Lines whose syntax is wrong: what else is said of them would only repeat it.
    broken: HashSet<usize>,
}

impl<'a> Report<'a> {
    /// An empty report; `consequence` is what every problem in this text leads to.
    pub fn new(file: &'a Path, text: &'a str, consequence: &'static str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self {
            file,
            text,
            lines: std::iter::once(0).chain(starts).collect(),
            consequence,
            problems: Vec::new(),
            unlisted: 0,
            broken: HashSet::new(),
        }
    }

    /// The text as a table. Errors of syntax become problems, one a line; what can be read is read nevertheless.
    pub fn parse(&mut self) -> DeTable<'a> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            let line = self.line(span.start);
            if self.broken.contains(&line) {
                continue;
            }
            let duplicate = error.message().starts_with("duplicate");
            let key = if duplicate { self.text.get(span.clone()).unwrap_or_default() } else { "" };
            let remedy = if duplicate { "keep one of them" } else { "correct the TOML syntax" };
            self.push(span.start, key, text::escape(error.message().as_bytes()), remedy.into());
            self.broken.insert(line);
        }
        table.into_inner()
    }

    /// Whether the syntax is wrong somewhere, so that something missing may only be unreadable.
    pub fn is_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    /// One more problem, at the first byte of `span`. It is left out where only broken syntax speaks: on a line that is
    /// broken, and of a value that the parser made up to go on (it has no place).
    pub fn add(&mut self, span: Range<usize>, key: &str, what: impl Into<String>, remedy: impl Into<String>) {
        if self.broken.contains(&self.line(span.start)) || (span.is_empty() && self.is_broken()) {
            return;
        }
        self.push(span.start, key, what.into(), remedy.into());
    }

    fn push(&mut self, at: usize, key: &str, what: String, remedy: String) {
        if self.problems.len() >= PROBLEMS_MAX {
            self.unlisted += 1;
            return;
        }
        let problem = self.note(at, key, what, self.consequence.into(), remedy);
        self.problems.push(problem);
    }

    /// A problem at a byte of the text that is not counted as one of it: a warning.
    pub fn note(&self, at: usize, key: &str, what: String, consequence: String, remedy: String) -> Problem {
        let (line, column) = self.place(at);
        let key = text::escape(text::cut(key, WORD_MAX).as_bytes());
        Problem { file: self.file.to_owned(), line, column, key, what, consequence, remedy }
    }

    /// How many problems there are.
    pub fn count(&self) -> usize {
        self.problems.len() + self.unlisted
    }

    /// Line, and column in characters, both from 1, of a byte of the text.
    pub fn place(&self, at: usize) -> (usize, usize) {
        let line = self.line(at);
        let start = self.lines.get(line - 1).copied().unwrap_or(0);
        (line, self.text.get(start..at).unwrap_or_default().chars().count() + 1)
    }

    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at).max(1)
    }

    /// All problems, in the order of the text.
    pub fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| (problem.line, problem.column));
        if self.unlisted > 0 {
            self.problems.push(Problem {
                file: self.file.to_owned(),
                line: 0,
                column: 0,
                key: String::new(),
                what: format!("{} more problems are not listed", self.unlisted),
                consequence: self.consequence.into(),
                remedy: "correct those above first".into(),
            });
        }
        self.problems
    }
}

/// A text of the user's, short and safe, in quotes.
pub fn quoted(word: &str) -> String {
    let short = text::cut(word, WORD_MAX);
    let more = if short.len() < word.len() { "..." } else { "" };
    format!("\"{}{more}\"", text::escape(short.as_bytes()))
}

/// A whole number that is not negative, in whichever base it is written.
pub fn unsigned(number: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// The remedy for an unknown word: the known one that is nearest, if any is near.
pub fn nearest<'w>(word: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    let word = text::cut(word, WORD_MAX);
    let (distance, best) = known.map(|key| (strsim::damerau_levenshtein(key, word), key)).min()?;
    (distance <= 1 + word.len() / 3).then_some(best)
}
