//! Log filters for the cloud's console, and the commands that read by them.
//!
//! Owns: which cloud they are for: the one that the machine's metadata or the resource's name says, all where neither does.
//! Must not own: a cloud's query language (`google`, `amazon`, `azure`).

mod amazon;
mod azure;
mod google;

use crate::cli::command::{Command, Word};
use crate::cli::facts::{Cloud, Facts};

/// A filter of a cloud's log.
#[derive(Debug)]
pub struct LogFilter {
    /// Which log, in which console.
    pub about: &'static str,
    /// To be pasted into it.
    pub filter: String,
    /// Names of the placeholders in it.
    pub asked: Vec<&'static str>,
    /// The same on a command line.
    pub command: Command,
}

/// A cloud's filters.
#[derive(Debug)]
pub struct Console {
    /// What it is called.
    pub name: &'static str,
    /// One for each log.
    pub filters: Vec<LogFilter>,
}

/// The filters: for a pod those of its cluster, for a machine of a cloud the machine's.
pub fn consoles(facts: &Facts<'_>) -> Vec<Console> {
    let all = [
        (Cloud::Google, google::CONSOLE, google::filters as fn(&Facts<'_>) -> Vec<LogFilter>),
        (Cloud::Amazon, amazon::CONSOLE, amazon::filters),
        (Cloud::Azure, azure::CONSOLE, azure::filters),
    ];
    all.into_iter()
        .filter(|(cloud, ..)| facts.cloud.is_none_or(|known| known == *cloud))
        .map(|(_, name, filters)| Console { name, filters: filters(facts) })
        .collect()
}

/// The commands that read by them, where it is known which cloud it is.
pub fn reads(facts: &Facts<'_>, consoles: &[Console]) -> Vec<Command> {
    let known = consoles.iter().filter(|_| facts.cloud.is_some());
    let mut commands: Vec<Command> =
        known.flat_map(|console| console.filters.iter().map(|filter| filter.command.clone())).collect();
    if facts.cloud == Some(Cloud::Amazon) {
        commands.extend(amazon::trail(facts));
    }
    commands
}

/// The text of a query as it grows, and the placeholders in it.
#[derive(Debug, Default)]
struct Query {
    text: String,
    asked: Vec<&'static str>,
}

impl Query {
    /// A fixed text of ours.
    fn then(mut self, fixed: &str) -> Self {
        self.text.push_str(fixed);
        self
    }

    /// Values, as the language has its strings. `form` makes one text of them, `quote` a string of that.
    fn value(
        mut self,
        words: &[&Word],
        form: impl Fn(&[String]) -> String,
        quote: fn(&str) -> String,
    ) -> Self {
        let texts: Vec<String> = words.iter().map(|word| word.plain()).collect();
        self.text.push_str(&quote(&form(&texts)));
        self.asked.extend(words.iter().filter_map(|word| word.asked()));
        self
    }

    /// One value.
    fn one(self, word: &Word, quote: fn(&str) -> String) -> Self {
        self.value(&[word], |texts| texts.concat(), quote)
    }
}

/// What the names of a namespace's service accounts begin with; the word is the namespace.
fn accounts(namespace: &[String]) -> String {
    format!("system:serviceaccount:{}:", namespace.concat())
}
