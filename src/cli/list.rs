//! `tetherd list`.
//!
//! Owns: the table. Must not own: reading the spool.

use crate::cli::args::List;
use crate::cli::columns::take;
use crate::cli::failure::Failure;
use crate::cli::filter::Filter;
use crate::cli::{out, spool};
use crate::model::exit::Exit;
use crate::model::finding::{CATEGORY, Record, property};
use crate::model::text::{cut, escape, visible};
use crate::spool::reader::latest_where;

/// How many digits of an id are shown.
const ID_SHOWN: usize = 8;

/// Prints the newest record of each finding, oldest first.
pub fn list(list: &List) -> Result<Exit, Failure> {
    let filter = Filter::new(&list.filters)?;
    let wanted = |record: &Record| filter.wants(record, list.journal) && is_own(record) == list.journal;
    let mut records = latest_where(&spool(&list.common)?, wanted)?;
    records.sort_by_key(Record::sequence);
    let first = records.len().saturating_sub(list.n.unwrap_or(usize::MAX));
    let records = records.get(first..).unwrap_or_default();
    let mut text = String::new();
    if list.json {
        for record in records {
            text.push_str(&out::json(record));
            text.push('\n');
        }
    } else if records.is_empty() {
        text.push_str(if list.journal { "No records of tetherd about itself.\n" } else { "No findings.\n" });
    } else if list.journal {
        let width = out::width();
        text.push_str(&format!("{}\n", take("TIME (UTC)          RECORD     WHAT", width)));
        records.iter().for_each(|record| text.push_str(&own_row(record, width)));
    } else {
        let (width, colours) = (out::width(), out::colours());
        let head = "TIME (UTC)          SEVERITY STATE ID       COUNT COMMAND AND PEER";
        text.push_str(&format!("{}\n", take(head, width)));
        records.iter().for_each(|record| text.push_str(&row(record, width, colours)));
    }
    out::print(&text)?;
    Ok(Exit::Ok)
}

/// Whether tetherd says it of itself.
fn is_own(record: &Record) -> bool {
    record.finding.category != CATEGORY
}

/// One line of what tetherd says of itself, cut at the width.
fn own_row(record: &Record, width: usize) -> String {
    let finding = &record.finding;
    let time = escape(cut(&finding.create_time, 19).replace('T', " ").as_bytes());
    let category = finding.category.strip_prefix("Tetherd: ").unwrap_or(&finding.category);
    let what = format!("{}: {}", escape(category.as_bytes()), visible(&finding.description));
    let line = format!("{:<19} {:<10} {what}", take(&time, 19), record.sequence());
    format!("{}\n", take(&line, width))
}

/// One line, cut at the width.
pub fn row(record: &Record, width: usize, colours: bool) -> String {
    let finding = &record.finding;
    let time = escape(cut(&finding.event_time, 19).replace('T', " ").as_bytes());
    let state = match finding.state {
        _ if finding.mute == "MUTED" => "muted",
        crate::model::detection::State::Active => "open ",
        crate::model::detection::State::Inactive => "ended",
    };
    let count = record.number(property::PROCESS_COUNT).unwrap_or(0);
    let fixed =
        format!(" {state} {:<ID_SHOWN$} {count:>5} ", take(&escape(record.id().as_bytes()), ID_SHOWN));
    let (time, rest) = (take(&time, 19), summary(record));
    let rest = take(&rest, width.saturating_sub(29 + fixed.len()).max(8));
    format!("{time:<19} {}{fixed}{rest}\n", out::severity(finding.severity, colours))
}

/// What ran, where to, in which container.
fn summary(record: &Record) -> String {
    let text = |key: &str| record.text(key).unwrap_or_default();
    let exe = text(property::PROCESS_BINARY_FULLPATH);
    let name = exe.rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or("?");
    let connection = record.finding.connections.first();
    let peer = connection.and_then(|connection| {
        let ip = connection.destination_ip.as_deref()?;
        let port = connection.destination_port?;
        Some(if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") })
    });
    let arrow = if text(property::TETHER_DIRECTION) == "inbound" { "<-" } else { "->" };
    let peer = peer.unwrap_or_else(|| text(property::PEER_SCOPE).to_owned());
    let (pod, id) = (text(property::POD_NAME), cut(text(property::CONTAINER_ID), 12));
    let container = match (text(property::CONTAINER_NAME), id) {
        (_, "") => String::new(),
        (own, _) if !pod.is_empty() => format!(" in {}/{pod}/{own}", text(property::POD_NAMESPACE)),
        ("", id) => format!(" in {id}"),
        (own, _) => format!(" in {own}"),
    };
    escape(format!("{name} {arrow} {peer}{container}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Moment;
    use crate::model::finding::CATEGORY_LOSS;
    use crate::spool::record::observation;

    #[test]
    fn places() {
        let of = |properties: &[(&str, &str)]| {
            let more = properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).into())).collect();
            let now = Moment { mono_ns: 1, wall_ns: 1 };
            summary(&observation(CATEGORY_LOSS, "A record.", more, now, "boot"))
        };
        let id = (property::CONTAINER_ID, "73bfe475650de66df8e2affdc98d440d");
        let name = (property::CONTAINER_NAME, "we\u{1b}b");
        assert_eq!(of(&[]), "? -> ");
        assert_eq!(of(&[id]), "? ->  in 73bfe475650d");
        assert_eq!(of(&[id, name]), "? ->  in we\\x1bb");
        let pod = [(property::POD_NAMESPACE, "shop"), (property::POD_NAME, "front")];
        assert_eq!(of(&[id, name, pod[0], pod[1]]), "? ->  in shop/front/we\\x1bb");
    }
}
