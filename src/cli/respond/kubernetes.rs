//! Commands for the cluster.
//!
//! Owns: what kubectl and gcloud are asked of a pod, its owner, its node and its cluster. Must not own: what changes
//! them (`contain`), logs of the cloud (`cloud`).

use crate::cli::command::{Command, Word};
use crate::cli::facts::Facts;
use crate::cli::respond::Step;

/// `kubectl VERB -n NAMESPACE`.
pub fn kubectl(about: &'static str, verb: &str, namespace: &Word) -> Command {
    Command::client(about, &format!("kubectl {verb} -n")).word(namespace)
}

/// Which pod, whose.
pub fn pod(facts: &Facts<'_>) -> Step {
    let of = |about, verb: &str| kubectl(about, verb, &facts.namespace).word(&facts.pod);
    let owner = "-o jsonpath='{range .metadata.ownerReferences[*]}{.kind}/{.name}{\"\\n\"}{end}'";
    let commands = vec![
        of("the pod, its images, its mounts, its events", "describe pod"),
        of("its whole specification", "get pod").then("-o yaml"),
        of("what owns it", "get pod").then(owner),
        kubectl("the owner: who changed it, and when", "get", &facts.namespace)
            .word(&Word::Asked("OWNER_KIND/NAME"))
            .then("-o yaml --show-managed-fields"),
        of("its service account", "get pod").then("-o jsonpath='{.spec.serviceAccountName}{\"\\n\"}'"),
        service_account(facts),
        of("others of the same owner, and where they run", "get pods").then("-o wide --show-labels"),
    ];
    // The last one is of the namespace, not of the pod alone.
    let mut commands = commands;
    if let Some(last) = commands.last_mut() {
        *last = kubectl("others in its namespace, and where they run", "get pods", &facts.namespace)
            .then("-o wide --show-labels");
    }
    let about = format!(
        "Pod {} in namespace {}. Its owner (a Deployment, a Job, ...) decides who is asked, and what comes back when \
         the pod is deleted.",
        facts.pod.remark(),
        facts.namespace.remark()
    );
    Step { title: "Review the pod and its owner", about: vec![about], commands }
}

/// What the pod's token is good for.
fn service_account(facts: &Facts<'_>) -> Command {
    let asked: Vec<&str> = facts.account.asked().into_iter().chain(facts.namespace.asked()).collect();
    let user = format!("--as=system:serviceaccount:{}:{}", facts.namespace.plain(), facts.account.plain());
    kubectl("what its token lets the intruder do", "auth can-i --list", &facts.namespace).text(&user, &asked)
}

/// Which cluster, which node.
pub fn cluster(facts: &Facts<'_>) -> Step {
    let mut commands = Vec::new();
    if facts.in_pod {
        let field = |word: &Word| match word {
            Word::Known(name) => (format!("spec.nodeName={name}"), Vec::new()),
            Word::Asked(name) => (format!("spec.nodeName=<{name}>"), vec![*name]),
        };
        let (selector, asked) = field(&facts.node);
        commands.extend([
            Command::client("the node: its version, its conditions, its labels", "kubectl describe node")
                .word(&facts.node),
            Command::client("what else runs on it", "kubectl get pods -A -o wide --field-selector")
                .text(&selector, &asked),
            Command::client("who may do everything", "kubectl get clusterrolebindings -o wide"),
            kubectl("what happened in the namespace", "get events", &facts.namespace)
                .then("--sort-by=.lastTimestamp"),
        ]);
    }
    if facts.google {
        if facts.cluster.known().is_some() {
            commands.push(
                Command::client("the settings of the cluster", "gcloud container clusters describe")
                    .word(&facts.cluster)
                    .within("--location=", &facts.location, "")
                    .within("--project=", &facts.project, ""),
            );
        }
        let name = match &facts.node {
            Word::Known(name) => (format!("name={name}"), Vec::new()),
            Word::Asked(name) => (format!("name=<{name}>"), vec![*name]),
        };
        commands.push(
            Command::client("the machine behind the node", "gcloud compute instances list --format=yaml")
                .within("--project=", &facts.project, "")
                .text(&format!("--filter={}", name.0), &name.1),
        );
    }
    let about = format!(
        "Cluster {}, project {}, node {}. A container that got out has the node, the credential of its kubelet, and every \
         pod on it.",
        facts.cluster.remark(),
        facts.project.remark(),
        facts.node.remark()
    );
    Step { title: "Review the cluster and the node", about: vec![about], commands }
}

/// The pod's own logs.
pub fn logs(facts: &Facts<'_>) -> Vec<Command> {
    let of = |about, more| {
        kubectl(about, "logs", &facts.namespace)
            .word(&facts.pod)
            .then("-c")
            .word(&facts.container_name)
            .then("--timestamps")
            .then(more)
            .within("--since-time=", &facts.from, "")
    };
    vec![
        of("what the container printed", "--tail=-1"),
        of("what it printed before its last restart", "--previous --tail=-1"),
    ]
}
