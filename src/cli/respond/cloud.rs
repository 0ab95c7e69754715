//! Log filters for the cloud's console.
//!
//! Owns: filters of Cloud Logging for the pod's, the audit and the node's logs, times filled in, and the commands that
//! read by them. Must not own: other commands.

use crate::cli::command::{Command, Word};
use crate::cli::facts::Facts;
use crate::cli::quote::filter_quote;
use crate::cli::respond::LogFilter;

/// A filter as it grows.
struct Filter {
    parts: Vec<String>,
    asked: Vec<&'static str>,
}

impl Filter {
    fn new(facts: &Facts<'_>) -> Self {
        let filter = Self { parts: Vec::new(), asked: Vec::new() };
        filter.with("timestamp>=", &facts.from).with("timestamp<=", &facts.until)
    }

    fn fixed(mut self, part: &str) -> Self {
        self.parts.push(part.to_owned());
        self
    }

    /// `FIELD` and its operator, then the value.
    fn with(self, field: &str, word: &Word) -> Self {
        self.with_text(field, &word.plain(), &[word])
    }

    fn with_text(mut self, field: &str, text: &str, words: &[&Word]) -> Self {
        self.parts.push(format!("{field}{}", filter_quote(text)));
        for word in words {
            if let Word::Asked(name) = word {
                self.asked.push(name);
            }
        }
        self
    }

    fn named(self, about: &'static str) -> LogFilter {
        LogFilter { about, filter: self.parts.join(" AND "), asked: self.asked }
    }
}

/// The filters: for a pod those of its cluster, for a machine of the cloud the machine's.
pub fn filters(facts: &Facts<'_>) -> Vec<LogFilter> {
    let new = || Filter::new(facts);
    let audit = "logName:\"cloudaudit.googleapis.com\"";
    if !facts.in_pod {
        if !facts.google {
            return Vec::new();
        }
        return vec![
            new()
                .fixed("resource.type=\"gce_instance\"")
                .with("labels.\"compute.googleapis.com/resource_name\"=", &facts.node)
                .named("node"),
            new().fixed(audit).with("protoPayload.resourceName:", &facts.node).named("audit"),
        ];
    }
    let cluster = |filter: Filter| {
        filter
            .with("resource.labels.project_id=", &facts.project)
            .with("resource.labels.location=", &facts.location)
            .with("resource.labels.cluster_name=", &facts.cluster)
    };
    let object = format!("core/v1/namespaces/{}/pods/{}", facts.namespace.plain(), facts.pod.plain());
    vec![
        cluster(new().fixed("resource.type=\"k8s_container\""))
            .with("resource.labels.namespace_name=", &facts.namespace)
            .with("resource.labels.pod_name=", &facts.pod)
            .named("pod"),
        cluster(new().fixed("resource.type=\"k8s_cluster\"").fixed(audit))
            .with_text("protoPayload.resourceName:", &object, &[&facts.namespace, &facts.pod])
            .named("audit: who made, changed, entered (pods.exec) or deleted the pod"),
        cluster(new().fixed("resource.type=\"k8s_cluster\"").fixed(audit))
            .with_text(
                "protoPayload.authenticationInfo.principalEmail:",
                &account(facts),
                &[&facts.namespace],
            )
            .named("audit: what the service accounts of the namespace did"),
        cluster(new().fixed("resource.type=\"k8s_node\""))
            .with("resource.labels.node_name=", &facts.node)
            .named("node"),
    ]
}

fn account(facts: &Facts<'_>) -> String {
    format!("system:serviceaccount:{}:", facts.namespace.plain())
}

/// The same on a command line.
pub fn reads(facts: &Facts<'_>, filters: &[LogFilter]) -> Vec<Command> {
    filters
        .iter()
        .map(|filter| {
            Command::client(filter.about, "gcloud logging read")
                .text(&filter.filter, &filter.asked)
                .within("--project=", &facts.project, "")
                .then("--format=json")
        })
        .collect()
}
