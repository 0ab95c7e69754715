//! Amazon's logs.
//!
//! Owns: queries of CloudWatch Logs Insights for the logs of an EKS cluster (Container Insights' and the control plane's
//! log groups, by their default names), and what CloudTrail is asked of a machine. Must not own: which cloud it is.
//!
//! How the language escapes within a string is not written down anywhere: a name goes in only if it has nothing to escape;
//! any other stands as a placeholder.

use serde_json::json;

use super::{LogFilter, Query, accounts};
use crate::cli::command::{Command, Word};
use crate::cli::facts::Facts;
use crate::model::clock::{SECOND, parse_rfc3339};

/// What the person looks at.
pub const CONSOLE: &str = "AWS CloudWatch Logs Insights, set its time range to the one in the query";

/// Letters, digits and what names of Kubernetes and of machines have.
fn quote(text: &str) -> String {
    format!("\"{text}\"")
}

/// A word that needs no escapes; else the placeholder.
fn plain(word: &Word, placeholder: &'static str) -> Word {
    let fits = |text: &&str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    match word {
        Word::Known(text) => Word::of(Some(text.as_str()).filter(fits), placeholder),
        asked @ Word::Asked(_) => asked.clone(),
    }
}

/// For a pod its output, the audit log and the node's; of a machine alone CloudWatch knows nothing by default.
pub fn filters(facts: &Facts<'_>) -> Vec<LogFilter> {
    let node = plain(&facts.node, "NODE");
    let of_node = |query: Query| query.then(" | filter @logStream like ").one(&node, quote);
    if !facts.in_pod {
        let query = of_node(start(facts, "@timestamp, @logStream, @message"));
        return vec![named(
            facts,
            "node: log group LOG_GROUP, wherever its agent writes to",
            "LOG_GROUP",
            query,
        )];
    }
    let (namespace, pod) = (plain(&facts.namespace, "NAMESPACE"), plain(&facts.pod, "POD"));
    let audit =
        |fields: &str| start(facts, fields).then(" | filter @logStream like \"kube-apiserver-audit\"");
    let who = "@timestamp, verb, objectRef.subresource, user.username, sourceIPs.0, requestURI, responseStatus.code";
    vec![
        named(
            facts,
            "pod: log group /aws/containerinsights/CLUSTER/application",
            "/application",
            start(facts, "@timestamp, kubernetes.container_name, log")
                .then(" | filter kubernetes.namespace_name = ")
                .one(&namespace, quote)
                .then(" and kubernetes.pod_name = ")
                .one(&pod, quote),
        ),
        named(
            facts,
            "audit: who made, changed, entered (exec) or deleted the pod, log group /aws/eks/CLUSTER/cluster",
            "/cluster",
            audit(who)
                .then(" | filter objectRef.resource = \"pods\" and objectRef.namespace = ")
                .one(&namespace, quote)
                .then(" and objectRef.name = ")
                .one(&pod, quote),
        ),
        named(
            facts,
            "audit: what the service accounts of the namespace did, log group /aws/eks/CLUSTER/cluster",
            "/cluster",
            audit(who).then(" | filter user.username like ").value(&[&namespace], accounts, quote),
        ),
        named(
            facts,
            "node: log group /aws/containerinsights/CLUSTER/host, and /dataplane",
            "/host",
            of_node(start(facts, "@timestamp, @logStream, @message")),
        ),
    ]
}

fn start(facts: &Facts<'_>, fields: &str) -> Query {
    Query::default()
        .then(&format!("fields {fields} | filter toMillis(@timestamp) >= "))
        .one(&epoch(&facts.from, SECOND / 1000, "FROM"), str::to_owned)
        .then(" and toMillis(@timestamp) <= ")
        .one(&epoch(&facts.until, SECOND / 1000, "UNTIL"), str::to_owned)
}

/// A time in units of so many nanoseconds since 1970.
fn epoch(word: &Word, unit_ns: u64, placeholder: &'static str) -> Word {
    let at = word.known().and_then(parse_rfc3339).map(|at| (at / unit_ns).to_string());
    Word::of(at.as_deref(), placeholder)
}

/// `group`: the end of the log group's name, or a placeholder for all of it.
fn named(facts: &Facts<'_>, about: &'static str, group: &str, query: Query) -> LogFilter {
    let filter = query.then(" | sort @timestamp asc | limit 10000");
    let cluster = plain(&facts.cluster, "CLUSTER");
    let command = Command::client(about, "aws logs start-query");
    let command = match group {
        "/cluster" => command.within("--log-group-name=/aws/eks/", &cluster, group),
        "LOG_GROUP" => command.within("--log-group-name=", &Word::Asked("LOG_GROUP"), ""),
        _ => command.within("--log-group-name=/aws/containerinsights/", &cluster, group),
    };
    let command = command
        .within("--region=", &facts.location, "")
        .within("--start-time=", &epoch(&facts.from, SECOND, "FROM"), "")
        .within("--end-time=", &epoch(&facts.until, SECOND, "UNTIL"), "")
        .then("--query-string")
        .text(&filter.text, &filter.asked);
    LogFilter { about, filter: filter.text, asked: filter.asked, command }
}

/// What the machine's role did, and what was done to the machine.
pub fn trail(facts: &Facts<'_>) -> Vec<Command> {
    let instance = facts.instance.plain();
    let of = |about, key: &str| {
        // As JSON: in the short form a comma in a value begins the next one.
        let attribute = json!([{"AttributeKey": key, "AttributeValue": instance}]).to_string();
        Command::client(about, "aws cloudtrail lookup-events --lookup-attributes")
            .text(&attribute, facts.instance.asked().as_slice())
            .within("--region=", &facts.location, "")
            .within("--start-time=", &facts.from, "")
            .within("--end-time=", &facts.until, "")
    };
    vec![
        of("what was done with the credentials of the machine's role", "Username"),
        of("what was done to the machine", "ResourceName"),
    ]
}
