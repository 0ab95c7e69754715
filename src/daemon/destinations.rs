//! What the daemon shows of its destinations.
//!
//! Owns: their part of the status and of the metrics. Must not own: the numbers (`deliver::progress`).

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::daemon::status::Board;
use crate::deliver::progress::{Progress, State, Tally};
use crate::model::clock::rfc3339;

/// The destinations, in the order of the configuration, that of `[syslog]` first.
pub fn json(board: &Board) -> Value {
    board.deliveries().iter().map(|progress| one(progress, board.newest())).collect()
}

/// For a heartbeat: how each destination that is switched on does.
pub fn lags(board: &Board) -> Vec<Value> {
    let newest = board.newest();
    let lag = |progress: &Arc<Progress>| {
        let state = progress.situation().state.name();
        Some(json!({ "name": progress.name, "state": state, "lagRecords": lag(progress, newest)? }))
    };
    board.deliveries().iter().filter_map(lag).collect()
}

fn one(progress: &Progress, newest: u64) -> Value {
    let situation = progress.situation();
    let mut fields: Map<String, Value> =
        Tally::ALL.iter().map(|tally| (tally.name().to_owned(), progress.get(*tally).into())).collect();
    let failed = (situation.error_ns > 0).then(|| rfc3339(situation.error_ns));
    for (name, value) in [
        ("name", json!(progress.name)),
        ("transport", json!(progress.transport)),
        ("address", json!(progress.address)),
        ("format", json!(progress.format)),
        ("state", json!(situation.state.name())),
        ("last_sequence", json!(progress.done())),
        ("on_the_way", json!(progress.on_the_way())),
        ("lag_records", json!(lag(progress, newest))),
        ("last_error", json!(failed.as_ref().map(|_| &situation.error))),
        ("last_error_time", json!(failed)),
    ] {
        fields.insert(name.to_owned(), value);
    }
    Value::Object(fields)
}

/// Records that the spool has beyond those that are done with; `None` of a destination that is switched off.
fn lag(progress: &Progress, newest: u64) -> Option<u64> {
    (progress.situation().state != State::Off).then(|| newest.saturating_sub(progress.done()))
}

/// The same in the Prometheus text format.
pub fn metrics(board: &Board, text: &mut String) {
    let (deliveries, newest) = (board.deliveries(), board.newest());
    text.push_str("# HELP tetherd_deliver_total What became of records, and connections, by destination.\n# TYPE tetherd_deliver_total counter\n");
    for progress in &deliveries {
        for tally in Tally::ALL {
            let (name, kind, value) = (&progress.name, tally.name(), progress.get(tally));
            let _ = writeln!(text, "tetherd_deliver_total{{destination=\"{name}\",kind=\"{kind}\"}} {value}");
        }
    }
    text.push_str("# HELP tetherd_deliver_lag_records Records that a destination has not accepted yet.\n# TYPE tetherd_deliver_lag_records gauge\n");
    for progress in &deliveries {
        if let Some(lag) = lag(progress, newest) {
            let _ = writeln!(text, "tetherd_deliver_lag_records{{destination=\"{}\"}} {lag}", progress.name);
        }
    }
    text.push_str("# HELP tetherd_deliver_up Whether a destination takes what is sent.\n# TYPE tetherd_deliver_up gauge\n");
    for progress in &deliveries {
        let up = match progress.situation().state {
            State::Off => continue,
            State::Idle | State::Sending => 1,
            State::Stalled | State::Failing => 0,
        };
        let _ = writeln!(text, "tetherd_deliver_up{{destination=\"{}\"}} {up}", progress.name);
    }
}
