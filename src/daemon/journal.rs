//! What the daemon says of its own life.
//!
//! Owns: the words of the records about start, stop, reload and how it is meanwhile, and when a heartbeat is due. Must not
//! own: the form of such a record (`spool::record`), losses (`record_thread`), the spool's level (`pressure`), checkpoints
//! (`spool::checkpoint`).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::daemon::charter::Charter;
use crate::daemon::destinations;
use crate::daemon::selfwatch::Notice;
use crate::daemon::status::Board;
use crate::model::clock::Moment;
use crate::model::finding::{
    CATEGORY_HEARTBEAT, CATEGORY_INTERFERENCE, CATEGORY_RELOADED, CATEGORY_SEGMENT, CATEGORY_STARTED,
    CATEGORY_STOPPED, Record, property,
};
use crate::model::loss::Loss;
use crate::model::text::{cut, escape};
use crate::spool::ending::Ending;
use crate::spool::record::{REASON, observation};
use crate::stats::Count;

/// The longest reason, in bytes.
const REASON_MAX: usize = 1000;

type Properties = BTreeMap<String, Value>;

/// When heartbeats are due.
#[derive(Clone, Copy, Debug, Default)]
pub struct Heartbeat {
    every_ns: u64,
    next_ns: u64,
}

impl Heartbeat {
    /// The first one comes after a period, in nanoseconds; 0: none does.
    pub fn every(period_ns: u64, now: Moment) -> Self {
        Self { every_ns: period_ns, next_ns: now.mono_ns.saturating_add(period_ns) }
    }

    /// Nanoseconds until one is due.
    pub fn wait_ns(&self, now: Moment) -> u64 {
        if self.every_ns == 0 { u64::MAX } else { self.next_ns.saturating_sub(now.mono_ns) }
    }

    /// Whether one is due; the next is then due a period later.
    pub fn is_due(&mut self, now: Moment) -> bool {
        if self.every_ns == 0 || now.mono_ns < self.next_ns {
            return false;
        }
        self.next_ns = now.mono_ns.saturating_add(self.every_ns);
        true
    }
}

/// The daemon has started.
pub fn started(board: &Board, before: &Ending, now: Moment) -> Record {
    let mut properties = what(board);
    let same_boot = before.boot_id == board.boot_id();
    let (ended, told) = if before.sequence == 0 {
        ("none", "The spool has no record of a run before it.".to_owned())
    } else if before.clean {
        ("clean", format!("The run before it ended in order with record {}.", before.sequence))
    } else {
        let how =
            if same_boot { "it was killed or crashed" } else { "it was killed, or the machine went down" };
        let told = format!(
            "The run before it did NOT end in order: {how}; its last record is {} of {}.",
            before.sequence,
            escape(before.time.as_bytes())
        );
        ("unclean", told)
    };
    let run = json!({
        "ended": ended, "lastSequence": before.sequence.to_string(), "lastTime": before.time,
        "sameBoot": same_boot,
    });
    properties.insert(property::PREVIOUS_RUN.into(), run);
    let description = format!("{} has started, with fanotify {}. {told}", version(), board.mode());
    observation(CATEGORY_STARTED, &description, properties, now, board.boot_id())
}

/// The daemon stops; nothing follows but a checkpoint.
pub fn stopped(board: &Board, reason: &str, now: Moment) -> Record {
    let mut properties = how(board, now);
    let reason = cut(reason, REASON_MAX);
    properties.insert(REASON.into(), reason.into());
    let description = format!(
        "{} has stopped in order: {}. It ran for {} s; {}.",
        version(),
        escape(reason.as_bytes()),
        board.uptime_seconds(now),
        lost(board)
    );
    observation(CATEGORY_STOPPED, &description, properties, now, board.boot_id())
}

/// A reload that took effect.
pub fn reloaded(board: &Board, old: &Charter, new: &Charter, now: Moment) -> Record {
    let keys = old.changed_keys(new);
    let files = old.changed_rules(new);
    let waiting = keys.iter().filter(|change| change["takesRestart"] == true).count();
    let count = |what: &str| files[what].as_array().map_or(0, Vec::len);
    let description = format!(
        "The configuration was read again: {} keys changed, {waiting} of them take a restart; files of rules: {} added, {} removed, {} changed.",
        keys.len(),
        count("added"),
        count("removed"),
        count("changed")
    );
    let mut properties = digests(new);
    properties.insert(property::OUTCOME.into(), "done".into());
    properties.insert(property::CHANGED_KEYS.into(), keys.into());
    properties.insert(property::CHANGED_RULES.into(), files);
    observation(CATEGORY_RELOADED, &description, properties, now, board.boot_id())
}

