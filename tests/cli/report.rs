//! `report`: a page that is what the template says, whatever the records hold; and the file that it is written to.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tetherd::model::finding::{Process, Record, property};

use crate::common::daemon::TETHERD;
use crate::common::skip;
use crate::hostile::TEXTS;
use crate::spools::{append, finding, id, printed, reading, spool, tetherd};

/// What ends an element, an attribute, a comment, a style, a drawing, or begins one.
const MARKUP: [&str; 16] = [
    "</pre></article><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "--><!-- x --!><!--",
    "</style><style>*{display:none}</style>",
    "]]></svg><svg onload=alert(1)>",
    "</text></svg><foreignObject><body onload=x>",
    "</title><base href=//192.0.2.1>",
    "<![CDATA[<x>]]>",
    "&lt;script&gt;&#x3c;script&#x3e;&amp",
    "javascript:alert(1)",
    "\u{0}<\u{0}script>\u{feff}\u{fffe}",
    "<\u{200b}/pre\u{a0}>\u{2028}<p>",
    "</details></main></body></html><plaintext>",
    "<math><mtext></p><style><!--</style><img>",
    "\r\n\n<textarea><noscript><template><select>",
];

/// A finding with this text in every place that somebody else can write to.
fn everywhere(beginning: &str, text: &str) -> Record {
    let mut record = finding(&id(beginning), text);
    record.resource.name = format!("//container.googleapis.com/projects/{text}/clusters/c");
    let process = |pid: u32, parent: u32| Process {
        pid: pid.to_string(),
        parent_pid: parent.to_string(),
        user_id: text.into(),
        name: text.into(),
        args: vec![text.into()],
        ..Process::default()
    };
    record.finding.description = text.into();
    record.finding.processes = vec![process(77, 76), process(78, 77), process(79, 5)];
    for key in [
        property::POD_NAME,
        property::POD_NAMESPACE,
        property::CONTAINER_NAME,
        property::CONTAINER_IMAGE_URI,
        property::CONTAINER_RUNTIME,
        property::VM_INSTANCE_NAME,
        property::LAST_SEEN,
        "Brand_New",
    ] {
        record.finding.source_properties.insert(key.into(), json!(text));
    }
    let hops = json!([{"pid": 77, "comm": text, "backing": text}, {"pid": 80, "comm": text, "backing": text, "fds": [1]}]);
    record.finding.source_properties.insert(property::TETHER_PATH.into(), hops);
    record
        .finding
        .source_properties
        .insert(format!("Key_{}", text.len()), json!({"x": [text, {text: text}]}));
    record
}

fn page(directory: &Path, arguments: &[&str], output: &Path) {
    printed(reading(directory, &[&["report"], arguments].concat()).arg("-o").arg(output));
}

/// The page's text, after a parser found nothing in it that the page of harmless texts has not.
fn parsed(texts: &[&str]) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = root.join("target/test-tools/html-venv/bin/python");
    if !python.exists() {
        skip("target/test-tools/html-venv (tests/setup/html-venv.sh)");
        return None;
    }
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, texts: &[String]| {
        let records = texts.iter().enumerate().map(|(at, text)| everywhere(&format!("aa{at:02x}"), text));
        let directory = spool(records.collect());
        let file = place.path().join(name);
        page(directory.path(), &[], &file);
        file
    };
    let hostile: Vec<String> = texts.iter().map(|text| (*text).to_owned()).collect();
    let plain: Vec<String> = texts.iter().map(|text| "x".repeat(text.len())).collect();
    let script = root.join("tests/cli/page.py");
    let (hostile, plain) = (write("hostile.html", &hostile), write("plain.html", &plain));
    let output = Command::new(python).arg(script).arg(hostile).arg(plain).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{texts:?}: {said}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn hostile_texts_stay_text() {
    let texts: Vec<&str> = MARKUP.iter().chain(&TEXTS).copied().collect();
    let Some(text) = parsed(&texts) else { return };
    assert!(text.contains("<script>alert(1)</script>") && text.contains("]]></svg><svg onload=alert(1)>"));
    assert!(!text.contains(|c: char| c.is_control() && c != '\n' || matches!(c, '\u{202e}' | '\u{200b}')));
    for text in texts {
        if parsed(&[text]).is_none() {
            return;
        }
    }
}

