//! Allow rules: data that excuses what would be a finding.
//!
//! Owns: compiling rules, matching them, counting hits. Must not own: reading the directory (`config::rules_dir`).
//! Rules compile as a whole or not at all.

pub mod compile;
pub mod glob;
pub mod matcher;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::engine::policy::matcher::Matcher;
use crate::model::detection::Row;
use crate::model::ids::Inode;
use crate::model::look::Look;
use crate::model::problem::Problem;
use crate::model::socket::{Direction, Scope, Socket};
use crate::model::stdio::TetherKind;

/// The rules that tetherd ships.
const SHIPPED: &str = include_str!("../../../conf/rules.d/00-shipped.toml");
/// What the shipped rules are called in messages.
const SHIPPED_FILE: &str = "/usr/share/tetherd/rules.d/00-shipped.toml";

/// One file of rules.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where it was read.
    pub file: PathBuf,
    /// Its text.
    pub text: String,
}

/// What would be a finding.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The process.
    pub look: &'a Look,
    /// The row it meets.
    pub row: Row,
    /// Its socket.
    pub socket: &'a Socket,
    /// Who opened the connection.
    pub direction: Direction,
    /// Where the peer is.
    pub scope: Scope,
    /// Direct or relayed.
    pub kind: TetherKind,
    /// In the host's mount namespace, with the host's root directory.
    pub on_host: bool,
    /// The host's mount namespace.
    pub host_mount_namespace: Option<Inode>,
    /// The container, where one is known.
    pub container_id: Option<&'a str>,
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Why what it matches is excused.
    pub reason: String,
    /// Nanoseconds after 1970 from which on it matches nothing.
    pub expires_ns: Option<u64>,
    matcher: Matcher,
    hits: AtomicU64,
}

/// A compiled set.
#[derive(Debug, Default)]
pub struct RuleSet {
    rules: Vec<Rule>,
}

/// What compiling gives.
#[derive(Debug)]
pub struct Compiled {
    /// The rules.
    pub rules: RuleSet,
    /// What is not wrong but worth saying: rules that have expired.
    pub warnings: Vec<Problem>,
}

impl RuleSet {
    /// The shipped rules alone. They compile: a test holds that; if not, there are none.
    pub fn shipped() -> Self {
        Self::compile(&[]).map(|compiled| compiled.rules).unwrap_or_default()
    }

    /// Compiles the shipped rules and then these, in order. A later rule replaces an earlier one of its name.
    pub fn compile(sources: &[Source]) -> Result<Compiled, Vec<Problem>> {
        let shipped = Source { file: SHIPPED_FILE.into(), text: SHIPPED.to_owned() };
        let (rules, problems, warnings) = compile::compile(std::iter::once(&shipped).chain(sources));
        if problems.is_empty() { Ok(Compiled { rules: Self { rules }, warnings }) } else { Err(problems) }
    }

    /// The first rule that excuses this; the hit is counted.
    pub fn excuse(&self, candidate: &Candidate<'_>, now_wall_ns: u64) -> Option<&Rule> {
        let rule = self.rules.iter().find(|rule| {
            rule.expires_ns.is_none_or(|end| now_wall_ns < end) && rule.matcher.matches(candidate)
        })?;
        rule.hits.fetch_add(1, Ordering::Relaxed);
        Some(rule)
    }

    /// How often each rule has excused something.
    pub fn hits(&self) -> impl Iterator<Item = (&str, u64)> {
        self.rules.iter().map(|rule| (rule.name.as_str(), rule.hits.load(Ordering::Relaxed)))
    }

    /// How many rules there are.
    pub fn len(&self) -> usize {
        self.rules.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }
}
