//! Findings that belong together.
//!
//! Owns: what is remembered of recent findings, and the links between them: same container, pod, peer or program within a
//! window of time. Must not own: storing anything. What it remembers is bounded: after a restart it is what the spool's
//! open incidents say, and ended ones are forgotten.
//!
//! Links go both ways. A finding that goes on is recorded again when it ends, with its links; one that had ended when the
//! link came up is recorded once more, a few times at most, so that a flood does not multiply.

use std::collections::VecDeque;

use serde_json::{Value, json};

use crate::model::clock::{Moment, SECOND, parse_rfc3339};
use crate::model::detection::State;
use crate::model::finding::{Record, property};

/// How many findings are remembered.
const REMEMBERED: usize = 1024;
/// How many ended findings' records are kept whole, to be recorded again.
const KEPT: usize = 64;
/// How often one ended finding is recorded again.
const AGAIN: u8 = 3;
/// How many links one record has: the newest.
const LINKS: usize = 16;

/// What findings are compared by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Traits {
    container: Option<String>,
    pod: Option<String>,
    /// Not on loopback.
    peer: Option<String>,
    sha256: Option<String>,
    /// The program is neither the host's nor of its image: having it in common says something by itself.
    brought: bool,
}

#[derive(Debug)]
struct Known {
    id: String,
    first_seen: String,
    /// When it was recorded last.
    at_ns: u64,
    traits: Traits,
    /// The last record of an ended finding.
    last: Option<Box<Record>>,
    again: u8,
}

/// Recent findings, oldest first.
#[derive(Debug)]
pub(super) struct Related {
    window_ns: u64,
    known: VecDeque<Known>,
}

impl Related {
    /// `seconds`: the window; 0: nothing is linked.
    pub(super) fn new(seconds: u64) -> Self {
        Self { window_ns: seconds.saturating_mul(SECOND), known: VecDeque::new() }
    }

    /// Takes up what an earlier daemon recorded, in any order.
    pub(super) fn remember(&mut self, record: &Record) {
        self.note(record, parse_rfc3339(&record.finding.create_time).unwrap_or(0));
    }

    /// Puts the links into a record and remembers it. Returns records of ended findings that have a new link.
    pub(super) fn link(&mut self, record: &mut Record, now: Moment) -> Vec<Record> {
        if self.window_ns == 0 {
            return Vec::new();
        }
        let oldest = now.wall_ns.saturating_sub(self.window_ns);
        while self.known.front().is_some_and(|first| first.at_ns < oldest) {
            self.known.pop_front();
        }
        let mine = Traits::of(record);
        let id = record.id().to_owned();
        let is_new = self.known.iter().all(|known| known.id != id || known.traits != mine);
        set_links(record, self.links(&id, &mine));
        self.note(record, now.wall_ns);
        if !is_new {
            return Vec::new();
        }
        let concerned: Vec<usize> = (0..self.known.len())
            .filter(|n| {
                self.known
                    .get(*n)
                    .is_some_and(|other| other.id != id && !other.traits.shared(&mine).is_empty())
            })
            .rev()
            .take(LINKS)
            .collect();
        let mut again = Vec::new();
        for n in concerned {
            let Some(other) = self.known.get(n).filter(|other| other.again < AGAIN) else { continue };
            let Some(mut last) = other.last.clone() else { continue };
            set_links(&mut last, self.links(&other.id, &other.traits));
            last.finding.create_time = now.rfc3339();
            again.push(*last);
            if let Some(other) = self.known.get_mut(n) {
                other.again += 1;
            }
        }
        again
    }

    fn links(&self, id: &str, mine: &Traits) -> Vec<Value> {
        let others = self.known.iter().rev().filter(|known| known.id != id);
        others
            .filter_map(|other| {
                let reasons = other.traits.shared(mine);
                (!reasons.is_empty())
                    .then(|| json!({ "id": other.id, "reasons": reasons, "firstSeen": other.first_seen }))
            })
            .take(LINKS)
            .collect()
    }

    fn note(&mut self, record: &Record, at_ns: u64) {
        let id = record.id();
        let old = self.known.iter().position(|known| known.id == id).and_then(|n| self.known.remove(n));
        let ended = record.finding.state == State::Inactive;
        // Mostly the last.
        let place = self.known.iter().rposition(|known| known.at_ns <= at_ns).map_or(0, |before| before + 1);
        let known = Known {
            id: id.to_owned(),
            first_seen: record.finding.event_time.clone(),
            at_ns,
            traits: Traits::of(record),
            last: ended.then(|| Box::new(record.clone())),
            again: old.map_or(0, |old| old.again),
        };
        self.known.insert(place, known);
        if self.known.len() > REMEMBERED {
            self.known.pop_front();
        }
        let kept = self.known.iter_mut().rev().filter(|known| known.last.is_some());
        kept.skip(KEPT).for_each(|known| known.last = None);
    }
}

