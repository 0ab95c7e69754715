//! One command line of a response plan.
//!
//! Owns: putting words together: fixed ones, known ones (quoted), and placeholders for what the record does not say.
//! Must not own: which commands there are (`respond`). Nothing here is ever run.

use crate::cli::quote::quote;

/// A value for a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// What the record says.
    Known(String),
    /// The record does not say it, or it cannot be a word: the person puts it in.
    Asked(&'static str),
}

impl Word {
    /// What is known; a placeholder where it is missing, where a tool would take it for an option, or where no shell takes
    /// it on one line.
    pub fn of(text: Option<&str>, placeholder: &'static str) -> Self {
        match text {
            Some(text) if !text.is_empty() && !text.starts_with('-') && quote(text).is_some() => {
                Self::Known(text.to_owned())
            }
            _ => Self::Asked(placeholder),
        }
    }

    /// The text, if it is known.
    pub fn known(&self) -> Option<&str> {
        match self {
            Self::Known(text) => Some(text),
            Self::Asked(_) => None,
        }
    }

    /// The placeholder's name, where it is not known.
    pub fn asked(&self) -> Option<&'static str> {
        match self {
            Self::Known(_) => None,
            Self::Asked(name) => Some(name),
        }
    }

    /// For a remark: what needs no quotes in any shell. zsh takes a pasted remark for a command if it is not told better,
    /// so nothing else may stand there.
    pub fn remark(&self) -> String {
        match self {
            Self::Known(text) if quote(text).as_ref() == Some(text) => text.clone(),
            Self::Known(_) => "(a name that needs quotes)".into(),
            Self::Asked(_) => "(not known)".into(),
        }
    }

    /// The text, or the placeholder as `<NAME>`.
    pub fn plain(&self) -> String {
        match self {
            Self::Known(text) => text.clone(),
            Self::Asked(name) => format!("<{name}>"),
        }
    }
}

/// Where a command is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the machine that the finding is from.
    Node,
    /// Wherever the cluster's or the cloud's client is set up.
    Client,
}

impl Place {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Client => "client",
        }
    }
}

/// A command line, with what it is for.
#[derive(Clone, Debug)]
pub struct Command {
    /// What it does, in a few words.
    pub about: &'static str,
    /// Where it is to be run.
    pub place: Place,
    /// Whether it changes something.
    pub changes: bool,
    /// The line, ready to paste.
    pub line: String,
    /// Names of the placeholders in it.
    pub asked: Vec<&'static str>,
}

impl Command {
    /// A command on the node that only looks.
    pub fn node(about: &'static str, start: &str) -> Self {
        Self { about, place: Place::Node, changes: false, line: start.to_owned(), asked: Vec::new() }
    }

    /// A command for a client of the cluster or the cloud that only looks.
    pub fn client(about: &'static str, start: &str) -> Self {
        Self { place: Place::Client, ..Self::node(about, start) }
    }

    /// It changes something.
    pub fn changing(self) -> Self {
        Self { changes: true, ..self }
    }

    /// A fixed text of ours, behind a space.
    pub fn then(mut self, fixed: &'static str) -> Self {
        self.line.push(' ');
        self.line.push_str(fixed);
        self
    }

    /// A value as a word of its own.
    pub fn word(mut self, word: &Word) -> Self {
        self.line.push(' ');
        self.push("", word, "")
    }

    /// A value between fixed texts, all one word: `--project=VALUE`, `/proc/VALUE/exe`.
    pub fn within(mut self, before: &str, word: &Word, after: &str) -> Self {
        self.line.push(' ');
        self.push(before, word, after)
    }

    /// A text made of more than one value, as one word; `asked` names the placeholders in it.
    pub fn text(mut self, text: &str, asked: &[&'static str]) -> Self {
        self.asked.extend(asked);
        self.line.push(' ');
        // A text of ours holds nothing that has no quotes: the values in it were looked at (`Word::of`).
        self.line.push_str(&quote(text).unwrap_or_else(|| "''".into()));
        self
    }

    fn push(mut self, before: &str, word: &Word, after: &str) -> Self {
        self.asked.extend(word.asked());
        let value = format!("{before}{}{after}", word.plain());
        match quote(&value) {
            // The option stays readable where only its value needs quotes.
            Some(quoted) if quoted == value => self.line.push_str(&value),
            _ if before.starts_with('-') && after.is_empty() => {
                self.line.push_str(before);
                self.line.push_str(&quote(&word.plain()).unwrap_or_else(|| "''".into()));
            }
            quoted => self.line.push_str(&quoted.unwrap_or_else(|| "''".into())),
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let line = |word: &Word| {
            Command::client("x", "gcloud x").within("--project=", word, "").then("--format=json").line
        };
        assert_eq!(line(&Word::of(Some("shop"), "PROJECT")), "gcloud x --project=shop --format=json");
        assert_eq!(line(&Word::of(Some("a;b"), "PROJECT")), "gcloud x --project='a;b' --format=json");
        for asked in [None, Some(""), Some("-rf"), Some("a\0b"), Some("a\n")] {
            let word = Word::of(asked, "PROJECT");
            assert_eq!(line(&word), "gcloud x --project='<PROJECT>' --format=json");
            assert_eq!(Command::client("x", "y").word(&word).asked, ["PROJECT"]);
        }
        let pid = Word::of(None, "PID");
        assert_eq!(Command::node("x", "ls -l").within("/proc/", &pid, "/fd").line, "ls -l '/proc/<PID>/fd'");
    }
}