/// A spool that somebody else has written.
#[test]
fn a_forged_spool() {
    let mut record = everywhere("aa11", "x");
    record.finding.name = "x/\"><script>".into();
    record.finding.event_time = "\"><script>".into();
    record.finding.processes[0].pid = "\"><script>".into();
    record.finding.category = tetherd::model::finding::CATEGORY.into();
    let directory = spool(vec![record]);
    let file = directory.path().join("page.html");
    page(directory.path(), &[], &file);
    let text = std::fs::read_to_string(file).unwrap();
    assert!(!text.contains("<script>") && text.contains("&lt;script&gt;"));
}

#[test]
fn which_findings() {
    let directory = spool(vec![finding(&id("aa11"), "alpha"), finding(&id("bb22"), "beta")]);
    append(directory.path(), &mut [finding(&id("aa11"), "gamma")]);
    let file = directory.path().join("page.html");
    let of = |arguments: &[&str]| {
        page(directory.path(), arguments, &file);
        std::fs::read_to_string(&file).unwrap()
    };
    let all = of(&[]);
    assert!(all.contains("2 findings.") && all.contains("gamma") && !all.contains("alpha"));
    assert!(all.find("/beta").unwrap() < all.find("/gamma").unwrap(), "oldest first");
    let one = of(&["bb"]);
    assert!(one.contains("1 finding.") && one.contains("beta") && !one.contains("gamma"));
    assert!(of(&["-n", "1"]).contains("gamma") && of(&["--severity", "critical"]).contains("2 findings."));
    assert!(of(&["--until", "2026-01-01T00:00:00Z"]).contains("No findings."));
    let printed = printed(reading(directory.path(), &["report", "bb", "-o", "-"]).arg("--severity=low"));
    assert!(printed.starts_with("<!DOCTYPE html>") && printed.ends_with("</html>\n"), "{printed}");
}

#[test]
fn the_file() {
    let directory = spool(vec![finding(&id("aa11"), "x")]);
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("page.html");
    page(directory.path(), &[], &file);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&file, "old").unwrap();
    page(directory.path(), &[], &file);
    assert!(std::fs::read_to_string(&file).unwrap().starts_with("<!DOCTYPE html>"));
    let link = place.path().join("link");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    for (output, code, about) in [
        (link.to_str().unwrap(), 64, "is not a plain file"),
        (place.path().to_str().unwrap(), 64, "is not a plain file"),
        ("/dev/null", 64, "is not a plain file"),
        ("/none/such/page.html", 73, "cannot write /none/such/page.html"),
    ] {
        let output = reading(directory.path(), &["report", "-o", output]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(code) && said.contains(about), "{:?}: {said}", output.status);
    }
    for (arguments, code) in [
        (&["report", "-o", "x", "--spool", "/none/such"][..], 66),
        (&["report", "bb", "-o", "x", "--spool", directory.path().to_str().unwrap()], 66),
        (&["report"], 64),
        (&["report", "-o", "x", "--since", "yesterday"], 64),
    ] {
        let output = tetherd(arguments).current_dir(place.path()).output().unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let left: Vec<_> =
        std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

/// 1,000 findings of the largest size: a page of some 90 MB, in less memory than the page, or the records, would take.
#[test]
fn memory_does_not_grow_with_the_findings() {
    let text = "long ".repeat(120);
    let records = (0..1000).map(|number| {
        let mut record = everywhere(&format!("{number:04x}"), "x");
        let entry = json!({"time": "2026-11-24T03:50:17.000000001Z", "pid": 7, "seen": "live", "args": text});
        record.finding.source_properties.insert(property::TIMELINE.into(), json!(vec![entry; 36]));
        record
    });
    let directory = spool(records.collect());
    let file = directory.path().join("page.html");
    let limit = format!("ulimit -v 49152; exec {TETHERD} report --spool \"$1\" -o \"$2\"");
    let mut shell = Command::new("/bin/sh");
    let output = shell.args(["-c", &limit, "sh"]).arg(directory.path()).arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let size = std::fs::metadata(&file).unwrap().len();
    assert!(size > 49152 * 1024, "{size} bytes: the limit would say nothing");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.matches("<article ").count(), 1000);
    assert_eq!(text.matches("The response plan, with its commands").count(), 100);
    assert_eq!(text.matches("tetherd explain").count() - text.matches("tetherd explain 7").count(), 900);
}
