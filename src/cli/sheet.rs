//! Text for a terminal of 80 columns.
//!
//! Owns: escaping what others chose, cutting it at the width or breaking it between words; ASCII where that is all there
//! is. Must not own: what is said.

use std::fmt::Write as _;

use crate::cli::columns::{columns, take};
use crate::cli::quote::visible;
use crate::model::text::escape;

/// Columns.
pub const WIDTH: usize = 80;

/// A text as it grows.
#[derive(Debug)]
pub struct Sheet {
    text: String,
    unicode: bool,
}

impl Sheet {
    /// An empty one.
    pub fn new(unicode: bool) -> Self {
        Self { text: String::new(), unicode }
    }

    /// Whether there may be more than ASCII.
    pub fn unicode(&self) -> bool {
        self.unicode
    }

    /// The text.
    pub fn end(self) -> String {
        self.text
    }

    /// A line that is ours, as it is.
    pub fn raw(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// One line, cut at the width.
    pub fn line(&mut self, text: &str) {
        let line = self.fit(text, WIDTH);
        self.raw(&line);
    }

    /// A paragraph that may be escaped already, broken between words, the first line behind `lead`.
    pub fn wrapped(&mut self, lead: &str, text: &str) {
        self.paragraph(lead, &" ".repeat(lead.len()), text);
    }

    /// The same with every line behind `lead`.
    pub fn remark(&mut self, lead: &str, text: &str) {
        self.paragraph(lead, lead, text);
    }

    /// `more` is as long as `lead`.
    fn paragraph(&mut self, lead: &str, more: &str, text: &str) {
        let mut current = lead.to_owned();
        let room = WIDTH - lead.len();
        for word in self.ascii(visible(text)).split(' ') {
            if columns(&current) > lead.len() && columns(&current) + 1 + columns(word) > WIDTH {
                self.raw(current.trim_end());
                current = more.to_owned();
            }
            if columns(&current) > lead.len() {
                current.push(' ');
            }
            // A word that has no end goes on in the next line.
            let mut rest = word;
            loop {
                let part = take(rest, room);
                current.push_str(part);
                rest = rest.get(part.len()..).unwrap_or_default();
                if rest.is_empty() || part.is_empty() {
                    break;
                }
                self.raw(&current);
                current = more.to_owned();
            }
        }
        self.raw(current.trim_end());
    }

    /// A text in at most so many columns.
    pub fn fit(&self, text: &str, width: usize) -> String {
        let text = self.ascii(escape(text.as_bytes()));
        if take(&text, width).len() == text.len() {
            return text;
        }
        format!("{}...", take(&text, width.saturating_sub(3)))
    }

    fn ascii(&self, text: String) -> String {
        if self.unicode || text.is_ascii() {
            return text;
        }
        let mut ascii = String::with_capacity(text.len() * 2);
        for c in text.chars() {
            if c.is_ascii() {
                ascii.push(c);
            } else {
                // Writing to a String cannot fail.
                let _ = write!(ascii, "\\u{{{:x}}}", u32::from(c));
            }
        }
        ascii
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs() {
        let mut sheet = Sheet::new(false);
        sheet.wrapped("  - ", &format!("one two\u{1b} {} é", "x".repeat(200)));
        let text = sheet.end();
        assert!(text.is_ascii() && text.lines().all(|line| line.len() <= WIDTH), "{text}");
        assert!(text.starts_with("  - one two\\x1b\n    xxx") && text.contains("\\u{e9}"), "{text}");
        let mut sheet = Sheet::new(true);
        sheet.remark("# ", &"word ".repeat(40));
        assert!(sheet.end().lines().all(|line| line.starts_with("# word")));
        assert_eq!(text.matches('x').count(), 201, "nothing is left out:\n{text}");
    }
}
