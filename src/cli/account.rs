//! A finding in plain words, for somebody who has not seen one before.
//!
//! Owns: what happened, how sure that is, what to look at before acting. Must not own: the facts' values (`facts`), the
//! commands (`respond`), how it is shown.

use serde_json::Value;

use crate::cli::facts::Facts;
use crate::cli::timeline;
use crate::model::finding::{CATEGORY, property};

/// What happened.
pub fn happened(facts: &Facts<'_>) -> Vec<String> {
    let record = facts.record;
    let text = |key: &str| record.text(key).unwrap_or_default();
    let mut told = vec![record.finding.description.clone()];
    if record.finding.category != CATEGORY {
        return told;
    }
    if let Some(sentence) = meaning(record.number(property::ROW)) {
        told.push(sentence.into());
    }
    let entries = timeline::entries(record);
    let ran: Vec<&str> =
        entries.iter().filter(|entry| !entry.main).map(|entry| entry.what.as_str()).collect();
    let (first, last) = (text(property::FIRST_SEEN), text(property::LAST_SEEN));
    if !first.is_empty() {
        let count = timeline::count(record);
        let commands = if count == 1 { "One command was".into() } else { format!("{count} commands were") };
        told.push(format!(
            "{commands} seen between {} and {}.",
            timeline::short(first),
            timeline::short(if last.is_empty() { first } else { last })
        ));
    }
    if let (Some(newest), true) = (ran.last(), ran.len() > 1) {
        told.push(format!("The newest of them: {newest}"));
    }
    if let Some(login) = record.number(property::PROCESS_LOGIN_USER_ID) {
        told.push(format!(
            "The login that it descends from is uid {login}'s: a person's session, or something started in it."
        ));
    }
    told
}

/// What a row means to somebody who does not know the table.
fn meaning(row: Option<u64>) -> Option<&'static str> {
    Some(match row? {
        1 => "Whoever is at the other end types into this program and reads what it prints.",
        2 => "Whoever is at the other end types commands; what they print goes elsewhere.",
        3 => {
            "What the commands print goes out over the network; this is how loops read commands from a socket."
        }
        4 => "Another process passes on what is typed at the other end to this shell, and its answers back.",
        5 => "A network tool passes on what is typed at the other end to this program, and its answers back.",
        6 => {
            "A program on the network runs commands and takes what they print: code that was put into it, or its own."
        }
        7 => {
            "A program that is no shell has its input and output on the network; some services work like this."
        }
        8 => "Different commands used one connection, one after the other, each one way.",
        _ => return None,
    })
}

/// How sure it is, and what may be missing.
pub fn sure(facts: &Facts<'_>) -> Vec<String> {
    let record = facts.record;
    let seen = record.finding.source_properties.get(property::PROCESS_OBSERVATIONS);
    let number = |name: &str| match seen.and_then(|seen| seen.get(name)) {
        Some(Value::String(text)) => text.parse().unwrap_or(0),
        Some(value) => value.as_u64().unwrap_or(0),
        None => 0,
    };
    let mut told = Vec::new();
    for (name, words) in [
        ("held", "held: stood still in execve until it was read. Nothing about it is a guess."),
        ("live", "live: read while it ran. Its descriptors and arguments are what the kernel said."),
        (
            "inherited",
            "inherited: gone before it could be read. That it ran is certain; its descriptors are those of its parent, \
             its arguments may be missing.",
        ),
        (
            "swept",
            "swept: found by a look at all processes. The tether is certain; what ran before the look is not known.",
        ),
    ] {
        let count: u64 = number(name);
        if count > 0 {
            told.push(format!("{count} {words}"));
        }
    }
    if told.is_empty() {
        told.push("The record does not say how its processes were seen.".into());
    }
    let known = timeline::entries(record).len() as u64;
    let missing = timeline::count(record).saturating_sub(known);
    if missing > 0 {
        told.push(format!("{missing} more commands are counted, but their names had no room in the record."));
    }
    if let Some(status) = record.finding.source_properties.get(property::ENRICHMENT_STATUS) {
        let missing = status.get("missing").and_then(Value::as_array);
        for what in missing.into_iter().flatten().filter_map(Value::as_str) {
            told.push(format!("Not known: {what}."));
        }
    }
    told.push(
        "What the shell did by itself (cd, echo, reading a file with its own words) starts no process and is not in \
         the timeline."
            .into(),
    );
    told
}

/// What tells an attack from something that is meant to be.
pub fn check(facts: &Facts<'_>) -> Vec<String> {
    let record = facts.record;
    let text = |key: &str| record.text(key).unwrap_or_default();
    let mut told = Vec::new();
    told.push(match record.number(property::ROW) {
        Some(6) => "Is this program meant to run these commands (a CI runner, a monitoring agent, an installer)? A \
             web server is not.",
        Some(7) => "Is this program a service that is started per connection (inetd, a systemd socket with Accept=yes)?",
        Some(8) => "Are these commands somebody's health checks or transfers, with a fixed peer and a fixed text?",
        _ => "Did somebody you can ask do this: a test, a debugging session, a support tool? Ask, by another way \
             than the machine itself.",
    }
    .to_owned());
    let peer = facts.peer.plain();
    told.push(match text(property::PEER_SCOPE) {
        "loopback" => {
            "The peer is on this machine: find who holds the other end of the connection. A forwarded port (ssh, \
             chisel, socat, a sidecar) leads somewhere else."
                .into()
        }
        "private" | "link-local" => {
            format!("{peer} is within your own networks: whose machine or pod is it? It may be the next one to look at.")
        }
        "public" => format!("{peer} is on the internet: is it an address that you know?"),
        _ => "The peer is not known: look for the socket while it is open.".into(),
    });
    if text(property::TETHER_DIRECTION) == "inbound" {
        told.push(
            "The connection came in to a port that is listened on here: who may reach it, and who opened it?"
                .into(),
        );
    }
    told.push(
        "What do the commands do? Reading (id, uname, cat /etc/passwd) is looking around; curl, wget, chmod, crontab, \
         authorized_keys are staying."
            .into(),
    );
    told.push(
        "What started it (\"Started by\")? A web server, a database, a language runtime above a shell is how somebody \
         came in; a login shell is who."
            .into(),
    );
    if facts.contained() {
        told.push("Is the program part of the image? Reverse shells often bring their own.".into());
    }
    told.push(
        "If it is meant to be: an allow rule in /etc/tetherd/rules.d, as narrow as can be, with a reason."
            .into(),
    );
    told
}
