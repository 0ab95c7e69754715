//! The plan's commands for kubectl, run by a real kubectl against a small API server on loopback: a flag that it does not
//! know fails, and what it asks for is what the plan says that it does.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tetherd::model::finding::{Record, property};

use crate::require;
use crate::spools::{finding, id, lines_of_json, printed, reading, spool};

const NAMESPACE: &str = "shop";
const POD: &str = "front-7f9c6d-x2x8k";

/// The server; ended when dropped.
struct Server(Child);

impl Server {
    fn start(log: &Path) -> (Self, u16) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/apiserver.py");
        let mut command = Command::new("python3");
        command.arg(script).arg(log).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| panic!("no port: {line:?}"));
        (Self(child), port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn in_a_pod() -> Record {
    let mut record = finding(&id("aa11"), "c1");
    let properties = &mut record.finding.source_properties;
    for (key, text) in [
        (property::POD_NAME, POD),
        (property::POD_NAMESPACE, NAMESPACE),
        (property::CONTAINER_NAME, "app"),
        (property::CONTAINER_RUNTIME, "containerd"),
        (property::VM_INSTANCE_NAME, "node-1"),
    ] {
        properties.insert(key.into(), json!(text));
    }
    record
}

#[test]
fn kubectl_takes_every_command() {
    require!("kubectl", "python3");
    let place = tempfile::tempdir().unwrap();
    let (log, config) = (place.path().join("log"), place.path().join("config"));
    let (_server, port) = Server::start(&log);
    let settings = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": format!("http://127.0.0.1:{port}")}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    });
    std::fs::write(&config, settings.to_string()).unwrap();
    let kubectl = |line: &str| {
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", line])
            .env("KUBECONFIG", &config)
            .env("HOME", place.path())
            .current_dir(place.path());
        shell.stdin(Stdio::null()).output().unwrap()
    };
    // It shows them without being asked before 1.21.
    let help = kubectl("kubectl get --help").stdout;
    let shows = String::from_utf8_lossy(&help).contains("--show-managed-fields");
    let directory = spool(vec![in_a_pod()]);
    let plan = printed(&mut reading(directory.path(), &["explain", "aa11", "--json"]));
    let plan: Value = serde_json::from_str(&plan).unwrap();
    let steps = plan["steps"].as_array().unwrap().iter();
    let mut asked = 0;
    for command in steps.flat_map(|step| step["commands"].as_array().unwrap()) {
        let line = command["command"].as_str().unwrap();
        if !line.contains("kubectl ") {
            continue;
        }
        let mut line = line
            .replace("<OWNER_KIND/NAME>", "ReplicaSet/front-7f9c6d")
            .replace("<SERVICE_ACCOUNT>", "front");
        assert!(!line.contains('<'), "{line}");
        if !shows {
            line = line.replace(" --show-managed-fields", "");
        }
        let before = std::fs::read_to_string(&log).unwrap_or_default().len();
        let output = kubectl(&line);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {said}");
        let requests = lines_of_json(&std::fs::read_to_string(&log).unwrap()[before..]);
        assert!(!requests.is_empty(), "{line}");
        asked += 1;
        // One that is said to look only does not write, but for the question about rights.
        let writes = |request: &&Value| request["method"] != "GET" && request["path"] != RIGHTS;
        assert_eq!(
            requests.iter().any(|request| writes(&request)),
            command["changes"] == true,
            "{line}: {requests:?}"
        );
        check(&line, &requests, &String::from_utf8_lossy(&output.stdout));
    }
    assert!(asked >= 17, "{asked}");
    assert!(!kubectl("kubectl get pods --no-such-flag").status.success(), "a wrong flag fails");
}

const RIGHTS: &str = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews";

/// What a command has to ask for and to print.
fn check(line: &str, requests: &[Value], said: &str) {
    let asked =
        |method: &str, path: &str| requests.iter().find(|one| one["method"] == method && one["path"] == path);
    let pod = format!("/api/v1/namespaces/{NAMESPACE}/pods/{POD}");
    if line.contains("ownerReferences") {
        assert_eq!(said, "ReplicaSet/front-7f9c6d\n", "{line}");
    } else if line.contains("serviceAccountName") {
        assert_eq!(said, "front\n", "{line}");
    } else if line.contains("can-i") {
        assert_eq!(asked("POST", RIGHTS).unwrap()["as"], "system:serviceaccount:shop:front", "{line}");
        assert!(said.contains("secrets"), "{said}");
    } else if line.contains("kubectl logs") {
        let query = &asked("GET", &format!("{pod}/log")).unwrap()["query"];
        assert_eq!((&query["container"], &query["timestamps"]), (&json!("app"), &json!("true")), "{line}");
        assert_eq!(query["sinceTime"], "2026-11-24T03:35:17Z", "{line}");
        assert_eq!(query["previous"] == "true", line.contains("--previous"), "{line}");
    } else if line.contains("kubectl label") {
        let body: Value =
            serde_json::from_str(asked("PATCH", &pod).unwrap()["body"].as_str().unwrap()).unwrap();
        assert_eq!(body["metadata"]["labels"]["tetherd-quarantine"], id("aa11"), "{line}");
    } else if line.contains("kubectl apply") {
        let made = asked("POST", "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies").unwrap();
        let policy: Value = serde_json::from_str(made["body"].as_str().unwrap()).unwrap();
        assert_eq!(policy["spec"]["podSelector"]["matchLabels"]["tetherd-quarantine"], id("aa11"));
        assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
    } else if line.contains("kubectl cordon") {
        let body: Value =
            serde_json::from_str(asked("PATCH", "/api/v1/nodes/node-1").unwrap()["body"].as_str().unwrap())
                .unwrap();
        assert_eq!(body["spec"]["unschedulable"], true, "{line}");
    } else if line.contains("kubectl delete") {
        assert!(asked("DELETE", &pod).is_some(), "{line}");
    } else if line.contains("--field-selector") {
        let list = asked("GET", "/api/v1/pods").unwrap();
        assert_eq!(list["query"]["fieldSelector"], "spec.nodeName=node-1", "{line}");
    }
}
