//! Everything that the finding has no field for.
//!
//! Owns: filling `sourceProperties`. Must not own: the names (`model::finding::property`). A key without a value is left
//! out; 64-bit numbers are strings, because readers of protobuf JSON take numbers for doubles.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::clock::rfc3339;
use crate::model::finding::{SCHEMA_VERSION, property};
use crate::model::look::Look;
use crate::model::text::cut;

use super::container::UNKNOWN;
use super::process::{ARGS_SUBJECT, PATH_MAX, arguments, bounded};
use super::{Context, connection, evidence_properties, tether_path};

/// Names that Google's own reverse shell findings have for the addresses behind fd 0.
pub mod keys {
    /// The peer's address.
    pub const STDIN_DST_IP: &str = "Reverse_Shell_Stdin_Redirection_Dst_Ip";
    /// The peer's port.
    pub const STDIN_DST_PORT: &str = "Reverse_Shell_Stdin_Redirection_Dst_Port";
    /// This end's address.
    pub const STDIN_SRC_IP: &str = "Reverse_Shell_Stdin_Redirection_Src_Ip";
    /// This end's port.
    pub const STDIN_SRC_PORT: &str = "Reverse_Shell_Stdin_Redirection_Src_Port";
}

/// The longest sentence of evidence, in bytes.
const EVIDENCE_MAX: usize = 512;

/// The map as it grows.
#[derive(Default)]
pub(super) struct Map(BTreeMap<String, Value>);

