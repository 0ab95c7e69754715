//! Evidence as `sourceProperties`.
//!
//! Owns: the form of each. Must not own: gathering them (`evidence`), the names (`model::finding::property`).

use serde_json::{Value, json};

use crate::model::finding::{File, property};
use crate::model::look::Look;

use super::evidence::{Environment, Facts, Later, Peers, Script};
use super::namespaces::Inodes;
use super::privileges::{capabilities, seccomp};
use super::process::{PATH_MAX, bounded, command_line};
use super::properties::Map;
use super::status::Status;
use super::{Context, owner};

/// The longest command line of a later program, in bytes.
const LATER_ARGS_MAX: usize = 1024;

/// What the look has, what was gathered, and the copy.
pub(super) fn set(map: &mut Map, context: &Context<'_>) {
    let subject = &context.detection.subject;
    credentials(map, subject);
    map.set_some(property::POD_OWNER, context.place.metadata.pod_name.as_deref().and_then(owner::guess));
    if let Some(Ok(known)) = context.cloud.known() {
        let mut value = json!({ "provider": context.cloud.provider.name() });
        for (key, text) in [
            ("project", &known.project),
            ("location", &known.location),
            ("instance", &known.instance),
            ("cluster", &known.cluster),
        ] {
            if let Some(text) = text {
                value[key] = text.as_str().into();
            }
        }
        map.set(property::CLOUD, value);
    }
    map.set_path(property::PROCESS_ROOT_DIRECTORY, &subject.root);
    if let Ok(facts) = &context.facts {
        gathered(map, facts);
    }
    if let Some(Ok(copy)) = &context.copy {
        let value = json!({ "sha256": copy.sha256, "size": copy.bytes.to_string() });
        map.set(property::EVIDENCE_FILE, value);
    }
}

fn credentials(map: &mut Map, subject: &Look) {
    let known = subject.credentials;
    // Without its status nothing of this was read.
    let Some(privileges) = known.privileges else { return };
    map.set(
        property::PROCESS_CREDENTIALS,
        json!({
            "userId": known.uid.0, "effectiveUserId": known.euid.0,
            "groupId": known.gid.0, "effectiveGroupId": known.egid.0
        }),
    );
    map.set(
        property::PROCESS_CAPABILITIES,
        json!({
            "effective": capabilities(privileges.effective), "permitted": capabilities(privileges.permitted)
        }),
    );
    map.set_some(property::PROCESS_SECCOMP, privileges.seccomp.map(seccomp));
    map.set(property::PROCESS_NO_NEW_PRIVILEGES, privileges.no_new_privs);
}

fn gathered(map: &mut Map, facts: &Facts) {
    if let Ok(environment) = &facts.environment {
        map.set(property::PROCESS_ENVIRONMENT, environment_value(environment));
    }
    if let Ok(Some(label)) = &facts.label {
        map.set(property::PROCESS_SECURITY_LABEL, label.as_str());
    }
    if let Ok(namespaces) = &facts.namespaces {
        map.set(property::PROCESS_NAMESPACES, namespaces_value(namespaces));
    }
    if let Some(later) = &facts.later {
        map.set(property::LATER_PROGRAM, later_value(later));
    }
    if let Ok(origin) = &facts.origin {
        let mut value = json!({ "kind": origin.kind, "deleted": origin.deleted });
        if let Some((filesystem, point)) = &origin.place {
            value["filesystem"] = filesystem.as_str().into();
            value["mountPoint"] = point.as_str().into();
        }
        map.set(property::EXECUTABLE_ORIGIN, value);
    }
    if let Some(Ok(script)) = &facts.script {
        map.set(
            property::PROCESS_SCRIPT,
            json!({
                "path": bounded(&script.path, PATH_MAX), "sha256": script.sum.sha256,
                "size": script.file.size.to_string(), "hashedSize": script.sum.hashed.to_string(),
                "changedAfterStart": script.changed
            }),
        );
    }
    for (name, peers) in [(property::NETWORK_PEERS, &facts.peers), (property::RELAY_PEERS, &facts.relay)] {
        if let Some(Ok(peers)) = peers {
            map.set(name, peers_value(peers));
        }
    }
}

fn peers_value(peers: &Peers) -> Value {
    let one = |(protocol, peer, local): &(&str, String, String)| json!({ "protocol": protocol, "peer": peer, "local": local });
    json!({ "peers": peers.list.iter().map(one).collect::<Vec<Value>>(), "more": peers.more })
}

fn environment_value(environment: &Environment) -> Value {
    json!({
        "values": environment.values, "names": environment.names, "more": environment.more,
        "truncated": environment.truncated
    })
}

fn namespaces_value(namespaces: &Inodes) -> Value {
    let list = namespaces.iter().map(|(name, inode)| ((*name).to_owned(), inode.to_string().into()));
    Value::Object(list.collect())
}

/// What the process had become when it was read: nothing of it is the main program's.
fn later_value(later: &Later) -> Value {
    let mut value = json!({
        "path": bounded(&later.path, PATH_MAX), "args": command_line(&later.args, LATER_ARGS_MAX),
        "namespaces": namespaces_value(&later.namespaces),
    });
    if let Some(environment) = &later.environment {
        value["environment"] = environment_value(environment);
    }
    if let Some(label) = &later.label {
        value["securityLabel"] = label.as_str().into();
    }
    value
}

/// The script as the API's own message of a process has it.
pub(super) fn script_file(script: &Script) -> File {
    File {
        path: bounded(&script.path, PATH_MAX),
        size: Some(script.file.size.to_string()),
        sha256: Some(script.sum.sha256.clone()),
        hashed_size: Some(script.sum.hashed.to_string()),
        partially_hashed: script.sum.hashed < script.file.size,
        operations: Vec::new(),
    }
}

/// What is missing of it, and why.
pub(super) fn note_missing(status: &mut Status, context: &Context<'_>) {
    let (facts, copy) = (&context.facts, &context.copy);
    if let Some(Err(why)) = copy {
        status.miss("copy of the executable", why);
    }
    let facts = match facts {
        Ok(facts) => facts,
        Err(why) => return status.miss("environment, label, namespaces and origin", why),
    };
    // All three are the living process's alone.
    if let Err(why) = &facts.namespaces {
        status.miss("environment, label and namespaces", why);
    } else {
        for (what, why) in [
            ("environment", facts.environment.as_ref().err()),
            ("security label", facts.label.as_ref().err()),
        ] {
            if let Some(why) = why {
                status.miss(what, why);
            }
        }
    }
    for (what, why) in [
        ("executable's origin", facts.origin.as_ref().err()),
        ("script's SHA-256", facts.script.as_ref().and_then(|script| script.as_ref().err())),
        ("network peers", facts.peers.as_ref().and_then(|peers| peers.as_ref().err())),
        ("relay's peers", facts.relay.as_ref().and_then(|peers| peers.as_ref().err())),
    ] {
        if let Some(why) = why {
            status.miss(what, why);
        }
    }
}
