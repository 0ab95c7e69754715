//! One look at everything, without a daemon.
//!
//! Owns: joining sweep, engine and enrichment for a single pass. Must not own: any of the three.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::Config;
use crate::daemon::error::DaemonError;
use crate::daemon::judge::{Judge, Judged};
use crate::daemon::lookout::host_mount_namespace;
use crate::daemon::{load_rules, oplog};
use crate::engine::{Engine, Place};
use crate::enrich::{self, Enricher};
use crate::host::live::LiveHost;
use crate::model::event::Event;
use crate::model::finding::Record;
use crate::model::ids::FindingId;
use crate::sensor::sweep::{Found, Sweeper};
use crate::stats::Stats;
use crate::sys::clock;

/// What a scan saw.
#[derive(Clone, Debug)]
pub struct ScanReport {
    /// A record for each tether, worst first.
    pub records: Vec<Record>,
    /// Processes looked at.
    pub processes: u64,
    /// Processes whose descriptors may not be read.
    pub refused: u64,
}

/// Looks at every process once.
pub fn scan(config: &Config) -> Result<ScanReport, DaemonError> {
    oplog::init();
    let rules = Arc::new(load_rules(config)?);
    let boot_id = enrich::node::boot_id();
    let mut enricher = Enricher::new(config.enrich.clone(), boot_id.clone());
    let place = Place { boot_id, mount_namespace: host_mount_namespace() };
    let mut engine = Engine::new(config.engine.clone(), place, rules.clone(), Vec::new());
    let host = LiveHost::new().with_containers(enricher.containers());
    let stats = Arc::new(Stats::default());
    let judge = Judge::new(config, stats.clone());
    let mut newest = BTreeMap::new();
    let mut keep = |engine: &mut Engine, event: Event| {
        for detection in engine.handle(event, &host) {
            newest.insert(detection.id, detection);
        }
    };
    let outcome = Sweeper::new(&config.sensor).sweep(&stats, &mut |found| {
        match found {
            Found::Look(look) => keep(&mut engine, Event::Look(look)),
            Found::Suspect(suspect) => {
                if let Judged::Tied(look, _) = judge.judge(suspect, &rules) {
                    keep(&mut engine, Event::Look(look));
                }
            }
        }
        true
    });
    // What joined an incident after its first record is in the next one, which is due in a while.
    let mut later = clock::now();
    later.mono_ns += config.engine.reissue_seconds.saturating_mul(2_000_000_000);
    keep(&mut engine, Event::Tick { at: later });
    let now = clock::now();
    let mut records: Vec<(FindingId, Record)> =
        newest.iter().map(|(id, detection)| (*id, enricher.record(detection, now))).collect();
    records.sort_by_key(|(_, record)| std::cmp::Reverse(record.finding.severity));
    let records = records.into_iter().map(|(_, record)| record).collect();
    Ok(ScanReport { records, processes: outcome.processes, refused: outcome.refused })
}
