//! The record itself.
//!
//! Owns: putting the parts together. Must not own: the parts; the length of the line (`spool`).

use std::sync::Arc;

use crate::model::detection::Detection;
use crate::model::earlier::Entries;
use crate::model::finding::{
    CATEGORY, Container, Finding, Kubernetes, Label, MitreAttack, Node, Pod, Record,
};
use crate::model::look::Look;

use super::process::{ARGS_OTHER, ARGS_SUBJECT};
use super::status::Status;
use super::{Context, Place, connection, evidence_properties, process, properties, words};

/// The rules of DESIGN 4, first version.
const MODULE: &str = "tetherd/rows/1";
/// The source within an organization, a folder or a project.
const SOURCE: &str = "sources/tetherd/locations/global";

/// The processes of an incident, oldest first, with the main one in its place even where it fell to the cap.
pub(super) fn timeline<'a>(detection: &'a Detection, earlier: &Entries) -> Vec<&'a Look> {
    let subject = &detection.subject;
    let mut looks: Vec<&Look> = detection.processes.iter().map(Arc::as_ref).collect();
    // A subject that an earlier daemon recorded stands among the restored ones.
    let restored = earlier.processes.iter().any(|process| {
        process.get("pid").and_then(serde_json::Value::as_str) == Some(&subject.key.pid.to_string())
    });
    if !restored && !looks.iter().any(|look| is_subject(detection, look)) {
        let later = looks.iter().position(|look| look.at.mono_ns > subject.at.mono_ns);
        looks.insert(later.unwrap_or(looks.len()), subject.as_ref());
    }
    looks
}

/// Whether this is the look that gave the severity. One process is looked at each time it executes something.
pub(super) fn is_subject(detection: &Detection, look: &Look) -> bool {
    let subject = &detection.subject;
    std::ptr::eq(look, subject.as_ref()) || look.key == subject.key && look.at == subject.at
}

/// The record of what was found out, and whether more of it may be known in a moment.
pub(super) fn build(mut context: Context<'_>) -> (Record, bool) {
    let detection = context.detection;
    let looks = timeline(detection, &context.earlier);
    note_missing(&mut context);
    let restored = context.earlier.processes.iter().filter_map(process::restored);
    let ran = looks.iter().map(|look| {
        let most = if is_subject(detection, look) { ARGS_SUBJECT } else { ARGS_OTHER };
        let mut process = process::process(look, most, context.digests);
        if is_subject(detection, look)
            && let Ok(facts) = &context.facts
            && let Some(Ok(script)) = &facts.script
        {
            process.script = Some(evidence_properties::script_file(script));
        }
        process
    });
    let socket = &detection.tether.socket;
    let parent = format!("organizations/0/{SOURCE}");
    let finding = Finding {
        name: format!("{parent}/findings/{}", detection.id),
        canonical_name: format!("projects/0/{SOURCE}/findings/{}", detection.id),
        parent,
        parent_display_name: "Tetherd".into(),
        resource_name: context.node.resource.name.clone(),
        state: detection.state,
        category: CATEGORY.into(),
        severity: Some(detection.severity),
        finding_class: "THREAT".into(),
        mute: if detection.excused_by.is_some() { "MUTED" } else { "UNDEFINED" }.into(),
        mute_initiator: detection.excused_by.as_ref().map(|(rule, _)| format!("allow rule {rule}")),
        event_time: detection.first_seen.rfc3339(),
        create_time: context.now.rfc3339(),
        description: words::description(&context),
        next_steps: words::next_steps(&context),
        module_name: MODULE.into(),
        mitre_attack: Some(MitreAttack {
            primary_tactic: "EXECUTION".into(),
            primary_techniques: vec!["COMMAND_AND_SCRIPTING_INTERPRETER".into(), "UNIX_SHELL".into()],
            additional_tactics: vec!["COMMAND_AND_CONTROL".into()],
        }),
        indicator: connection::indicator(socket),
        connections: connection::connections(socket),
        processes: restored.chain(ran).collect(),
        containers: containers(&context),
        kubernetes: kubernetes(&context),
        source_properties: properties::properties(&context, &looks),
    };
    (Record { finding, resource: context.node.resource.clone() }, context.status.awaits())
}

/// What a reader would look for and not find.
fn note_missing(context: &mut Context<'_>) {
    let subject = &context.detection.subject;
    let status: &mut Status = &mut context.status;
    if let Err(why) = context.digests.get(&subject.exe) {
        status.miss("executable's SHA-256", why);
    }
    let place = &context.place;
    if place.container.is_none() && place.isolated {
        status.miss("container's id", "the cgroup path has none of the known forms");
    }
    let in_pod = place.container.as_ref().is_some_and(|container| container.pod_uid.is_some());
    if in_pod && pod(&context.place).is_none() {
        status.miss("pod's name and namespace", "the runtime's files do not say");
    }
    for file in &subject.unread {
        status.miss(file, "it could not be read while the process lived");
    }
    let mut status = std::mem::take(&mut context.status);
    evidence_properties::note_missing(&mut status, context);
    context.status = status;
}

/// The container, by its id where its name is not known.
fn containers(context: &Context<'_>) -> Vec<Container> {
    container(&context.place).into_iter().collect()
}

fn container(place: &Place) -> Option<Container> {
    let (container, known) = (place.container.as_ref()?, &place.metadata);
    Some(Container {
        name: known.name.clone().unwrap_or_else(|| container.id.to_string()),
        uri: known.image.clone(),
        image_id: known.image_id.clone(),
        create_time: known.created.clone(),
    })
}

/// The pod, which needs a name and a namespace to be written.
fn pod(place: &Place) -> Option<Pod> {
    let known = &place.metadata;
    let (ns, name) = (known.pod_namespace.clone()?, known.pod_name.clone()?);
    let texts = known.labels.iter().flat_map(|labels| &labels.list);
    let labels = texts.map(|(name, value)| Label { name: name.clone(), value: value.clone() }).collect();
    Some(Pod { ns, name, labels, containers: container(place).into_iter().collect() })
}

/// The pod and its node.
fn kubernetes(context: &Context<'_>) -> Option<Kubernetes> {
    let pods: Vec<Pod> = pod(&context.place).into_iter().collect();
    let in_pod = context.place.container.as_ref()?.pod_uid.is_some();
    (in_pod || !pods.is_empty())
        .then(|| Kubernetes { pods, nodes: vec![Node { name: context.node.full_name() }] })
}
