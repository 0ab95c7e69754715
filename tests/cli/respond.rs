//! `explain ID`: what it says, and that its commands are what they seem, whatever the record holds.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tetherd::model::finding::{Record, property};

use crate::hostile::TEXTS;
use crate::require;
use crate::spools::{finding, id, printed, reading, spool};

/// What would do something in a shell, or be taken for an option, if it were not quoted.
const NAMES: [&str; 8] = [
    "$(touch pwned)",
    "`touch pwned`",
    "x; touch pwned; y",
    "a' 'b\"; touch pwned; '",
    "--help",
    "new\nline\ntouch pwned\nx",
    "> pwned",
    "{a,b}\u{1b}[2J!!",
];

/// A finding in a pod of a runtime; every name is `text`.
fn contained(text: &str, runtime: &str, pod: bool) -> Record {
    let mut record = finding(&id("aa11"), text);
    let properties = &mut record.finding.source_properties;
    properties.insert(property::CONTAINER_RUNTIME.into(), json!(runtime));
    properties.insert(property::VM_INSTANCE_NAME.into(), json!(text));
    properties.insert(property::CGROUP_PATH.into(), json!(format!("/{text}/{text}")));
    properties.insert(property::ROW.into(), json!(1));
    properties.insert(property::PROCESS_OBSERVATIONS.into(), json!({"held": 0, "live": 1, "inherited": 2}));
    properties
        .insert(property::TETHER_PATH.into(), json!([{"pid": 77}, {"pid": 78, "comm": text, "fds": [3]}]));
    properties.insert("Brand_New".into(), json!([{"id": text, "why": "the same peer"}]));
    if pod {
        for key in [property::POD_NAME, property::POD_NAMESPACE, property::CONTAINER_NAME] {
            properties.insert(key.into(), json!(text));
        }
        record.resource.name =
            format!("//container.googleapis.com/projects/{text}/locations/{text}/clusters/{text}");
    }
    record
}

fn explained(record: Record) -> (String, Value) {
    let directory = spool(vec![record]);
    let text = printed(&mut reading(directory.path(), &["explain", "aa11"]));
    let json = printed(&mut reading(directory.path(), &["explain", "aa11", "--json"]));
    (text, serde_json::from_str(&json).unwrap())
}

fn commands(json: &Value) -> Vec<String> {
    let steps = json["steps"].as_array().unwrap().iter();
    let commands = steps.flat_map(|step| step["commands"].as_array().unwrap());
    commands.map(|command| command["command"].as_str().unwrap().to_owned()).collect()
}

const RUNTIMES: [(&str, bool, &str); 10] = [
    ("docker", false, "docker pause c1"),
    ("docker", true, "docker pause c1"),
    ("podman", false, "podman stop c1"),
    ("containerd", true, "crictl inspect c1"),
    ("containerd", false, "ctr -n c1 task pause c1"),
    ("cri-o", true, "crictl stop c1"),
    ("nerdctl", false, "nerdctl inspect c1"),
    ("lxc", false, "lxc-freeze -n c1"),
    ("systemd-nspawn", false, "machinectl terminate c1"),
    ("unknown", false, "echo 1 > /sys/fs/cgroup/c1/c1/cgroup.freeze"),
];

#[test]
fn commands_of_each_runtime() {
    for (runtime, pod, command) in RUNTIMES {
        let (text, json) = explained(contained("c1", runtime, pod));
        let commands = commands(&json);
        assert!(
            commands.iter().any(|line| line == command),
            "{runtime}: no {command} in\n{}",
            commands.join("\n")
        );
        assert!(
            commands.iter().any(|line| line == "kill -STOP 77 78"),
            "{runtime}: the command and its relay"
        );
        assert!(commands.iter().all(|line| text.contains(line.as_str())), "{runtime}: text and JSON differ");
        assert_eq!(pod, commands.iter().any(|line| line == "kubectl cordon c1"), "{runtime}");
        assert_eq!(pod, commands.iter().any(|line| line == "kubectl delete pod -n c1 c1"), "{runtime}");
        // Whoever pastes a step whole pastes remarks and commands.
        let plan = text.split("\n1. ").nth(1).unwrap().split("\nLog filters").next().unwrap();
        for line in plan.lines().skip(1).filter(|line| line.starts_with(' ')) {
            let line = line.trim_start();
            assert!(
                line.starts_with("# ") || commands.iter().any(|command| command == line),
                "{runtime}: {line}"
            );
        }
        // A property that nobody has told this program of.
        assert!(text.contains("Brand New: id c1, why the same peer"), "{text}");
        assert!(
            text.contains("1 live: ") && text.contains("2 inherited: ") && !text.contains("held: "),
            "{text}"
        );
    }
}

