//! What the engine decided: an incident as it stands at one moment.
//!
//! Owns: severity, row (of DESIGN 4), state, and the snapshot that becomes a finding. Must not own: the finding's JSON
//! (`model::finding`), context (`enrich`).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::clock::Moment;
use super::earlier::Earlier;
use super::ids::FindingId;
use super::look::{Look, Observation};
use super::socket::{Direction, Scope};
use super::stdio::Tether;

/// How bad. Ordered: LOW is the least.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// Worth keeping.
    Low,
    /// Worth a look.
    Medium,
    /// Somebody should look today.
    High,
    /// Somebody should look now.
    Critical,
}

impl Severity {
    /// One step less; LOW stays.
    pub fn lowered(self) -> Self {
        match self {
            Self::Critical => Self::High,
            Self::High => Self::Medium,
            Self::Medium | Self::Low => Self::Low,
        }
    }

    /// One step more; CRITICAL stays.
    pub fn raised(self) -> Self {
        match self {
            Self::Low => Self::Medium,
            Self::Medium => Self::High,
            Self::High | Self::Critical => Self::Critical,
        }
    }

    /// The enum name of the Security Command Center API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Low => "LOW",
            Self::Medium => "MEDIUM",
            Self::High => "HIGH",
            Self::Critical => "CRITICAL",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What [`Severity::from_str`] says of another word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a severity is low, medium, high or critical")]
pub struct BadSeverity;

impl FromStr for Severity {
    type Err = BadSeverity;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        [Self::Low, Self::Medium, Self::High, Self::Critical]
            .into_iter()
            .find(|severity| severity.name().eq_ignore_ascii_case(s))
            .ok_or(BadSeverity)
    }
}

/// Which row of the table of findings (DESIGN 4) was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Row {
    /// 1: watched program, input and output directly on the network.
    WatchedBothWays,
    /// 2: shell that reads its commands from a network socket.
    ShellReadsSocket,
    /// 3: watched program whose stdout and stderr are one network socket.
    WatchedOutput,
    /// 4: shell that reads commands from stdin, input and output relayed by another process.
    RelayedShell,
    /// 5: watched program, input and output relayed by a network tool.
    RelayedByTool,
    /// 6: several different commands whose output another program relays.
    RelayedCommands,
    /// 7: any other program, input and output on the network.
    OtherBothWays,
    /// 8: a second, different command with one descriptor on the same socket.
    SecondOneWay,
}

impl Row {
    /// Its number in the table.
    pub fn number(self) -> u8 {
        match self {
            Self::WatchedBothWays => 1,
            Self::ShellReadsSocket => 2,
            Self::WatchedOutput => 3,
            Self::RelayedShell => 4,
            Self::RelayedByTool => 5,
            Self::RelayedCommands => 6,
            Self::OtherBothWays => 7,
            Self::SecondOneWay => 8,
        }
    }

    /// The row of a number, for records read back; `None` for a number this version does not know.
    pub fn from_number(number: u64) -> Option<Self> {
        [
            Self::WatchedBothWays,
            Self::ShellReadsSocket,
            Self::WatchedOutput,
            Self::RelayedShell,
            Self::RelayedByTool,
            Self::RelayedCommands,
            Self::OtherBothWays,
            Self::SecondOneWay,
        ]
        .into_iter()
        .find(|row| u64::from(row.number()) == number)
    }

    /// Its severity before the peer's scope is considered.
    pub fn severity(self) -> Severity {
        match self {
            Self::WatchedBothWays | Self::RelayedShell | Self::RelayedByTool => Severity::Critical,
            Self::ShellReadsSocket | Self::WatchedOutput => Severity::High,
            // HIGH where their input is relayed too; the engine knows.
            Self::RelayedCommands | Self::OtherBothWays | Self::SecondOneWay => Severity::Medium,
        }
    }

    /// What it says, for people.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::WatchedBothWays => "a shell or common command has its input and output on a network socket",
            Self::ShellReadsSocket => "a shell reads its commands from a network socket",
            Self::WatchedOutput => "a shell or common command has stdout and stderr on one network socket",
            Self::RelayedShell => {
                "a shell reads its commands from a network socket that another process holds, and answers there"
            }
            Self::RelayedByTool => {
                "a shell or common command has its input and output relayed to the network by a network tool"
            }
            Self::RelayedCommands => {
                "several different commands, one after another, had their output taken by a program on the network"
            }
            Self::OtherBothWays => "a program has its input and output on a network socket",
            Self::SecondOneWay => "several commands, one after another, used the same network socket one way",
        }
    }
}

/// Whether the tether is still in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Processes still hang on it, or may.
    Active,
    /// The last process has ended.
    Inactive,
}

/// How the processes of an incident were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observations {
    /// Waiting in execve.
    pub held: u64,
    /// Running, right after exec.
    pub live: u64,
    /// Gone, known from the parent.
    pub inherited: u64,
    /// Found by a sweep.
    pub swept: u64,
}

impl Observations {
    /// Counts one more.
    pub fn add(&mut self, seen: Observation) {
        match seen {
            Observation::Held => self.held += 1,
            Observation::Live => self.live += 1,
            Observation::Inherited => self.inherited += 1,
            Observation::Swept => self.swept += 1,
        }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.held + self.live + self.inherited + self.swept
    }
}

/// An incident as it stands: what is reported now.
#[derive(Clone, Debug)]
pub struct Detection {
    /// The finding's name: the same for every record of one incident.
    pub id: FindingId,
    /// Still going on?
    pub state: State,
    /// The highest severity so far.
    pub severity: Severity,
    /// The row that gave it.
    pub row: Row,
    /// Why, in short sentences fit to show; hostile text in them is escaped.
    pub evidence: Vec<String>,
    /// The way to the network, of the process that gave the severity.
    pub tether: Tether,
    /// Who opened the connection.
    pub direction: Direction,
    /// Where the peer is.
    pub scope: Scope,
    /// The process that gave the severity: the finding's main process.
    pub subject: Arc<Look>,
    /// The incident's timeline, oldest first, capped; the subject is in it unless it fell to the cap.
    pub processes: Vec<Arc<Look>>,
    /// How many commands ran on the tether: exact, also beyond the cap.
    pub process_count: u64,
    /// The same by how they were seen.
    pub observations: Observations,
    /// The first of them.
    pub first_seen: Moment,
    /// The newest of them, or the end.
    pub last_seen: Moment,
    /// The allow rule for which it is withdrawn, and that rule's reason.
    pub excused_by: Option<(String, String)>,
    /// What an earlier daemon's record says of it.
    pub earlier: Earlier,
}
