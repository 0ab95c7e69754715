//! Azure's logs.
//!
//! Owns: queries of Log Analytics, in the Kusto query language, for the logs of an AKS cluster (`ContainerLogV2`, `AKSAudit`)
//! and of a machine (`Syslog`, `AzureActivity`). Must not own: which cloud it is.

use super::{LogFilter, Query, accounts};
use crate::cli::command::{Command, Word};
use crate::cli::facts::Facts;
use crate::cli::quote::kusto_quote;

/// What the person looks at.
pub const CONSOLE: &str = "Azure Monitor, Log Analytics";

/// For a pod its output, the audit log and the node's; for a machine its log and what was done to it.
pub fn filters(facts: &Facts<'_>) -> Vec<LogFilter> {
    let node = named(
        facts,
        "node",
        start(facts, "Syslog")
            .then(" | where Computer == ")
            .one(&facts.node, kusto_quote)
            .then(" | project TimeGenerated, Facility, SeverityLevel, ProcessName, SyslogMessage"),
    );
    if !facts.in_pod {
        let activity = start(facts, "AzureActivity")
            .then(" | where _ResourceId endswith ")
            .value(&[&facts.instance], |texts| format!("/{}", texts.concat()), kusto_quote)
            .then(
                " | project TimeGenerated, Caller, CallerIpAddress, OperationNameValue, ActivityStatusValue",
            );
        return vec![node, named(facts, "activity: what was done to the machine", activity)];
    }
    let audit = || start(facts, "AKSAudit");
    let who = " | project TimeGenerated, Verb, RequestUri, User, SourceIps, ResponseStatus";
    vec![
        named(
            facts,
            "pod",
            start(facts, "ContainerLogV2")
                .then(" | where PodNamespace == ")
                .one(&facts.namespace, kusto_quote)
                .then(" and PodName == ")
                .one(&facts.pod, kusto_quote)
                .then(" | project TimeGenerated, ContainerName, LogSource, LogMessage"),
        ),
        named(
            facts,
            "audit: who made, changed, entered (exec) or deleted the pod",
            audit()
                .then(
                    " | where tostring(ObjectRef.resource) == \"pods\" and tostring(ObjectRef.namespace) == ",
                )
                .one(&facts.namespace, kusto_quote)
                .then(" and tostring(ObjectRef.name) == ")
                .one(&facts.pod, kusto_quote)
                .then(who),
        ),
        named(
            facts,
            "audit: what the service accounts of the namespace did",
            audit()
                .then(" | where tostring(User.username) startswith ")
                .value(&[&facts.namespace], accounts, kusto_quote)
                .then(who),
        ),
        node,
    ]
}

fn start(facts: &Facts<'_>, table: &str) -> Query {
    let time = |query: Query, word: &Word| query.then("datetime(").one(word, str::to_owned).then(")");
    let query = Query::default().then(table).then(" | where TimeGenerated between (");
    let query = time(query, &facts.from).then(" .. ");
    time(query, &facts.until).then(")")
}

fn named(facts: &Facts<'_>, about: &'static str, query: Query) -> LogFilter {
    let filter = query.then(" | order by TimeGenerated asc");
    let span = format!("{}/{}", facts.from.plain(), facts.until.plain());
    let asked: Vec<&'static str> = [&facts.from, &facts.until].into_iter().filter_map(Word::asked).collect();
    let command = Command::client(about, "az monitor log-analytics query")
        .within("--workspace=", &Word::Asked("WORKSPACE"), "")
        .then("--timespan")
        .text(&span, &asked)
        .then("--analytics-query")
        .text(&filter.text, &filter.asked);
    LogFilter { about, filter: filter.text, asked: filter.asked, command }
}