impl Map {
    pub(super) fn set(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    pub(super) fn set_some<T: Into<Value>>(&mut self, key: &str, value: Option<T>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    /// A path, unless it could not be read.
    pub(super) fn set_path(&mut self, key: &str, path: &[u8]) {
        if !path.is_empty() {
            self.set(key, bounded(path, PATH_MAX));
        }
    }
}

/// All of them but those that the spool adds.
pub(super) fn properties(context: &Context<'_>, looks: &[&Look]) -> BTreeMap<String, Value> {
    let mut map = Map::default();
    map.set(property::BOOT_ID, context.boot_id);
    map.set(property::SCHEMA_VERSION, SCHEMA_VERSION);
    map.set(property::VM_INSTANCE_NAME, context.node.name.as_str());
    map.set(property::ENRICHMENT_STATUS, context.status.value());
    incident(&mut map, context, looks);
    tether(&mut map, context);
    process(&mut map, context);
    place(&mut map, context);
    evidence_properties::set(&mut map, context);
    map.0
}

fn incident(map: &mut Map, context: &Context<'_>, looks: &[&Look]) {
    let detection = context.detection;
    let seen = &detection.observations;
    map.set(property::ROW, detection.row.number());
    map.set(
        property::EVIDENCE,
        detection.evidence.iter().map(|text| cut(text, EVIDENCE_MAX).to_owned()).collect::<Vec<_>>(),
    );
    map.set(property::OBSERVATION, detection.subject.seen.name());
    map.set(property::PROCESS_COUNT, detection.process_count.to_string());
    map.set(
        property::PROCESS_OBSERVATIONS,
        serde_json::json!({
            "held": seen.held, "live": seen.live, "inherited": seen.inherited, "swept": seen.swept
        }),
    );
    map.set(property::FIRST_SEEN, detection.first_seen.rfc3339());
    map.set(property::LAST_SEEN, detection.last_seen.rfc3339());
    if let Some((rule, reason)) = &detection.excused_by {
        map.set(property::EXCUSED_BY, serde_json::json!({ "rule": rule, "reason": reason }));
    }
    map.set(property::TIMELINE, tether_path::timeline(detection, looks, &context.earlier));
}

fn tether(map: &mut Map, context: &Context<'_>) {
    let (detection, tether) = (context.detection, &context.detection.tether);
    let socket = &tether.socket;
    map.set(property::TETHER_KIND, tether.kind.name());
    map.set(property::TETHER_PATH, tether_path::path(&tether.hops));
    map.set(property::TETHER_DIRECTION, detection.direction.name());
    map.set(property::PEER_SCOPE, detection.scope.name());
    map.set(property::SOCKET_PROTOCOL, socket.protocol_name());
    map.set(property::SOCKET_INODE, socket.inode.to_string());
    map.set_some(property::SOCKET_COOKIE, socket.cookie.map(|cookie| cookie.to_string()));
    let fds = (0u8..).zip(tether.fds).filter_map(|(fd, leads)| leads.then_some(fd));
    map.set(property::SOCKET_FDS, fds.collect::<Vec<u8>>());

    let [stdin, ..] = &detection.subject.stdio;
    let ends =
        stdin.network().map(|socket| (connection::ip(socket.peer.address()), connection::ip(socket.local)));
    if let Some((Some(peer), local)) = ends {
        map.set(keys::STDIN_DST_IP, peer.ip().to_string());
        map.set(keys::STDIN_DST_PORT, peer.port());
        map.set_some(keys::STDIN_SRC_IP, local.map(|local| local.ip().to_string()));
        map.set_some(keys::STDIN_SRC_PORT, local.map(|local| local.port()));
    }
}

fn process(map: &mut Map, context: &Context<'_>) {
    let subject = &context.detection.subject;
    let args = arguments(subject, ARGS_SUBJECT);
    map.set_path(property::PROCESS_BINARY_FULLPATH, &subject.exe.path);
    map.set(property::PROCESS_ARGUMENTS, args.list);
    map.set_some(property::PROCESS_ARGUMENTS_BASE64, args.base64);
    let started = subject.started_wall_ns;
    map.set_some(property::PROCESS_CREATION_TIMESTAMP, (started > 0).then(|| rfc3339(started)));
    map.set(property::PROCESS_START_TICKS, subject.key.start.to_string());
    map.set(property::PROCESS_GROUP_ID, subject.pgrp.0);
    map.set_some(property::PROCESS_LOGIN_USER_ID, subject.credentials.login.map(|uid| uid.0));
    map.set_some(property::PROCESS_USER_NAME, context.user_name.as_deref());
    map.set_path(property::PROCESS_WORKING_DIRECTORY, &subject.cwd);
    map.set(property::PARENT_PID, subject.parent.0);
    if let Some(parent) = subject.ancestors.first() {
        map.set_path(property::PARENT_BINARY_FULLPATH, &parent.exe);
    }
    map.set(property::PROCESS_ANCESTRY, tether_path::ancestry(&subject.ancestors));
}

fn place(map: &mut Map, context: &Context<'_>) {
    let place = &context.place;
    map.set_some(property::CGROUP_PATH, place.cgroup_path.as_deref().map(|path| cut(path, PATH_MAX)));
    if let Some(container) = &place.container {
        map.set(property::CONTAINER_ID, container.id.as_str());
        map.set(property::CONTAINER_RUNTIME, container.runtime);
        let known = &place.metadata;
        map.set_some(property::CONTAINER_NAME, known.name.as_deref());
        map.set_some(property::CONTAINER_IMAGE_URI, known.image.as_deref());
        map.set_some(property::POD_UID, container.pod_uid.as_deref().or(known.pod_uid.as_deref()));
        map.set_some(property::POD_NAME, known.pod_name.as_deref());
        map.set_some(property::POD_NAMESPACE, known.pod_namespace.as_deref());
        map.set_some(property::CONTAINER_ATTEMPT, known.attempt);
        if let Some(labels) = known.labels.as_ref().filter(|labels| !labels.list.is_empty()) {
            map.set(property::POD_LABELS, serde_json::json!(labels.list));
        }
        if !known.annotations.is_empty() {
            map.set(property::POD_ANNOTATIONS, serde_json::json!(known.annotations));
        }
        if let Some(account) = &known.account {
            // The token's signature was not checked.
            let value = serde_json::json!({
                "namespace": account.namespace, "name": account.name,
                "source": format!("token in the pod's {} volume", account.volume), "verified": false
            });
            map.set(property::SERVICE_ACCOUNT, value);
        }
        let outer: Vec<&str> = container.outer.iter().map(|id| id.as_str()).collect();
        map.set_some(property::OUTER_CONTAINER_IDS, (!outer.is_empty()).then_some(outer));
    } else if place.isolated {
        map.set(property::CONTAINER_RUNTIME, UNKNOWN);
    }
}
