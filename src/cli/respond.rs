//! The response plan of a finding.
//!
//! Owns: which steps there are, in which order, and what each is for. Must not own: what each tool is asked
//! (`respond::*`), how a plan is shown (`explain_finding`, `report`). Nothing of it is ever run.

pub mod cloud;
pub mod contain;
pub mod keep;
pub mod kubernetes;
pub mod runtime;

use crate::cli::command::{Command, Word};
use crate::cli::facts::Facts;
use crate::cli::respond::cloud::Console;

/// One step.
#[derive(Debug)]
pub struct Step {
    /// What is done.
    pub title: &'static str,
    /// What for, and what to mind.
    pub about: Vec<String>,
    /// How.
    pub commands: Vec<Command>,
}

/// All of it.
#[derive(Debug)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// For the console of the cloud, or of each where it is not known which.
    pub consoles: Vec<Console>,
}

impl Plan {
    /// The plan for a finding.
    pub fn new(facts: &Facts<'_>) -> Self {
        let consoles = cloud::consoles(facts);
        let mut steps = vec![still_there(facts)];
        if facts.in_pod {
            steps.push(kubernetes::pod(facts));
        }
        steps.push(if facts.contained() { runtime::review(facts) } else { host(facts) });
        if facts.in_pod || facts.google {
            steps.push(kubernetes::cluster(facts));
        }
        steps.push(logs(facts, &consoles));
        steps.push(keep::step(facts));
        steps.push(contain::step(facts));
        steps.push(research(facts));
        Self { steps, consoles }
    }

    /// The placeholders that occur, each once, with how to find what belongs there.
    pub fn asked(&self) -> Vec<(&'static str, &'static str)> {
        let commands = self.steps.iter().flat_map(|step| &step.commands).flat_map(|command| &command.asked);
        let filters =
            self.consoles.iter().flat_map(|console| &console.filters).flat_map(|filter| &filter.asked);
        let mut names: Vec<&'static str> = commands.chain(filters).copied().collect();
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(|name| (name, meaning(name))).collect()
    }
}

/// How to find what belongs in place of a placeholder.
fn meaning(name: &str) -> &'static str {
    match name {
        "BOOT_ID" => "the boot that the finding is from: not in the record",
        "CLUSTER" | "PROJECT" | "LOCATION" => {
            "not in the configuration ([node] resource_name); kubectl config current-context names it"
        }
        "CONTAINERD_NAMESPACE" => "one of: ctr namespaces list",
        "CONTAINER_ID" => "not in the record; on the node: crictl ps -a, docker ps -a, podman ps -a",
        "CONTAINER_NAME" => "the container's name in its pod; kubectl get pod shows it",
        "EVIDENCE_DIRECTORY" => "a directory of your own, not on a disk that the intruder can write to",
        "FROM" | "UNTIL" => "a time like 2026-11-24T03:50:17Z: the record's cannot be read",
        "INSTANCE" => "the machine's id (i-... in AWS) or name in the cloud; its console shows it",
        "LOG_GROUP" => "where the machine's agent writes to; aws logs describe-log-groups",
        "WORKSPACE" => "the id of the Log Analytics workspace that the cluster or the machine writes to",
        "NAMESPACE" | "POD" => {
            "not in the record; kubectl get pods -A -o wide, by node and Pod_UID, shows it"
        }
        "NODE" => "the machine's name in the cluster; kubectl get nodes -o wide",
        "OWNER_KIND/NAME" => "what the command for the owner printed",
        "PEER_ADDRESS" | "PEER_PORT" => "the record has no peer; ss -tnpe on the node may show it",
        "PID" | "START_TICKS" => "not in the record; tetherd scan shows what is tied now",
        "SERVICE_ACCOUNT" => "what the command for the service account printed",
        "SPOOL" => "the directory that the finding was read from",
        "SHA256" => "not in the record; sha256sum of the copy from the step that keeps the binary",
        _ => "not in the record",
    }
}

