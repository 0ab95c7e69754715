//! Holds every form that a record is sent in against schemas and parsers that were not written here.
//!
//! Records of all shapes go through the enrichment and the spool's writer, and are read back and rendered in every form
//! at several lengths. `tests/formats/check.py` judges them, in the Python environment that
//! `tests/setup/formats-venv.sh` makes; rsyslogd and syslog-ng judge RFC 5424. The mapping to the Elastic Common Schema is
//! carried out and held against that schema by `tests/formats/ecs.py`. What is missing is left out with a
//! warning, and fails where TETHERD_TESTS_STRICT=1.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test that cannot go on fails

mod common;
#[path = "formats/receivers.rs"]
mod receivers;
#[path = "scc/records.rs"]
mod records;
#[path = "scc/shapes.rs"]
#[allow(dead_code, reason = "the shapes have constants that only tests/scc_schema.rs holds records to")]
mod shapes;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use common::syslogs::Syslog;
use records::{BOOT, NOW, record, record_with_names, spooled};
use serde_json::{Value, json};
use syslog::Facility;
use tetherd::deliver::format::{BYTES_LEAST, Format, Limits, render};
use tetherd::deliver::rfc5424::Header5424;
use tetherd::model::finding::{CATEGORY_LOSS, Record, property};
use tetherd::model::socket::Direction;
use tetherd::spool::record::observation;
use tetherd::spool::settings::SpoolSettings;
use tetherd::spool::summary::Summary;

/// Bytes: all that a record may say; what rsyslog takes as it is shipped; a UDP datagram over IPv6; the least.
const LENGTHS: [usize; 4] = [30_000, 7_900, 1_180, BYTES_LEAST];

/// The lines of a spool with all shapes, and with what tetherd says about itself.
fn lines() -> Vec<String> {
    let scratch = tempfile::tempdir().unwrap();
    let mut records: Vec<Record> = shapes::all().iter().map(record).collect();
    records.push(record_with_names(&scratch.path().join("names")));
    let mut inbound = shapes::pod();
    inbound.direction = Direction::Inbound;
    records.push(record(&inbound));
    let mut digest = record(&shapes::pod());
    for container in &mut digest.finding.containers {
        container.image_id = Some(format!("sha256:{}", "2d9ae5c1".repeat(8)));
    }
    records.push(digest);
    let mut escapes = record_with_names(&scratch.path().join("names"));
    escapes.finding.description = r#"a "quoted" ] word, a\path, a|pipe, a=b é 漢 🦀"#.into();
    let args = json!(["sh", "-c", "x=1; echo \"$x\" | tr ']' '\\' \n# dst=1.2.3.4 CEF:0|a|b"]);
    escapes.finding.source_properties.insert(property::PROCESS_ARGUMENTS.into(), args);
    records.push(escapes);
    let losses = BTreeMap::from([
        ("Losses".to_owned(), json!({"kernel_overflow": 12, "spool_torn": 1})),
        (
            property::EVIDENCE.to_owned(),
            json!(["12 kernel_overflow: what the kernel dropped", "1 spool_torn: …"]),
        ),
    ]);
    records.push(observation(CATEGORY_LOSS, "Something may have been missed.", losses, NOW, BOOT));
    // A kind of record that these forms have never heard of.
    let counters: BTreeMap<String, Value> =
        (0..60).map(|n| (format!("Counter_{n}"), json!(n * 1_000_000))).collect();
    let unknown = BTreeMap::from([
        ("Counters".to_owned(), json!(counters)),
        ("Signature".to_owned(), json!("ed25519:".to_owned() + &"A".repeat(88))),
        ("Nested".to_owned(), json!({"a": [1, {"b": null}], "c": {"d": 1.5}})),
    ]);
    records.push(observation("Tetherd: Something New", "All is well.", unknown, NOW, BOOT));
    let mut text = spooled(&scratch.path().join("all"), &mut records, SpoolSettings::default());
    let mut many: Vec<Record> = (0..20).map(|_| record(&shapes::pod())).collect();
    let small = SpoolSettings { segment_bytes: 8 << 10, max_bytes: 32 << 10, ..SpoolSettings::default() };
    text.push_str(&spooled(&scratch.path().join("small"), &mut many, small));
    assert!(text.contains("Tetherd: Findings Dropped"), "the small spool dropped nothing");
    text.lines().map(str::to_owned).collect()
}

fn body(format: Format, line: &str, bytes: usize) -> String {
    let record: Record = serde_json::from_str(line).unwrap();
    String::from_utf8(render(format, line, &record, Limits { bytes })).unwrap()
}

/// What `check.py` is asked, one line a message.
fn question(format: &str, most: usize, body: &str, line: &str) -> String {
    json!({"format": format, "most": most, "body": body, "line": line}).to_string() + "\n"
}

/// Whether all is well, and what the judge said.
fn check(questions: &str) -> Option<(bool, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/test-tools/formats-venv/bin/python");
    if !python.exists() {
        common::skip("the environment that tests/setup/formats-venv.sh makes");
        return None;
    }
    if common::which("lognormalizer").is_none() {
        common::skip("lognormalizer (liblognorm-utils)");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), questions).unwrap();
    let output =
        Command::new(python).arg(root.join("tests/formats/check.py")).arg(file.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Some((output.status.success(), said.into_owned()))
}

#[test]
fn every_form_is_its_own_formats() {
    let mut questions = String::new();
    for line in lines() {
        for format in Format::ALL {
            for most in LENGTHS {
                questions += &question(format.name(), most, &body(format, &line, most), &line);
            }
        }
    }
    let Some((good, said)) = check(&questions) else { return };
    assert!(good, "{said}");
}

