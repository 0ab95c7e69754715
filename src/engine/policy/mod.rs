//! Allow rules: data that excuses what would be a finding.
//!
//! Owns: compiling rules, matching them, counting hits. Must not own: reading the directory (`config::rules_dir`), the
//! clock and the accounts: a source brings what its reader knew. Rules compile as a whole or not at all.

pub mod compile;
pub mod glob;
pub mod matcher;
pub mod report;
pub mod values;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use crate::engine::policy::matcher::is_installed;
use crate::engine::policy::matcher::{Fit, Matcher};
use crate::model::contained::Contained;
use crate::model::detection::Row;
use crate::model::ids::Inode;
use crate::model::look::Look;
use crate::model::problem::Problem;
use crate::model::relay::Relay;
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
    /// When, in nanoseconds after 1970: rules that had expired by then are warned of.
    pub read_ns: u64,
    /// User ids by name, as they were then.
    pub users: Arc<HashMap<String, u32>>,
}

impl Source {
    /// A text of no particular time that knows no users by name.
    pub fn new(file: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self { file: file.into(), text: text.into(), read_ns: 0, users: Arc::default() }
    }
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
    /// Who holds the socket, where the process does not itself.
    pub relay: Option<&'a Relay>,
    /// In the host's mount namespace, with the host's root directory.
    pub on_host: bool,
    /// The host's mount namespace.
    pub host_mount_namespace: Option<Inode>,
}

/// What the rules say of a candidate.
#[derive(Clone, Copy, Debug)]
pub enum Excuse<'a> {
    /// This one excuses it.
    Yes(&'a Rule),
    /// None does.
    No,
    /// This one may, which asks what is not known of the container yet.
    Later(&'a Rule),
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Why what it matches is excused.
    pub reason: String,
    /// From then on it matches nothing; nanoseconds after 1970.
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
    /// What is not wrong but worth saying: rules that excuse nothing, or rest on what anybody can imitate.
    pub warnings: Vec<Problem>,
}

impl Rule {
    /// It has excused something.
    pub fn count_hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }
}

impl<'a> Excuse<'a> {
    /// The rule that excuses it.
    pub fn rule(&self) -> Option<&'a Rule> {
        match self {
            Self::Yes(rule) => Some(rule),
            Self::No | Self::Later(_) => None,
        }
    }
}

impl RuleSet {
    /// The shipped rules alone. They compile: a test holds that; if not, there are none.
    pub fn shipped() -> Self {
        Self::compile(&[]).map(|compiled| compiled.rules).unwrap_or_default()
    }

    /// Compiles the shipped rules and then these, in order. A rule of the name of a shipped one replaces it.
    ///
    /// # Errors
    /// Every problem of every source; there are no rules then.
    pub fn compile(sources: &[Source]) -> Result<Compiled, Vec<Problem>> {
        compile::compile(&Source::new(SHIPPED_FILE, SHIPPED), sources)
            .map(|(rules, warnings)| Compiled { rules: Self { rules }, warnings })
    }

    /// The first rule that excuses this. Its container is asked for only where everything else that
    /// a rule asks holds, and once.
    pub fn excuse(
        &self,
        candidate: &Candidate<'_>,
        now_wall_ns: u64,
        contained: impl FnOnce() -> Contained,
    ) -> Excuse<'_> {
        let (mut ask, mut answer, mut later) = (Some(contained), None, None);
        let in_force = self.rules.iter().filter(|rule| rule.expires_ns.is_none_or(|end| now_wall_ns < end));
        for rule in in_force.filter(|rule| rule.matcher.matches(candidate)) {
            let fit = if rule.matcher.asks_container() {
                if let Some(ask) = ask.take() {
                    answer = Some(ask());
                }
                rule.matcher.fits(answer.as_ref().unwrap_or(&Contained::Untold))
            } else {
                Fit::Yes
            };
            match fit {
                Fit::Yes => return Excuse::Yes(rule),
                Fit::Later => later = later.or(Some(rule)),
                Fit::No => {}
            }
        }
        later.map_or(Excuse::No, Excuse::Later)
    }

    /// Whether a rule asks for labels of pods.
    pub fn asks_labels(&self) -> bool {
        self.rules.iter().any(|rule| !rule.matcher.labels.is_empty())
    }

    /// The first rule that excuses everything that this relay relays, whatever it is: it asks for nothing but the relay.
    /// The hit is counted.
    pub fn excuse_relay(&self, relay: &Relay, host: Option<Inode>, now_wall_ns: u64) -> Option<&Rule> {
        let rule = self.rules.iter().find(|rule| {
            rule.expires_ns.is_none_or(|end| now_wall_ns < end) && rule.matcher.is_relay_alone(relay, host)
        })?;
        rule.count_hit();
        Some(rule)
    }

    /// The rule of a name.
    pub fn named(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.name == name)
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