fn set_links(record: &mut Record, links: Vec<Value>) {
    let properties = &mut record.finding.source_properties;
    if links.is_empty() {
        properties.remove(property::RELATED_FINDINGS);
    } else {
        properties.insert(property::RELATED_FINDINGS.to_owned(), links.into());
    }
}

impl Traits {
    fn of(record: &Record) -> Self {
        let text = |key: &str| record.text(key).map(str::to_owned);
        let exe = record.text(property::PROCESS_BINARY_FULLPATH);
        let binaries = record.finding.processes.iter().filter_map(|process| process.binary.as_ref());
        let sha256 =
            binaries.filter(|file| Some(file.path.as_str()) == exe).find_map(|file| file.sha256.clone());
        let origin = record.finding.source_properties.get(property::EXECUTABLE_ORIGIN);
        let kind = origin.and_then(|origin| origin.get("kind")).and_then(Value::as_str);
        let indicator = record.finding.indicator.as_ref();
        Self {
            container: text(property::CONTAINER_ID),
            pod: text(property::POD_UID),
            peer: indicator.and_then(|indicator| indicator.ip_addresses.first().cloned()),
            sha256,
            brought: matches!(kind, Some("memfd" | "added" | "changed")),
        }
    }

    /// What both have in common, if that is enough to link them.
    fn shared(&self, other: &Self) -> Vec<&'static str> {
        let same = |a: &Option<String>, b: &Option<String>| a.is_some() && a == b;
        let mut reasons = Vec::new();
        for (reason, shared) in [
            ("container", same(&self.container, &other.container)),
            ("pod", same(&self.pod, &other.pod)),
            ("peer", same(&self.peer, &other.peer)),
        ] {
            if shared {
                reasons.push(reason);
            }
        }
        // Every shell of a machine is the same file: that alone says nothing.
        let brought = self.brought || other.brought;
        if same(&self.sha256, &other.sha256) && (brought || !reasons.is_empty()) {
            reasons.push("executable");
        }
        reasons
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::finding::{File, Indicator, Process};
    use crate::spool::record::observation;

    fn at(seconds: u64) -> Moment {
        Moment { mono_ns: 0, wall_ns: (1_795_492_217 + seconds) * SECOND }
    }

    fn record(n: u8, seconds: u64, container: &str, peer: &str) -> Record {
        let mut record = observation("c", "d", Default::default(), at(seconds), "boot");
        record.finding.name = format!("x/findings/{}", format!("{n:02x}").repeat(16));
        record.finding.state = State::Active;
        let properties = &mut record.finding.source_properties;
        if !container.is_empty() {
            properties.insert(property::CONTAINER_ID.into(), container.into());
        }
        if !peer.is_empty() {
            record.finding.indicator = Some(Indicator { ip_addresses: vec![peer.into()] });
        }
        record
    }

    fn links(record: &Record) -> Vec<(String, Vec<String>)> {
        let list = record.finding.source_properties.get(property::RELATED_FINDINGS).and_then(Value::as_array);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        list.into_iter()
            .flatten()
            .map(|link| {
                (
                    text(&link["id"])[..2].to_owned(),
                    link["reasons"].as_array().unwrap().iter().map(text).collect(),
                )
            })
            .collect()
    }

    fn expect(list: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        list.iter()
            .map(|(id, why)| ((*id).to_owned(), why.iter().map(|w| (*w).to_owned()).collect()))
            .collect()
    }

    #[test]
    fn both_ways_within_the_window() {
        let mut related = Related::new(60);
        let mut first = record(1, 0, "box", "192.0.2.1");
        assert!(related.link(&mut first, at(0)).is_empty() && links(&first).is_empty());
        let mut second = record(2, 10, "box", "192.0.2.2");
        assert!(
            related.link(&mut second, at(10)).is_empty(),
            "the first goes on: its next record has the link"
        );
        assert_eq!(links(&second), expect(&[("01", &["container"])]));
        first.finding.state = State::Inactive;
        related.link(&mut first, at(20));
        assert_eq!(links(&first), expect(&[("02", &["container"])]));
        // The first has ended: it is recorded again, with the new link and the old one.
        let mut third = record(3, 30, "", "192.0.2.1");
        let again = related.link(&mut third, at(30));
        assert_eq!(links(&third), expect(&[("01", &["peer"])]));
        assert_eq!(again.len(), 1);
        assert_eq!((again[0].id(), again[0].finding.state), (first.id(), State::Inactive));
        assert_eq!(links(&again[0]), expect(&[("03", &["peer"]), ("02", &["container"])]));
        assert_eq!(again[0].finding.create_time, at(30).rfc3339());
        assert!(related.link(&mut third, at(31)).is_empty(), "no news, no record");
        let mut late = record(4, 200, "box", "192.0.2.1");
        assert!(related.link(&mut late, at(200)).is_empty() && links(&late).is_empty());
        let mut off = Related::new(0);
        off.link(&mut first.clone(), at(0));
        assert!(off.known.is_empty());
    }

