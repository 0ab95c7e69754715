//! Commands that stop the harm.
//!
//! Owns: holding still, isolating, cordoning, stopping and replacing, the mildest first. Must not own: the runtime's
//! commands (`runtime`).

use std::net::IpAddr;

use serde_json::json;

use crate::cli::command::Command;
use crate::cli::facts::Facts;
use crate::cli::respond::kubernetes::kubectl;
use crate::cli::respond::{Step, runtime};

/// The label that marks a pod that is cut off.
const LABEL: &str = "tetherd-quarantine";

/// The step.
pub fn step(facts: &Facts<'_>) -> Step {
    let mut commands = vec![hold(facts)];
    if facts.contained() {
        commands.extend(runtime::pause(facts));
    }
    commands.extend(isolate(facts));
    if facts.in_pod {
        commands
            .push(Command::client("no new pods on the node", "kubectl cordon").word(&facts.node).changing());
    }
    commands.extend(stop(facts));
    let mut about = vec![
        "Each of these changes something, the mildest first. Keep the logs and the binary (above) before you stop \
         anything: who has the shell may notice, and what runs in memory is gone."
            .to_owned(),
    ];
    about.push(
        "What undoes them: kill -CONT, unpause or resume of the runtime, nft delete table inet tetherd_block, kubectl \
         label pod with tetherd-quarantine- at the end, kubectl uncordon."
            .into(),
    );
    Step { title: "Contain: hold, isolate, cordon, stop or replace", about, commands }
}

/// The processes of the tether stand still.
fn hold(facts: &Facts<'_>) -> Command {
    signal("hold the command and its relays still", "kill -STOP", facts)
}

fn signal(about: &'static str, start: &str, facts: &Facts<'_>) -> Command {
    let command = Command::node(about, start).word(&facts.pid);
    facts.relays.iter().fold(command, |command, (relay, _)| command.word(relay)).changing()
}

fn isolate(facts: &Facts<'_>) -> Vec<Command> {
    let mut commands = Vec::new();
    if facts.in_pod {
        let label = format!("{LABEL}={}", facts.id.plain());
        commands.push(
            kubectl("mark the pod", "label pod --overwrite", &facts.namespace)
                .word(&facts.pod)
                .text(&label, facts.id.asked().as_slice())
                .changing(),
        );
        let policy = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": format!("{LABEL}-{}", facts.id.plain())},
            "spec": {"podSelector": {"matchLabels": {LABEL: facts.id.plain()}}, "policyTypes": ["Ingress", "Egress"]},
        });
        let start = "printf '%s'";
        let mut command = Command::client(
            "let nothing in or out of what is marked (needs a network plugin that does policies)",
            start,
        )
        .text(&policy.to_string(), facts.id.asked().as_slice())
        .then("| kubectl apply -f - -n")
        .word(&facts.namespace);
        command.changes = true;
        commands.push(command);
    }
    let (Some(peer), true) = (facts.peer.known(), facts.elsewhere()) else { return commands };
    commands.push(
        Command::node("cut this connection (needs a kernel with INET_DIAG_DESTROY)", "nsenter -t")
            .word(&facts.pid)
            .then("-n ss -K dst")
            .word(&facts.peer)
            .then("dport =")
            .word(&facts.peer_port)
            .changing(),
    );
    // IPv4-mapped addresses are shown as IPv4 in records.
    let family = if peer.parse::<IpAddr>().is_ok_and(|peer| peer.is_ipv6()) { "ip6" } else { "ip" };
    let chain = |name: &str, hook: &str, side: &str| {
        format!("chain {name} {{ type filter hook {hook} priority -10; {family} {side} {peer} drop; }};")
    };
    let table = format!(
        "table inet tetherd_block {{ {} {} {} {} }}",
        chain("out", "output", "daddr"),
        chain("in", "input", "saddr"),
        chain("to", "forward", "daddr"),
        chain("from", "forward", "saddr"),
    );
    commands.push(
        Command::node("let nothing to or from the peer, on this machine", "nft").text(&table, &[]).changing(),
    );
    commands
}

fn stop(facts: &Facts<'_>) -> Vec<Command> {
    let mut commands = vec![signal("end the command and its relays", "kill -KILL", facts)];
    if facts.contained() {
        commands.extend(runtime::stop(facts));
    }
    if facts.in_pod {
        commands.push(
            kubectl(
                "replace the pod: its owner makes a new one, of the same image",
                "delete pod",
                &facts.namespace,
            )
            .word(&facts.pod)
            .changing(),
        );
        commands.push(
            Command::client(
                "move everything off the node, to replace it",
                "kubectl drain --ignore-daemonsets --delete-emptydir-data",
            )
            .word(&facts.node)
            .changing(),
        );
    }
    commands
}