/// The ingest pipeline for Elasticsearch makes fields of the Elastic Common Schema, and no others, of the spool's lines.
#[test]
fn the_pipeline_makes_fields_of_the_elastic_common_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), lines().join("\n")).unwrap();
    let program = root.join("tests/formats/ecs.py");
    // The whole schema, where tests/setup/ecs.sh could fetch it.
    let schema = Some(root.join("target/test-tools/ecs/package/generated")).filter(|folder| folder.exists());
    let output = Command::new("python3").arg(program).arg(file.path()).args(schema).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

/// A judge that takes everything proves nothing.
#[test]
fn the_judges_can_say_no() {
    let lines = lines();
    let line = lines.iter().find(|line| line.contains("\"Pod_Name\"")).unwrap();
    let whole = |format| body(format, line, 30_000);
    let (ocsf, cef, structured) = (whole(Format::Ocsf), whole(Format::Cef), whole(Format::Structured));
    for (form, good, from, to, complaint) in [
        ("ocsf", &ocsf, "\"container\",", "", "'container' was unexpected"),
        ("ocsf", &ocsf, "\"severity_id\":5", "\"severity_id\":42", "severity_id"),
        ("ocsf", &ocsf, "\"version\":\"1.8.0\"", "\"vers\":\"1.8.0\"", "'version' is a required property"),
        ("ocsf", &ocsf, "evidences[].dst_endpoint.ip", "evidences[].dst.ip", "does not lead"),
        ("rfc5424", &structured, "][tetherd", "] [tetherd", "refused"),
        ("rfc5424", &structured, "seq=\"", "seq=\"9", "seq is"),
        ("cef", &cef, "|10|", "|10", "severity"),
        ("cef", &cef, " msg=", " msg=\\q", "liblognorm does not take it"),
        ("cef", &cef, " dst=", " dst=1", "peer is"),
        ("compact", &whole(Format::Compact), "\"id\":\"", "\"id\":\"0", "id is"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(&bad, good, "{from} does not stand in {good}");
        let Some((good, said)) = check(&question(form, 40_000, &bad, line)) else { return };
        assert!(!good && said.contains(complaint), "{form} with {to} for {from}: {said}");
    }
}

fn summary(record: &Record) -> Summary {
    Summary::of(&serde_json::to_vec(record).unwrap()).unwrap()
}

fn structured_data_is_understood(judge: Syslog) {
    if let Some(what) = judge.missing() {
        return common::skip(what);
    }
    let lines = lines();
    let records: Vec<Record> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let bodies: Vec<String> = lines.iter().map(|line| body(Format::Structured, line, 7_900)).collect();
    let header = Header5424::new(Facility::LOG_AUTHPRIV, "node-7", 4711);
    let messages: Vec<String> =
        records.iter().zip(&bodies).map(|(record, body)| header.of(&summary(record)) + body).collect();
    let understood = receivers::start(judge).judge(&messages);
    assert_eq!(understood.len(), records.len());
    for (told, (record, body)) in understood.iter().zip(records.iter().zip(&bodies)) {
        assert_eq!(told["id"], record.id(), "{told}");
        assert_eq!(told["seq"], record.sequence().to_string(), "{told}");
        let kind = if record.finding.severity.is_some() { "finding" } else { "observation" };
        assert_eq!((&told["software"], &told["msgid"]), (&json!("tetherd"), &json!(kind)), "{told}");
        if !body.contains(r#"truncated="true""#) {
            let text = told["text"].as_str().unwrap();
            assert_eq!(text.trim_start(), record.finding.description, "{told}");
        }
    }
}

#[test]
fn rsyslog_understands_the_structured_data() {
    structured_data_is_understood(Syslog::Rsyslog);
}

#[test]
fn syslog_ng_understands_the_structured_data() {
    structured_data_is_understood(Syslog::SyslogNg);
}

/// The blocks of docs/formats.md that are marked as examples, with the place of each.
fn examples(page: &str) -> Vec<(&str, std::ops::Range<usize>)> {
    let mark = "<!-- example: ";
    let found = page.match_indices(mark).map(|(at, _)| {
        let name = page[at + mark.len()..].split(' ').next().unwrap();
        let begin = at + page[at..].find("```").unwrap();
        let begin = begin + page[begin..].find('\n').unwrap() + 1;
        (name, begin..begin + page[begin..].find("```").unwrap())
    });
    found.collect()
}

/// With TETHERD_WRITE_EXAMPLES=1 it writes them.
#[test]
fn the_page_shows_what_is_sent() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let line = fs::read_to_string(root.join("docs/examples/finding.json")).unwrap();
    let mut page = fs::read_to_string(root.join("docs/formats.md")).unwrap();
    let copy = page.clone();
    let examples = examples(&copy);
    assert_eq!(examples.len(), Format::ALL.len() - 1, "every form but the line itself has one");
    for (name, place) in examples.into_iter().rev() {
        let sent = body(Format::of(name).unwrap(), line.trim_end(), 7_900);
        // One line each; the long one is easier to read on several.
        let shown = match name {
            "ocsf" => serde_json::to_string_pretty(&serde_json::from_str::<Value>(&sent).unwrap()).unwrap(),
            _ => sent,
        };
        page.replace_range(place, &(shown + "\n"));
    }
    if std::env::var_os("TETHERD_WRITE_EXAMPLES").is_some() {
        fs::write(root.join("docs/formats.md"), &page).unwrap();
    }
    assert!(page == copy, "docs/formats.md shows something else; TETHERD_WRITE_EXAMPLES=1 writes it anew");
}