    #[test]
    fn a_program_in_common() {
        let with = |n, kind: &str, peer: &str| {
            let mut record = record(n, 0, "", peer);
            let file = File { path: "/x".into(), sha256: Some("aa".into()), ..File::default() };
            record.finding.processes = vec![Process { binary: Some(file), ..Process::default() }];
            let properties = &mut record.finding.source_properties;
            properties.insert(property::PROCESS_BINARY_FULLPATH.into(), "/x".into());
            properties.insert(property::EXECUTABLE_ORIGIN.into(), json!({ "kind": kind }));
            record
        };
        let mut related = Related::new(60);
        related.link(&mut with(1, "image", ""), at(0));
        let mut second = with(2, "host", "");
        related.link(&mut second, at(0));
        assert!(links(&second).is_empty());
        let mut third = with(3, "memfd", "");
        related.link(&mut third, at(0));
        assert_eq!(links(&third), expect(&[("02", &["executable"]), ("01", &["executable"])]));
    }

    #[test]
    fn a_pod_in_common() {
        let in_pod = |n, container: &str, pod: &str| {
            let mut record = record(n, 0, container, "");
            record.finding.source_properties.insert(property::POD_UID.into(), pod.into());
            record
        };
        let mut related = Related::new(60);
        let mut web = in_pod(1, "a", "p");
        related.link(&mut web, at(0));
        let mut sidecar = in_pod(2, "b", "p");
        related.link(&mut sidecar, at(1));
        let mut other = in_pod(3, "c", "q");
        related.link(&mut other, at(2));
        assert_eq!(links(&sidecar), expect(&[("01", &["pod"])]));
        assert!(links(&other).is_empty());
        related.link(&mut web, at(3));
        assert_eq!(links(&web), expect(&[("02", &["pod"])]));
        let mut again = in_pod(4, "a", "p");
        related.link(&mut again, at(4));
        // Which of them is of the same container says so.
        assert_eq!(links(&again), expect(&[("01", &["container", "pod"]), ("02", &["pod"])]));
    }

    /// The window is from a finding's last record to the other one's: to the second.
    #[test]
    fn the_window_of_time() {
        for (seconds, linked) in [(59, true), (60, true), (61, false)] {
            let mut related = Related::new(60);
            let mut first = record(1, 0, "box", "");
            related.link(&mut first, at(100));
            first.finding.state = State::Inactive;
            related.link(&mut first, at(110));
            let mut second = record(2, 0, "box", "");
            let again = related.link(&mut second, at(110 + seconds));
            assert_eq!(
                (links(&second).len(), again.len()),
                (usize::from(linked), usize::from(linked)),
                "{seconds}"
            );
        }
    }

    #[test]
    fn a_flood_is_bounded() {
        let mut related = Related::new(3600);
        let mut records = 0;
        for n in 0..3000u32 {
            let mut one = record(0, 0, "box", "");
            one.finding.name = format!("x/findings/{n:032x}");
            one.finding.state = State::Inactive;
            records += related.link(&mut one, at(0)).len();
            assert!(links(&one).len() <= LINKS);
        }
        assert!(records <= 3000 * usize::from(AGAIN), "{records}");
        assert_eq!(related.known.len(), REMEMBERED);
        assert_eq!(related.known.iter().filter(|known| known.last.is_some()).count(), KEPT);
    }

    #[test]
    fn a_restart_remembers_what_goes_on() {
        let (a, b) = (record(1, 0, "box", ""), record(2, 5, "box", ""));
        let mut related = Related::new(60);
        related.remember(&b);
        related.remember(&a);
        let order: Vec<&str> = related.known.iter().map(|known| &known.id[..2]).collect();
        assert_eq!(order, ["01", "02"], "by their times");
        let mut new = record(3, 10, "box", "");
        related.link(&mut new, at(10));
        assert_eq!(links(&new).len(), 2);
    }
}