/// A reload that was refused.
pub fn refused(board: &Board, in_force: &Charter, why: &str, now: Moment) -> Record {
    let why = cut(why, REASON_MAX);
    let first = why.lines().next().unwrap_or_default();
    let description = format!(
        "A changed configuration was refused, and everything stays as it was: {}",
        escape(first.as_bytes())
    );
    let mut properties = digests(in_force);
    properties.insert(property::OUTCOME.into(), "refused".into());
    properties.insert(REASON.into(), why.into());
    observation(CATEGORY_RELOADED, &description, properties, now, board.boot_id())
}

/// How the daemon is.
pub fn heartbeat(board: &Board, now: Moment) -> Record {
    let mut properties = how(board, now);
    properties.extend(digests(&board.charter()));
    let stats = board.stats();
    let description = format!(
        "{} runs, for {} s: {} execs seen, {} incidents; {}. The next heartbeat is due in {} min.",
        version(),
        board.uptime_seconds(now),
        stats.get(Count::Execs),
        stats.get(Count::Incidents),
        lost(board),
        board.heartbeat_minutes()
    );
    observation(CATEGORY_HEARTBEAT, &description, properties, now, board.boot_id())
}

/// Something was done to the daemon. Whether that was in order people have to say.
pub fn interfered(board: &Board, notice: &Notice, now: Moment) -> Record {
    let properties = Properties::from([(property::INTERFERENCE.into(), notice.kind.into())]);
    let description = format!("Something was done to tetherd: {}.", notice.what);
    observation(CATEGORY_INTERFERENCE, &description, properties, now, board.boot_id())
}

/// What a segment begins with where the next record would be a heartbeat.
pub fn segment_begun(board: &Board, now: Moment) -> Record {
    let description = format!("{} goes on, with fanotify {}.", version(), board.mode());
    observation(CATEGORY_SEGMENT, &description, what(board), now, board.boot_id())
}

fn version() -> String {
    format!("tetherd {}", env!("CARGO_PKG_VERSION"))
}

fn lost(board: &Board) -> String {
    match losses(board).len() {
        0 => "nothing was lost".into(),
        kinds => format!("{kinds} kinds of loss were counted"),
    }
}

/// Which daemon it is.
fn which(board: &Board) -> Properties {
    BTreeMap::from([
        (property::VERSION.to_owned(), env!("CARGO_PKG_VERSION").into()),
        (property::FANOTIFY_MODE.to_owned(), board.mode().into()),
        (property::HEARTBEAT_MINUTES.to_owned(), board.heartbeat_minutes().into()),
    ])
}

/// What runs, and by what.
fn what(board: &Board) -> Properties {
    let mut properties = which(board);
    properties.extend(digests(&board.charter()));
    if let Some(key) = board.proof().public_key {
        properties.insert(property::PUBLIC_KEY.into(), key.to_string().into());
    }
    properties
}

fn digests(charter: &Charter) -> Properties {
    BTreeMap::from([
        (property::CONFIGURATION_SHA256.to_owned(), charter.config_sha256().into()),
        (property::RULES_SHA256.to_owned(), charter.rules_sha256().into()),
        (property::RULES_FILES.to_owned(), charter.rules_files().into()),
    ])
}

/// How it does: counters since the start.
fn how(board: &Board, now: Moment) -> Properties {
    let counts = Count::ALL.iter().map(|count| (count.name().to_owned(), board.stats().get(*count)));
    let counts: Map<String, Value> =
        counts.filter(|(_, count)| *count > 0).map(|(name, count)| (name, count.into())).collect();
    let mut properties = which(board);
    properties.extend([
        (property::UPTIME_SECONDS.to_owned(), board.uptime_seconds(now).to_string().into()),
        (property::COUNTS.to_owned(), counts.into()),
        // Not `Losses`: those are what is new, and are summed up elsewhere.
        (property::LOSSES_SINCE_START.to_owned(), losses(board).into()),
        (property::LEVEL.to_owned(), board.level().name().into()),
    ]);
    let lags = destinations::lags(board);
    if !lags.is_empty() {
        properties.insert(property::DELIVERIES.into(), lags.into());
    }
    properties
}

fn losses(board: &Board) -> Map<String, Value> {
    let counts = Loss::ALL.iter().map(|loss| (loss.name(), board.stats().lost(*loss)));
    counts.filter(|(_, count)| *count > 0).map(|(name, count)| (name.to_owned(), count.into())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::SECOND;

    #[test]
    fn heartbeats_are_due_once_a_period() {
        let at = |minute: u64| Moment { mono_ns: minute * 60 * SECOND, wall_ns: 0 };
        let mut beat = Heartbeat::every(5 * 60 * SECOND, at(100));
        assert_eq!(beat.wait_ns(at(101)), 4 * 60 * SECOND);
        let due: Vec<u64> = (100..=113).filter(|&minute| beat.is_due(at(minute))).collect();
        assert_eq!(due, [105, 110]);
        assert!(beat.is_due(at(200)) && !beat.is_due(at(204)), "those that were missed do not come");
        let mut off = Heartbeat::every(0, at(0));
        assert!(!off.is_due(at(100_000)) && off.wait_ns(at(1)) == u64::MAX);
    }
}
