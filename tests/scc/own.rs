//! What tetherd says of its own life, as the daemon makes it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use tetherd::config::{Config, file};
use tetherd::daemon::charter::Charter;
use tetherd::daemon::journal;
use tetherd::daemon::selfwatch::Notice;
use tetherd::daemon::status::{Board, Proof};
use tetherd::deliver::progress::{Progress, State};
use tetherd::engine::policy::Source;
use tetherd::model::clock::Moment;
use tetherd::model::finding::{CATEGORY_LOSS, Record, property};
use tetherd::model::loss::Loss;
use tetherd::spool::ending::Ending;
use tetherd::spool::key::Signer;
use tetherd::spool::record::observation;
use tetherd::spool::settings::SpoolSettings;
use tetherd::spool::writer::Writer;
use tetherd::stats::{Count, Stats};

use crate::records::{BOOT, NOW};

/// One of each kind, but for checkpoints.
pub fn records(directory: &Path) -> Vec<Record> {
    let text = "[[deliver]]\nname = \"siem\"\ntransport = \"tcp\"\naddress = \"siem.example:601\"\n[spool]\nmax_days = 3\n";
    let config = file::parse(Path::new("t.toml"), text).unwrap().config;
    let stats = Arc::new(Stats::default());
    stats.add(Count::Execs, 7);
    stats.lose(Loss::Vanished, 2);
    let board = Board::new(&config, BOOT, "node-7", stats);
    let rules = |name: &str, text: &str| Source::new(Path::new("/etc/tetherd/rules.d").join(name), text);
    let old = Charter::new(&Config::defaults(), &[rules("a.toml", ""), rules("b.toml", "")]);
    let new = Arc::new(Charter::new(&config, &[rules("b.toml", "#"), rules("c.toml", "")]));
    board.set_charter(new.clone());
    board.set_proof(Proof { public_key: Some(signer(directory).public()), why: None });
    let started = |to| {
        let progress = Progress::new(to);
        progress.set_state(State::Stalled);
        Arc::new(progress)
    };
    board.set_deliveries(config.destinations().iter().map(started).collect());
    let before = |sequence, clean| Ending { sequence, time: NOW.rfc3339(), boot_id: BOOT.into(), clean };
    let now = Moment { mono_ns: NOW.mono_ns, ..NOW };
    let notice = Notice { kind: "traced", what: "process 7 traces the daemon".into() };
    vec![
        journal::started(&board, &Ending::default(), now),
        journal::started(&board, &before(17, true), now),
        journal::started(&board, &before(17, false), now),
        journal::stopped(&board, "a signal asked for it", now),
        journal::reloaded(&board, &old, &new, now),
        journal::refused(&board, &new, "t.toml:1:1: \u{1b}[2J is no key\nand more", now),
        journal::heartbeat(&board, now),
        journal::segment_begun(&board, now),
        journal::interfered(&board, &notice, now),
        unheard(now),
    ]
}

/// As the record thread says it of the time between two daemons.
fn unheard(now: Moment) -> Record {
    let time = || now.rfc3339().into();
    let properties = BTreeMap::from([
        (property::UNHEARD_FROM.to_owned(), time()),
        (property::UNHEARD_TO.to_owned(), time()),
    ]);
    observation(CATEGORY_LOSS, "Something may have been missed: nobody listened.", properties, now, BOOT)
}

fn signer(directory: &Path) -> Signer {
    std::fs::create_dir_all(directory).unwrap();
    Signer::open_or_make(&directory.join("key")).unwrap().0
}

/// The line of a checkpoint.
pub fn checkpoint(directory: &Path) -> String {
    let spool = directory.join("spool");
    let settings = SpoolSettings { directory: spool.clone(), min_free_bytes: 0, ..SpoolSettings::default() };
    let (mut writer, _) = Writer::open(settings, BOOT).unwrap();
    writer.sign_with(signer(directory));
    writer.append(&mut records(directory)).unwrap();
    writer.checkpoint().unwrap();
    let lines = std::fs::read_to_string(spool.join("findings-000000000001.jsonl")).unwrap();
    format!("{}\n", lines.lines().last().unwrap())
}
