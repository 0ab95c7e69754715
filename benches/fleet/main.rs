//! Writes the spools of a made-up fleet, with the daemon's own spool writer: `DIRECTORY/NODE/findings-*.jsonl`.
//!
//! `cargo bench --bench fleet -- --out DIRECTORY [--nodes N] [--first N] [--records N] [--days N]`; `benches/fleet/run`
//! loads them into the engines. Real lines, numbers and chains; no daemon.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a program for measuring may end where something is wrong"
)]

mod incident;
mod world;

use std::path::PathBuf;

use tetherd::spool::settings::SpoolSettings;
use tetherd::spool::writer::Writer;

use world::World;

/// How many records are made durable at once.
const BATCH: usize = 1_000;

fn main() {
    let mut out = None;
    let (mut nodes, mut first, mut records, mut days) = (10, 0, 1_000, 30);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse().ok()).expect("a number behind it");
        match argument.as_str() {
            "--nodes" => nodes = number(),
            "--first" => first = number(),
            "--records" => records = number(),
            "--days" => days = number(),
            "--out" => out = arguments.next().map(PathBuf::from),
            // What cargo adds.
            "--bench" => {}
            other => panic!("unknown: {other}"),
        }
    }
    let out = out.expect("--out DIRECTORY");
    // One moment for all calls of one day: the records of a node do not depend on when it was made.
    let second = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let world = World { now: second / 3_600 * 3_600 * incident::SECOND, days };
    for index in first..first + nodes {
        let machine = world.machine(index);
        // Everything is kept: what is measured is how it gets away.
        let settings = SpoolSettings {
            directory: out.join(&machine.name),
            max_bytes: 1 << 40,
            ..SpoolSettings::default()
        };
        let (mut writer, _) = Writer::open(settings, &machine.boot).unwrap();
        let mut made = world.records(index, records);
        for batch in made.chunks_mut(BATCH) {
            writer.append(batch).unwrap();
        }
    }
}
