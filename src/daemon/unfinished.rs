//! Records that lack something which was on its way when they were made.
//!
//! Owns: making such a record again a little later, a few times at most, and only where it then says more. An incident in
//! which nothing happens any more would else never name its pod, or its program's digest, before it ends. Must not own:
//! what is missing and why (`enrich`), writing (`record_thread`).

use std::collections::{BTreeMap, BTreeSet};

use crate::model::clock::{Moment, SECOND};
use crate::model::finding::{Record, property};
use crate::model::ids::FindingId;

/// How many incidents are waited for; further ones stay as they are until their next record.
const MOST: usize = 64;
/// How long after its newest record an incident's record is made again: threads that read files are done, a runtime has
/// written its file, a slow disk has answered.
const AFTER_NS: [u64; 3] = [SECOND, 4 * SECOND, 15 * SECOND];

/// One incident.
#[derive(Debug)]
struct Lacking<T> {
    /// What its record is made from.
    from: T,
    /// What its newest record does not say.
    missing: BTreeSet<String>,
    since_ns: u64,
    tries: usize,
}

impl<T> Lacking<T> {
    fn due_ns(&self) -> Option<u64> {
        AFTER_NS.get(self.tries).map(|after| self.since_ns.saturating_add(*after))
    }
}

/// The incidents that are waited for.
#[derive(Debug)]
pub struct Unfinished<T> {
    lacking: BTreeMap<FindingId, Lacking<T>>,
}

impl<T> Default for Unfinished<T> {
    fn default() -> Self {
        Self { lacking: BTreeMap::new() }
    }
}

impl<T: Clone> Unfinished<T> {
    /// An incident has a new record, made from this; more of it may be known in a moment.
    pub fn note(&mut self, id: FindingId, from: T, record: &Record, now: Moment) {
        if self.lacking.len() < MOST || self.lacking.contains_key(&id) {
            let lacking = Lacking { from, missing: missing(record), since_ns: now.mono_ns, tries: 0 };
            self.lacking.insert(id, lacking);
        }
    }

    /// An incident has a new record, and no more is to be known.
    pub fn forget(&mut self, id: FindingId) {
        self.lacking.remove(&id);
    }

    /// When one is due next, in nanoseconds of the monotonic clock.
    pub fn next_ns(&self) -> Option<u64> {
        self.lacking.values().filter_map(Lacking::due_ns).min()
    }

    /// One that is due; its record is to be made again, and [`Unfinished::again`] told.
    pub fn due(&mut self, now: Moment) -> Option<(FindingId, T)> {
        let is_due = |lacking: &Lacking<T>| lacking.due_ns().is_some_and(|due| due <= now.mono_ns);
        let (id, lacking) = self.lacking.iter_mut().find(|(_, lacking)| is_due(lacking))?;
        lacking.tries += 1;
        Some((*id, lacking.from.clone()))
    }

    /// Whether a record that was made again says something that the last one did not. If so it is to be written.
    pub fn again(&mut self, id: FindingId, record: &Record, awaits: bool) -> bool {
        let Some(lacking) = self.lacking.get_mut(&id) else { return false };
        let missing = missing(record);
        let more = lacking.missing.difference(&missing).next().is_some();
        if more {
            lacking.missing = missing;
        }
        if !awaits || lacking.due_ns().is_none() {
            self.lacking.remove(&id);
        }
        more
    }
}

/// What a record does not say, without the reasons.
fn missing(record: &Record) -> BTreeSet<String> {
    let status = record.finding.source_properties.get(property::ENRICHMENT_STATUS);
    let list = status.and_then(|status| status["missing"].as_array());
    let texts = list.into_iter().flatten().filter_map(|text| text.as_str());
    texts.map(|text| text.split(": ").next().unwrap_or_default().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::CATEGORY_LOSS;
    use crate::spool::record::observation;
    use serde_json::json;

    const ID: FindingId = FindingId([7; 16]);

    fn at(mono_ns: u64) -> Moment {
        Moment { mono_ns, ..Moment::default() }
    }

    fn record(missing: &[&str]) -> Record {
        let status = json!({ "complete": missing.is_empty(), "missing": missing });
        let properties = BTreeMap::from([(property::ENRICHMENT_STATUS.to_owned(), status)]);
        observation(CATEGORY_LOSS, "", properties, Moment::default(), "boot")
    }

    #[test]
    fn made_again_until_it_is_whole() {
        let mut unfinished = Unfinished::default();
        unfinished.note(ID, 'a', &record(&["pod's name: late", "digest: late"]), at(0));
        assert_eq!(unfinished.next_ns(), Some(SECOND));
        assert_eq!(unfinished.due(at(SECOND - 1)), None);
        assert_eq!(unfinished.due(at(SECOND)), Some((ID, 'a')));
        assert_eq!(unfinished.due(at(SECOND)), None, "once");
        // Another reason alone is nothing new.
        assert!(!unfinished.again(ID, &record(&["digest: no file", "pod's name: no file"]), true));
        assert_eq!(unfinished.next_ns(), Some(4 * SECOND));
        assert!(unfinished.due(at(5 * SECOND)).is_some());
        assert!(unfinished.again(ID, &record(&["digest: late"]), true));
        assert!(unfinished.due(at(20 * SECOND)).is_some());
        assert!(unfinished.again(ID, &record(&[]), false));
        assert_eq!(unfinished.next_ns(), None);
    }

    #[test]
    fn a_newer_record_counts() {
        let mut unfinished = Unfinished::default();
        let late = record(&["pod's name: late"]);
        unfinished.note(ID, 'a', &late, at(0));
        unfinished.note(ID, 'b', &late, at(SECOND / 2));
        assert_eq!(unfinished.due(at(SECOND)), None);
        assert_eq!(unfinished.due(at(2 * SECOND)), Some((ID, 'b')));
        unfinished.forget(ID);
        assert_eq!(unfinished.next_ns(), None);
        assert!(!unfinished.again(ID, &record(&[]), false), "it is over");
    }

    #[test]
    fn neither_for_ever_nor_many() {
        let mut unfinished = Unfinished::default();
        let late = record(&["pod's name: late"]);
        unfinished.note(ID, (), &late, at(0));
        for _ in AFTER_NS {
            assert!(unfinished.due(at(60 * SECOND)).is_some());
            assert!(!unfinished.again(ID, &late, true));
        }
        assert_eq!(unfinished.next_ns(), None);
        for n in 0..2 * MOST as u128 {
            unfinished.note(FindingId(n.to_be_bytes()), (), &late, at(0));
        }
        assert_eq!(unfinished.lacking.len(), MOST);
    }
}
