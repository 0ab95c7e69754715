//! The processes of a finding as a tree.
//!
//! Owns: who stands below whom, by the record's ancestry and parents. Must not own: how it is written.

use serde_json::Value;

use crate::cli::chain::or;
use crate::model::finding::{Record, property};
use crate::model::text::shell_quote;

/// The deepest that lists are nested; what is deeper stands at the end of that.
const DEPTH_MAX: usize = 24;

/// A process.
#[derive(Debug)]
pub struct Node {
    /// Its id.
    pub pid: String,
    /// What it ran, in order.
    pub ran: Vec<String>,
    /// Whether it hangs on the tether, in place of being an ancestor only.
    pub tied: bool,
    /// Which nodes are below it.
    pub children: Vec<usize>,
    depth: usize,
}

/// All of them: roots, and the nodes that they are numbers of.
#[derive(Debug, Default)]
pub struct Tree {
    /// Who has nobody above.
    pub roots: Vec<usize>,
    /// Everybody.
    pub nodes: Vec<Node>,
}

impl Tree {
    /// Reads a record. A node is only ever put below one that is there, so there are no circles.
    pub fn new(record: &Record) -> Self {
        let mut tree = Self::default();
        let ancestry = record.finding.source_properties.get(property::PROCESS_ANCESTRY);
        let ancestors = ancestry.and_then(Value::as_array);
        let mut above = None;
        for entry in ancestors.into_iter().flatten().rev() {
            let text = |key: &str| match entry.get(key) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Array(words)) => {
                    words.iter().filter_map(Value::as_str).map(shell_quote).collect::<Vec<_>>().join(" ")
                }
                Some(value) => value.to_string(),
                None => String::new(),
            };
            let ran = or(&text("args"), or(&text("exe"), or(&text("comm"), "?"))).to_owned();
            above = Some(tree.add(text("pid"), ran, false, above));
        }
        for process in &record.finding.processes {
            let args: Vec<String> = process.args.iter().map(|arg| shell_quote(arg)).collect();
            let ran = or(&args.join(" "), or(&process.name, "(gone before it could be read)")).to_owned();
            if let Some(at) = tree.find(&process.pid)
                && let Some(node) = tree.nodes.get_mut(at)
            {
                if node.ran.last() != Some(&ran) {
                    node.ran.push(ran);
                }
                node.tied = true;
                continue;
            }
            let parent = tree.find(&process.parent_pid).or(above);
            tree.add(process.pid.clone(), ran, true, parent);
        }
        tree
    }

    fn find(&self, pid: &str) -> Option<usize> {
        self.nodes.iter().rposition(|node| node.pid == pid)
    }

    fn add(&mut self, pid: String, ran: String, tied: bool, above: Option<usize>) -> usize {
        let at = self.nodes.len();
        // Where it is too deep, beside its parent.
        let above = above.and_then(|above| {
            let node = self.nodes.get(above)?;
            if node.depth < DEPTH_MAX {
                return Some(above);
            }
            self.nodes.iter().position(|other| other.children.contains(&above))
        });
        let depth = above.and_then(|above| self.nodes.get(above)).map_or(0, |node| node.depth + 1);
        self.nodes.push(Node { pid, ran: vec![ran], tied, children: Vec::new(), depth });
        match above.and_then(|above| self.nodes.get_mut(above)) {
            Some(node) => node.children.push(at),
            None => self.roots.push(at),
        }
        at
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Moment;
    use crate::model::finding::{CATEGORY, Process};
    use crate::spool::record::observation;

    fn process(pid: usize, parent: usize) -> Process {
        Process { pid: pid.to_string(), parent_pid: parent.to_string(), ..Process::default() }
    }

    #[test]
    fn circles_and_depth() {
        let mut record = observation(CATEGORY, "x", Default::default(), Moment::default(), "boot");
        record.finding.processes = vec![process(2, 3), process(3, 2), process(2, 2)];
        let tree = Tree::new(&record);
        assert_eq!((tree.roots.len(), tree.nodes.len()), (1, 2));
        record.finding.processes = (1..400).map(|pid| process(pid, pid - 1)).collect();
        let tree = Tree::new(&record);
        assert!(tree.nodes.iter().all(|node| node.depth <= DEPTH_MAX));
        assert_eq!(tree.nodes.iter().map(|node| node.children.len()).sum::<usize>() + tree.roots.len(), 399);
    }
}
