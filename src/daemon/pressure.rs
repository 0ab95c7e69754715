//! How the spool's level is told.
//!
//! Owns: when a change of level is worth a line in the operator's log and a record, and their words. Must not own: the
//! level (`spool::level`).

use std::collections::BTreeMap;

use crate::model::clock::{Moment, SECOND};
use crate::model::finding::{CATEGORY_PRESSURE, Record, property};
use crate::spool::level::Level;
use crate::spool::record::observation;

/// A level is said to have fallen when it has been lower for so long, so that a spool at the edge does not fill itself
/// with records about that.
const CALM_NS: u64 = 30 * SECOND;

/// The level, as it was last told.
#[derive(Debug, Default)]
pub struct Pressure {
    told: Level,
    since: Moment,
    /// It has been lower since then.
    lower_since: Option<Moment>,
    /// The highest level since it was lower.
    highest_since: Level,
}

/// A change that is to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The level that was told before.
    pub from: Level,
    /// The level now.
    pub to: Level,
    /// How long it was the other, in seconds.
    pub seconds: u64,
}

impl Pressure {
    /// Looks at the level; what is to be told, if anything is.
    pub fn see(&mut self, level: Level, now: Moment) -> Option<Change> {
        if level >= self.told {
            self.lower_since = None;
            return (level > self.told).then(|| self.tell(level, now));
        }
        if self.lower_since.is_none() {
            self.lower_since = Some(now);
            self.highest_since = level;
        }
        self.highest_since = self.highest_since.max(level);
        let since = self.lower_since?;
        (now.since(since) >= CALM_NS).then(|| self.tell(self.highest_since, now))
    }

    fn tell(&mut self, to: Level, now: Moment) -> Change {
        let change = Change { from: self.told, to, seconds: now.since(self.since) / SECOND };
        (self.told, self.since, self.lower_since) = (to, now, None);
        change
    }
}

impl Change {
    /// For the operator's log.
    pub fn say(self) {
        let (name, meaning) = (self.to.name(), self.to.meaning());
        match self.to {
            Level::Ok => log::info!("spool: {name}: {meaning}"),
            Level::Warn => log::warn!("spool: {name}: {meaning}"),
            Level::Emergency | Level::Full => log::error!("spool: {name}: {meaning}"),
        }
    }

    /// For the spool, and so for everybody who reads it.
    pub fn record(self, now: Moment, boot_id: &str) -> Record {
        let (from, to) = (self.from.name(), self.to.name());
        let description = format!(
            "The spool's level is {to}: {}. Before it was {from}, for {} s.",
            self.to.meaning(),
            self.seconds
        );
        let properties = BTreeMap::from([
            (property::LEVEL.to_owned(), to.into()),
            ("Previous_Level".to_owned(), from.into()),
            ("Previous_Level_Seconds".to_owned(), self.seconds.to_string().into()),
        ]);
        observation(CATEGORY_PRESSURE, &description, properties, now, boot_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_at_once_and_falls_when_it_is_calm() {
        let mut pressure = Pressure::default();
        let at = |second: u64| Moment { mono_ns: second * SECOND, wall_ns: 0 };
        assert_eq!(pressure.see(Level::Ok, at(1)), None);
        let up = pressure.see(Level::Emergency, at(2)).unwrap();
        assert_eq!((up.from, up.to), (Level::Ok, Level::Emergency));
        assert_eq!(pressure.see(Level::Ok, at(3)), None);
        assert_eq!(pressure.see(Level::Emergency, at(20)), None, "up again: it never fell");
        assert_eq!(pressure.see(Level::Ok, at(30)), None);
        assert_eq!(pressure.see(Level::Warn, at(50)), None);
        let down = pressure.see(Level::Ok, at(60)).unwrap();
        assert_eq!((down.from, down.to, down.seconds), (Level::Emergency, Level::Warn, 58));
        assert_eq!(pressure.see(Level::Full, at(61)).unwrap().to, Level::Full);
        let record = down.record(at(60), "boot");
        assert!(record.finding.description.contains("Before it was emergency, for 58 s."));
    }
}
