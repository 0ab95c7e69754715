//! Google's logs.
//!
//! Owns: filters of Cloud Logging for the pod's, the audit and the node's logs. Must not own: which cloud it is.

use super::{LogFilter, Query, accounts};
use crate::cli::command::{Command, Word};
use crate::cli::facts::Facts;
use crate::cli::quote::filter_quote;

/// What the person looks at.
pub const CONSOLE: &str = "Google Cloud, Logs Explorer";

/// A filter as it grows.
struct Filter(Query);

impl Filter {
    fn new(facts: &Facts<'_>) -> Self {
        Self(Query::default()).with("timestamp>=", &facts.from).with("timestamp<=", &facts.until)
    }

    fn fixed(self, part: &str) -> Self {
        let and = if self.0.text.is_empty() { "" } else { " AND " };
        Self(self.0.then(and).then(part))
    }

    /// `FIELD` and its operator, then the value.
    fn with(self, field: &str, word: &Word) -> Self {
        Self(self.fixed(field).0.one(word, filter_quote))
    }

    /// The same with one text made of several.
    fn with_words(self, field: &str, words: &[&Word], form: impl Fn(&[String]) -> String) -> Self {
        Self(self.fixed(field).0.value(words, form, filter_quote))
    }

    fn named(self, about: &'static str, facts: &Facts<'_>) -> LogFilter {
        let Query { text, asked } = self.0;
        let command = Command::client(about, "gcloud logging read")
            .text(&text, &asked)
            .within("--project=", &facts.project, "")
            .then("--format=json");
        LogFilter { about, filter: text, asked, command }
    }
}

/// The filters: for a pod those of its cluster, for a machine of the cloud the machine's.
pub fn filters(facts: &Facts<'_>) -> Vec<LogFilter> {
    let new = || Filter::new(facts);
    let audit = "logName:\"cloudaudit.googleapis.com\"";
    if !facts.in_pod {
        return vec![
            new()
                .fixed("resource.type=\"gce_instance\"")
                .with("labels.\"compute.googleapis.com/resource_name\"=", &facts.node)
                .named("node", facts),
            new().fixed(audit).with("protoPayload.resourceName:", &facts.node).named("audit", facts),
        ];
    }
    let cluster = |filter: Filter| {
        filter
            .with("resource.labels.project_id=", &facts.project)
            .with("resource.labels.location=", &facts.location)
            .with("resource.labels.cluster_name=", &facts.cluster)
    };
    let object = |names: &[String]| format!("core/v1/namespaces/{}", names.join("/pods/"));
    vec![
        cluster(new().fixed("resource.type=\"k8s_container\""))
            .with("resource.labels.namespace_name=", &facts.namespace)
            .with("resource.labels.pod_name=", &facts.pod)
            .named("pod", facts),
        cluster(new().fixed("resource.type=\"k8s_cluster\"").fixed(audit))
            .with_words("protoPayload.resourceName:", &[&facts.namespace, &facts.pod], object)
            .named("audit: who made, changed, entered (pods.exec) or deleted the pod", facts),
        cluster(new().fixed("resource.type=\"k8s_cluster\"").fixed(audit))
            .with_words("protoPayload.authenticationInfo.principalEmail:", &[&facts.namespace], accounts)
            .named("audit: what the service accounts of the namespace did", facts),
        cluster(new().fixed("resource.type=\"k8s_node\""))
            .with("resource.labels.node_name=", &facts.node)
            .named("node", facts),
    ]
}
