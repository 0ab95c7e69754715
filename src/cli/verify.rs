//! `tetherd verify`.
//!
//! Owns: the keys that are given, the report in words and as JSON. Must not own: the check.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::cli::args::Verify;
use crate::cli::failure::Failure;
use crate::cli::{out, spool};
use crate::model::exit::Exit;
use crate::model::text::{escape, escape_json};
use crate::spool::key::PublicKey;
use crate::spool::segment;
use crate::spool::verify::{Break, Place, Report, Side, verify_with};

/// Breaks, and torn lines, that are printed.
const SHOWN: usize = 20;
/// The most that is read of a key's file.
const KEY_MAX: u64 = 4096;

/// Checks the chain; exit code 1 where it is broken, or where keys are given and vouch for nothing.
pub fn verify(arguments: &Verify) -> Result<Exit, Failure> {
    let keys: Vec<PublicKey> = arguments.public_key.iter().map(|text| key(text)).collect::<Result<_, _>>()?;
    let directory = match &arguments.directory {
        Some(directory) => directory.clone(),
        None => spool(&arguments.common)?,
    };
    let report = verify_with(&directory, &keys)?;
    let text = if arguments.json {
        format!("{}\n", escape_json(json_of(&report).to_string()))
    } else {
        words(&report, !keys.is_empty())
    };
    out::print(&text)?;
    let vouched = keys.is_empty() || report.vouched.last.is_some();
    Ok(if report.broken() == 0 && vouched { Exit::Ok } else { Exit::Findings })
}

/// A key that was given: itself, or the file that holds it.
fn key(text: &str) -> Result<PublicKey, Failure> {
    if let Some(key) = PublicKey::parse(text) {
        return Ok(key);
    }
    let shown = escape(text.as_bytes());
    let file = std::fs::File::open(Path::new(text)).and_then(|file| {
        let mut content = String::new();
        std::io::Read::read_to_string(&mut std::io::Read::take(file, KEY_MAX), &mut content)?;
        Ok(content)
    });
    match file {
        Ok(content) => PublicKey::parse(&content).ok_or_else(|| {
            Failure::Usage(format!(
                "{shown} holds no Ed25519 public key; give PEM, or the base64 that `tetherd status` prints"
            ))
        }),
        Err(error) => Err(Failure::NotFound(format!(
            "--public-key {shown} is neither a key in base64 nor a file that can be read ({error})"
        ))),
    }
}

fn words(report: &Report, keys: bool) -> String {
    let mut text = format!(
        "{} records in {} segments, numbers {} to {}, {} torn lines\n",
        report.records, report.segments, report.first, report.last, report.torn
    );
    if report.newer > 0 {
        text.push_str(&format!(
            "{} records are of a newer version of tetherd: their place in the chain was checked, their content is not known here\n",
            report.newer
        ));
    }
    for torn in report.torn_lines.iter().take(SHOWN) {
        text.push_str(&format!(
            "torn tail: {}, after record {}: never acknowledged, or written again\n",
            shown(torn.place),
            torn.after
        ));
    }
    for (place, found) in report.breaks.iter().take(SHOWN).enumerate() {
        if place == 1 {
            text.push_str("further breaks:\n");
        }
        text.push_str(&broken(found, place == 0));
    }
    let broken = report.broken();
    if broken > SHOWN as u64 {
        text.push_str(&format!("... and {} more\n", broken - SHOWN as u64));
    }
    if broken == 0 {
        text.push_str("The chain is whole: no record was changed or removed.\n");
    } else {
        let kinds: Vec<String> =
            report.kinds.iter().map(|(kind, count)| format!("{count} {}", kind.title())).collect();
        text.push_str(&format!("{broken} breaks: {}\n", kinds.join(", ")));
    }
    text.push_str(&vouched(report, keys));
    text
}

/// The first break with the records around it, others in one line.
fn broken(found: &Break, first: bool) -> String {
    let mut text = format!(
        "BROKEN at record {}, {}: {}: {}\n",
        found.sequence,
        shown(found.place),
        found.kind.title(),
        escape(found.what.as_bytes())
    );
    if first {
        for (word, side) in [("before", &found.before), ("after ", &found.after)] {
            let line = match side {
                Some(side) => format!(
                    "record {} of {}, {}, {}",
                    side.sequence,
                    escape(side.time.as_bytes()),
                    shown(side.place),
                    escape(side.name.as_bytes())
                ),
                None => "no record".into(),
            };
            text.push_str(&format!("  {word} {line}\n"));
        }
    }
    text
}

fn shown(place: Place) -> String {
    format!("{} line {}", segment::name(place.position.segment), place.line)
}

fn vouched(report: &Report, keys: bool) -> String {
    let vouched = &report.vouched;
    match (&vouched.last, keys) {
        (Some(last), _) => format!(
            "Vouched for: records {} to {}, by {} checkpoints, the last of {}. {}\n",
            vouched.from,
            last.sequence,
            vouched.good,
            escape(last.time.as_bytes()),
            match vouched.beyond {
                0 => "None came after it.".to_owned(),
                count => format!("The {count} records after it could have been written anew."),
            }
        ),
        (None, true) if vouched.checkpoints == 0 => {
            "NOT vouched for: there is no checkpoint; all of it could have been written anew.\n".into()
        }
        (None, true) => "NOT vouched for: no checkpoint is signed with a given key.\n".into(),
        (None, false) if vouched.checkpoints > 0 => format!(
            "{} checkpoints, whose signatures were not checked: give the node's key with --public-key.\n",
            vouched.checkpoints
        ),
        (None, false) => String::new(),
    }
}

fn json_of(report: &Report) -> Value {
    let kinds: Map<String, Value> =
        report.kinds.iter().map(|(kind, count)| (kind.name().to_owned(), (*count).into())).collect();
    let breaks: Vec<Value> = report.breaks.iter().map(json_of_break).collect();
    let torn: Vec<Value> = report
        .torn_lines
        .iter()
        .map(|torn| json!({ "place": json_of_place(torn.place), "after": torn.after }))
        .collect();
    let vouched = &report.vouched;
    json!({
        "records": report.records, "segments": report.segments, "first": report.first, "last": report.last,
        "torn": report.torn, "torn_lines": torn, "rewritten": report.rewritten, "unused": report.unused,
        "before_first": report.before_first, "dropped_explained": report.dropped_explained, "newer": report.newer,
        "broken": report.broken(), "kinds": kinds, "breaks": breaks,
        "checkpoints": {
            "count": vouched.checkpoints, "good": vouched.good, "vouched_from": vouched.from,
            "vouched_to": vouched.last.as_ref().map(|side| side.sequence),
            "time": vouched.last.as_ref().map(|side| &side.time), "beyond": vouched.beyond,
        },
    })
}

fn json_of_break(found: &Break) -> Value {
    let side = |side: &Option<Side>| {
        side.as_ref().map(|side| {
            json!({
                "place": json_of_place(side.place), "sequence": side.sequence, "name": side.name, "time": side.time,
            })
        })
    };
    json!({
        "kind": found.kind.name(), "segment": found.place.position.segment,
        "offset": found.place.position.offset, "line": found.place.line, "sequence": found.sequence,
        "file": segment::name(found.place.position.segment),
        "before": side(&found.before), "after": side(&found.after), "what": found.what,
    })
}

fn json_of_place(place: Place) -> Value {
    json!({ "file": segment::name(place.position.segment), "line": place.line, "offset": place.position.offset })
}