/// Whether it still goes on, and whether the process ids still mean what they meant.
fn still_there(facts: &Facts<'_>) -> Step {
    let node = facts.node.remark();
    let mut about = vec![format!("Commands marked node are run as root on {node}.")];
    about.push(if facts.active {
        "The finding is open: something ran on the tether when the record was written. Process ids are given \
         again: use them only while the first two checks agree with the record."
            .into()
    } else {
        "The tether has ended. Its process ids may belong to others by now: use them only if the first three \
         checks agree with the record. What was started and let go of the tether may still run."
            .into()
    });
    let mut commands = vec![
        Command::node("the same machine?", "hostname; grep -Fx").word(&facts.boot).then(
            "/proc/sys/kernel/random/boot_id || echo 'another boot: the process ids of the record mean nothing now'",
        ),
        Command::node("the same process?", r#"test "$(tr '\n' ' ' <"#)
            .within("/proc/", &facts.pid, "/stat")
            .then(r#"| sed 's/.*) //' | cut -d' ' -f20)" ="#)
            .word(&facts.ticks)
            .then("&& echo 'the same process' || echo 'another process, or it has ended'"),
        Command::node("why it is, or is not, a finding now", "tetherd explain").word(&facts.pid),
        Command::node("everything that is tied now", "tetherd scan"),
    ];
    if facts.peer.known().is_some() {
        commands.push(
            Command::node("who talks to this peer, in its network namespace", "nsenter -t")
                .word(&facts.pid)
                .then("-n ss -tunpe dst")
                .word(&facts.peer)
                .then("dport =")
                .word(&facts.peer_port),
        );
    }
    commands.push(
        Command::node("it and what it started", "ps -o pid,ppid,user,lstart,args --forest --ppid")
            .word(&facts.pid)
            .then("-p")
            .word(&facts.pid),
    );
    Step { title: "See whether it goes on", about, commands }
}

/// The service or the login on the machine itself.
fn host(facts: &Facts<'_>) -> Step {
    let commands = vec![
        Command::node("the service or session that it belongs to", "systemctl status --no-pager")
            .word(&facts.pid),
        Command::node("who is logged in, and who was", "who -a; last -Fwn 30"),
        Command::node(
            "what was installed to stay",
            "systemctl list-timers --all --no-pager; ls -la /etc/cron* /var/spool/cron",
        ),
        Command::node("keys that let somebody in", "ls -la --time-style=full-iso /root/.ssh /home/*/.ssh"),
    ];
    let about = "The command ran on the machine itself, not in a container: find the service or the login that it \
                 came through, and its owner.";
    Step { title: "Review the host and its owner", about: vec![about.into()], commands }
}

/// What the machine, the container, the cluster and the cloud wrote down.
fn logs(facts: &Facts<'_>, consoles: &[Console]) -> Step {
    let mut commands = vec![
        tetherd("the finding itself", "show", facts)
            .word(&facts.id)
            .then("--json >")
            .within("", &facts.id, ".json"),
        tetherd("a page for the ticket", "report", facts)
            .word(&facts.id)
            .then("-o")
            .within("", &facts.id, ".html"),
        journal("the journal of the machine", facts),
    ];
    if facts.in_pod {
        commands.extend(kubernetes::logs(facts));
    }
    commands.extend(runtime::logs(facts));
    commands.extend(cloud::reads(facts, consoles));
    let about = "Copy them before the container, its node or the limits of the log take them away.";
    Step { title: "Collect the logs", about: vec![about.into()], commands }
}

fn journal(about: &'static str, facts: &Facts<'_>) -> Command {
    let time = |word: &Word| match word {
        Word::Known(text) => Word::Known(text.replace('T', " ").replace('Z', " UTC")),
        Word::Asked(name) => Word::Asked(name),
    };
    Command::node(about, "journalctl --utc --no-pager").within("--since=", &time(&facts.from), "").within(
        "--until=",
        &time(&facts.until),
        "",
    )
}

/// `tetherd VERB`, of the spool that the finding is from.
pub fn tetherd(about: &'static str, verb: &str, facts: &Facts<'_>) -> Command {
    let command = Command::node(about, &format!("tetherd {verb}"));
    match &facts.spool {
        Some(spool) => command.within("--spool=", spool, ""),
        None => command,
    }
}

/// What is known of the peer, the program and the technique; and where else they are.
fn research(facts: &Facts<'_>) -> Step {
    let mut commands = Vec::new();
    let mut same = |about, condition: String| {
        let filter = format!("select({condition}) | .finding.name");
        commands.push(tetherd(about, "list", facts).then("--json | jq -r").text(&filter, &[]));
    };
    if let (Some(peer), true) = (facts.peer.known(), facts.elsewhere()) {
        let condition = format!(".finding.connections[]?.destinationIp == \"{peer}\"");
        same("other findings with this peer, run it on every node", condition);
    }
    if let Some(sum) = facts.sha256.known() {
        let condition = format!("any(.finding.processes[]?; .binary.sha256? == \"{sum}\")");
        same("other findings with this program, run it on every node", condition);
    }
    if facts.elsewhere() {
        commands.push(
            Command::node("connections to the peer, run it on every node", "ss -tunpe dst").word(&facts.peer),
        );
        commands.push(Command::client("whose address it is", "whois").word(&facts.peer));
    }
    commands.push(tetherd("what else was found", "list", facts).then("--since 7d"));
    let mut about = vec![
        "MITRE: T1059 Command and Scripting Interpreter, T1059.004 Unix Shell, TA0011 Command and Control, \
         https://attack.mitre.org/techniques/T1059/004/"
            .to_owned(),
    ];
    if let Some(sum) = facts.sha256.known() {
        about.push(format!(
            "SHA-256 of the program: {sum}. Ask for the digest where programs are known by it. Do not upload the \
             file: who wrote it may watch for that."
        ));
    }
    about.push(
        "Find how it was entered: the request, the image, the credential or the job before the first command. \
         Until that is closed, a replaced container is entered again."
            .into(),
    );
    Step { title: "Research", about, commands }
}