#[test]
fn log_filters_with_the_times() {
    let (text, json) = explained(contained("c1", "containerd", true));
    let filters: Vec<&str> = json["logFilters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|filter| filter["filter"].as_str().unwrap())
        .collect();
    let times = "timestamp>=\"2026-11-24T03:35:17Z\" AND timestamp<=\"2026-11-24T04:05:17Z\"";
    assert!(filters.iter().all(|filter| filter.starts_with(times) && text.contains(filter)), "{filters:?}");
    for part in [
        "resource.type=\"k8s_container\" AND resource.labels.project_id=\"c1\" AND resource.labels.location=\"c1\" AND \
         resource.labels.cluster_name=\"c1\" AND resource.labels.namespace_name=\"c1\" AND resource.labels.pod_name=\"c1\"",
        "logName:\"cloudaudit.googleapis.com\"",
        "protoPayload.resourceName:\"core/v1/namespaces/c1/pods/c1\"",
        "resource.type=\"k8s_node\"",
    ] {
        assert!(filters.iter().any(|filter| filter.contains(part)), "no {part} in {filters:#?}");
    }
    let (_, json) = explained(contained("c\" OR x=\"1\\", "containerd", true));
    let filter = json["logFilters"][0]["filter"].as_str().unwrap();
    assert!(filter.contains(r#"pod_name="c\" OR x=\"1\\""#), "{filter}");
}

/// A query with its strings taken out, and what they mean: double quotes, a backslash before what is escaped, as Cloud
/// Logging and Kusto have it.
fn taken_apart(query: &str) -> (String, Vec<String>) {
    let (mut shape, mut strings) = (String::new(), Vec::new());
    let mut rest = query.chars();
    while let Some(c) = rest.next() {
        shape.push(c);
        if c != '"' {
            continue;
        }
        let mut units: Vec<u16> = Vec::new();
        loop {
            match rest.next().expect("a string that ends") {
                '"' => break,
                '\\' => match rest.next().unwrap() {
                    'u' => {
                        let digits: String = rest.by_ref().take(4).collect();
                        units.push(u16::from_str_radix(&digits, 16).unwrap());
                    }
                    c => units.extend(c.encode_utf16(&mut [0; 2]).iter()),
                },
                c => {
                    assert!(!c.is_control(), "{query:?}");
                    units.extend(c.encode_utf16(&mut [0; 2]).iter());
                }
            }
        }
        shape.push('"');
        strings.push(String::from_utf16(&units).unwrap());
    }
    (shape, strings)
}

/// What a cloud's console is given: the record's resource, and the cloud that the machine says it is in.
fn in_cloud(text: &str, resource: &str, provider: &str, pod: bool) -> Vec<Value> {
    let mut record = contained(text, if pod { "containerd" } else { "" }, pod);
    record.resource.name = resource.replace("NAME", text);
    if !pod {
        record.finding.source_properties.remove(property::CONTAINER_ID);
    }
    if !provider.is_empty() {
        let cloud = json!({"provider": provider, "location": text, "instance": text, "cluster": text});
        record.finding.source_properties.insert(property::CLOUD.into(), cloud);
    }
    let (said, json) = explained(record);
    let filters = json["logFilters"].as_array().unwrap().clone();
    for filter in &filters {
        assert!(said.contains(filter["filter"].as_str().unwrap()), "text and JSON differ");
    }
    filters
}

fn queries(filters: &[Value], console: &str) -> Vec<String> {
    let of = |filter: &&Value| filter["console"].as_str().unwrap().starts_with(console);
    filters.iter().filter(of).map(|filter| filter["filter"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn filters_of_the_cloud_that_it_is_or_of_all() {
    let consoles = |resource: &str, provider: &str, pod: bool| {
        let filters = in_cloud("c1", resource, provider, pod);
        ["Google", "AWS", "Azure"].map(|console| queries(&filters, console).len())
    };
    let aks = "//management.azure.com/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/c1";
    assert_eq!(consoles("//tetherd/hosts/vm", "", true), [4, 4, 4]);
    assert_eq!(consoles("//tetherd/hosts/vm", "", false), [2, 1, 2]);
    assert_eq!(consoles("//tetherd/hosts/vm", "gce", true), [4, 0, 0]);
    assert_eq!(consoles("//tetherd/hosts/vm", "ec2", true), [0, 4, 0]);
    assert_eq!(consoles("//eks.amazonaws.com/arn:aws:eks:eu-west-1:12:cluster/c1", "", true), [0, 4, 0]);
    assert_eq!(consoles(aks, "", true), [0, 0, 4]);
    assert_eq!(consoles(aks, "", false), [0, 0, 2]);
    // What the machine says weighs more than a name in the configuration.
    assert_eq!(consoles(aks, "ec2", true), [0, 4, 0]);
    let filters = in_cloud("c1", "//tetherd/hosts/vm", "", true);
    let (amazon, azure) = (queries(&filters, "AWS"), queries(&filters, "Azure"));
    assert_eq!(
        amazon[0],
        "fields @timestamp, kubernetes.container_name, log | filter toMillis(@timestamp) >= 1795491317000 and \
         toMillis(@timestamp) <= 1795493117000 | filter kubernetes.namespace_name = \"c1\" and kubernetes.pod_name = \"c1\" \
         | sort @timestamp asc | limit 10000"
    );
    assert!(amazon[1].contains(
        "filter objectRef.resource = \"pods\" and objectRef.namespace = \"c1\" and objectRef.name = \"c1\""
    ));
    assert_eq!(
        azure[0],
        "ContainerLogV2 | where TimeGenerated between (datetime(2026-11-24T03:35:17Z) .. datetime(2026-11-24T04:05:17Z)) | \
         where PodNamespace == \"c1\" and PodName == \"c1\" | project TimeGenerated, ContainerName, LogSource, LogMessage | \
         order by TimeGenerated asc"
    );
    assert!(
        azure[1].starts_with("AKSAudit | ") && azure[2].contains("startswith \"system:serviceaccount:c1:\"")
    );
    // On a command line too, where it is known which cloud it is.
    let mut record = contained("c1", "containerd", true);
    record.resource.name = "//eks.amazonaws.com/arn:aws:eks:eu-west-1:12:cluster/c1".into();
    let said = commands(&explained(record.clone()).1).join("\n");
    for part in [
        "aws logs start-query --log-group-name=/aws/eks/c1/cluster --region=eu-west-1 --start-time=1795491317 --end-time=1795493117",
        "aws cloudtrail lookup-events --lookup-attributes '[{\"AttributeKey\":\"Username\",\"AttributeValue\":\"<INSTANCE>\"}]'",
    ] {
        assert!(said.contains(part), "no {part} in\n{said}");
    }
    record.resource.name = aks.into();
    let said = commands(&explained(record).1).join("\n");
    assert!(said.contains("az monitor log-analytics query --workspace='<WORKSPACE>' --timespan 2026-11-24T03:35:17Z/2026-11-24T04:05:17Z"), "{said}");
}

/// A name ends no string, comments nothing out and adds no condition, in any of the three languages.
#[test]
fn hostile_names_stay_strings() {
    const QUERIES: [&str; 9] = [
        "x\" or \"1\" == \"1",
        "x' or '1' == '1",
        "x\\\" | take 1 //",
        "x\\",
        "x\" // ",
        "x` | stats count(*)",
        "x /* ",
        "x\"\n| union *",
        "@\"x\"\" ",
    ];
    let harmless = in_cloud("c1", "//tetherd/hosts/vm", "", true);
    let shapes: Vec<(String, usize)> = harmless
        .iter()
        .map(|filter| taken_apart(filter["filter"].as_str().unwrap()))
        .map(|(shape, strings)| (shape, strings.len()))
        .collect();
    for text in QUERIES.iter().chain(&NAMES).chain(&TEXTS) {
        let filters = in_cloud(text, "//tetherd/hosts/vm", "", true);
        let mut whole = 0;
        for (filter, (shape, count)) in filters.iter().zip(&shapes) {
            let query = filter["filter"].as_str().unwrap();
            let (mine, strings) = taken_apart(query);
            assert_eq!((&mine, strings.len()), (shape, *count), "{text:?} in {query}");
            whole += usize::from(strings.iter().any(|string| string == text));
            if filter["console"].as_str().unwrap().starts_with("AWS") {
                // Nothing at all is escaped there.
                assert!(!query.contains('\\') && query.matches('"').count() == strings.len() * 2, "{query}");
            }
        }
        let usable = !text.starts_with('-') && !text.ends_with('\n') && !text.contains('\0');
        assert!(!usable || whole >= 5, "{text:?}: whole in {whole} only");
    }
}

#[test]
fn placeholders_are_named() {
    let mut record = contained("c1", "containerd", true);
    for key in [property::POD_NAME, property::POD_NAMESPACE] {
        record.finding.source_properties.remove(key);
    }
    record.finding.source_properties.insert(property::POD_UID.into(), json!("u1"));
    let (text, json) = explained(record);
    assert!(
        commands(&json).iter().any(|line| line == "kubectl describe pod -n '<NAMESPACE>' '<POD>'"),
        "{text}"
    );
    for name in ["NAMESPACE", "POD", "EVIDENCE_DIRECTORY", "SERVICE_ACCOUNT"] {
        assert!(json["placeholders"][name].is_string() && text.contains(&format!("<{name}>: ")), "{text}");
    }
    // Each that occurs is explained.
    for line in commands(&json) {
        for part in line.split('<').skip(1).filter_map(|part| part.split_once('>')) {
            let known =
                part.0.chars().all(|c| c.is_ascii_uppercase() || "_/".contains(c)) && !part.0.is_empty();
            assert!(!known || json["placeholders"][part.0].is_string(), "<{}> in {line}", part.0);
        }
    }
}

/// Programs that write down their arguments, in place of those that the plan names.
fn recorders(directory: &Path, names: &[&str]) {
    for name in names {
        let file = directory.join(name);
        std::fs::write(&file, "#!/bin/sh\nprintf '%s\\0' \"$@\" >>\"$ARGUMENTS\"\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// The plan's commands run for real, with recorders for programs: nothing but these runs, and a hostile name reaches them
/// whole or not at all.
#[test]
fn hostile_names_stay_words() {
    const TOOLS: [&str; 12] = [
        "aws", "az", "kubectl", "gcloud", "crictl", "ctr", "docker", "podman", "nerdctl", "lxc-info",
        "nsenter", "nft",
    ];
    for text in NAMES.iter().chain(&TEXTS) {
        for (runtime, pod, _) in RUNTIMES {
            let place = tempfile::tempdir().unwrap();
            let (bin, arguments) = (place.path().join("bin"), place.path().join("arguments"));
            let inside = place.path().join("inside");
            std::fs::create_dir(&bin).unwrap();
            std::fs::create_dir(&inside).unwrap();
            recorders(&bin, &TOOLS);
            let (said, json) = explained(contained(text, runtime, pod));
            assert!(!said.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{said:?}");
            // zsh takes a remark for a command, if it is not told better.
            let remarks = said.lines().filter(|line| line.starts_with("   # "));
            let bad = |line: &str| {
                line.contains(['$', '`', '<', '>', '&', '|', ';', '\'', '"', '\\', '*'])
                    || line.contains("pwned")
            };
            assert!(remarks.clone().count() > 20);
            let found: Vec<&str> = remarks.filter(|line| bad(line)).collect();
            assert!(found.is_empty(), "{found:#?}");
            let mut script = String::new();
            for line in commands(&json) {
                assert!(!line.contains('\n'), "{line}");
                let first = line.split(' ').next().unwrap();
                if TOOLS.contains(&first) || line.starts_with("printf ") {
                    script += &format!("{line}\n");
                } else {
                    script += &format!("if false; then\n{line}\nfi\n");
                }
            }
            let mut shell = Command::new("/bin/sh");
            shell.arg("-ec").arg(&script).current_dir(&inside).env("ARGUMENTS", &arguments);
            let output = shell.env("PATH", &bin).output().unwrap();
            let failed = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success() && failed.is_empty(), "{text:?} {runtime}: {failed}\n{script}");
            let left = std::fs::read_dir(&inside).unwrap().count();
            assert_eq!(left, 0, "{text:?} {runtime}: something was written\n{script}");
            let given = std::fs::read(&arguments).unwrap_or_default();
            let given: Vec<&[u8]> = given.split(|byte| *byte == 0).collect();
            let usable = !text.starts_with('-') && !text.ends_with('\n') && !text.contains('\0');
            // These need the container's name and can be run here.
            if usable && TOOLS.contains(&runtime) {
                assert!(
                    given.contains(&text.as_bytes()),
                    "{text:?} {runtime}: not among the arguments\n{script}"
                );
            }
            assert!(!given.contains(&b"--help".as_slice()), "{runtime}: a name became an option\n{script}");
        }
    }
}

/// The firewall takes the rules that the plan has for it.
#[test]
fn rules_for_the_firewall() {
    require!("nft");
    for peer in ["192.0.2.7", "2001:db8::7"] {
        let mut record = contained("c1", "docker", false);
        record.finding.connections[0].destination_ip = Some(peer.into());
        let (_, json) = explained(record);
        let commands = commands(&json);
        let rules = commands.iter().find_map(|line| line.strip_prefix("nft ")).unwrap();
        assert_eq!(rules.matches(peer).count(), 4, "{rules}");
        // Checked, not put in force.
        let output = Command::new("/bin/sh").args(["-c", &format!("nft --check {rules}")]).output().unwrap();
        assert!(output.status.success(), "{rules}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// A pid and an id's beginning can be the same digits.
#[test]
fn which_is_meant() {
    let own = std::process::id().to_string();
    let directory =
        spool(vec![finding(&id(&own), "x"), finding(&id("4194304"), "x"), finding(&id("00123"), "x")]);
    let explain = |arguments: &[&str]| {
        let output = reading(directory.path(), &[&["explain"], arguments].concat()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    };
    let (code, said) = explain(&[&own]);
    assert!(code == Some(0) && said.contains("Program") && said.contains("Verdict"), "{said}");
    assert!(said.contains(&format!("tetherd explain --finding {own}")), "{said}");
    let (code, said) = explain(&["--finding", &own]);
    assert!(code == Some(0) && said.contains(&id(&own)) && said.contains("Response plan"), "{said}");
    // pid_max is never given out.
    for wanted in ["4194304", "00123", "4194304000"] {
        let (code, said) = explain(&[wanted]);
        assert!(code == Some(0) && said.contains("Response plan"), "{wanted}: {said}");
    }
    for (wanted, code, about) in [
        (
            "4194303",
            66,
            "there is no process 4194303, or it has ended; and no finding's id begins with 4194303",
        ),
        ("bb", 66, "no finding in"),
        ("", 66, "no finding in"),
        ("\u{1b}[2J", 66, "\\x1b[2J"),
        ("0", 66, "no finding in"),
    ] {
        let wanted_code = Some(code);
        let (code, said) = explain(&[wanted]);
        // One finding may begin with this digit.
        if wanted == "0" {
            assert_eq!(code, Some(0), "{said}");
            continue;
        }
        assert!(code == wanted_code && said.contains(about), "{wanted:?}: {said}");
    }
    let directory = spool(vec![finding(&id("aa11"), "x"), finding(&id("aa22"), "x")]);
    let output = reading(directory.path(), &["explain", "aa"]).output().unwrap();
    assert_eq!(output.status.code(), Some(64));
}
