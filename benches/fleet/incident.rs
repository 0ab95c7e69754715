//! Records as a node's daemon writes them, made from a short description.
//!
//! Owns: the shape of one finding's records and of an observation's, with the fields and lengths that real ones have. Must
//! not own: what happens in the fleet (`world`, and the scenario of `tests/fleet.rs`); numbers and chain (the spool's writer,
//! `spool`).

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tetherd::model::clock::{Moment, rfc3339};
use tetherd::model::detection::{Row, Severity, State};
use tetherd::model::finding::{
    CATEGORY, Connection, Container, File, FileOperation, Finding, Indicator, Kubernetes, MitreAttack, Node,
    Pod, Process, Record, Resource, SCHEMA_VERSION, property,
};
use tetherd::model::ids::FindingId;
use tetherd::spool::record::{PARENT, PARENT_DISPLAY_NAME, canonical_name, finding_name, observation};

/// One second in nanoseconds.
pub const SECOND: u64 = 1_000_000_000;

/// A machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// `VM_Instance_Name`.
    pub name: String,
    /// Its cluster or itself.
    pub resource: String,
    /// The boot.
    pub boot: String,
}

/// A program file.
#[derive(Clone, Debug)]
pub struct Program {
    /// Its path.
    pub path: String,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// `Executable_Origin.kind`.
    pub origin: &'static str,
}

/// A command on a tether.
#[derive(Clone, Debug)]
pub struct Command {
    /// Nanoseconds after the incident's first one.
    pub after: u64,
    /// What ran.
    pub program: Program,
    /// argv.
    pub args: Vec<String>,
}

/// A container in a pod.
#[derive(Clone, Debug)]
pub struct Place {
    /// 64 digits.
    pub container_id: String,
    /// Name of the container.
    pub container: String,
    /// As it was asked for.
    pub image: String,
    /// With the digest.
    pub image_id: String,
    /// Namespace.
    pub namespace: String,
    /// Name of the pod.
    pub pod: String,
    /// Its uid.
    pub pod_uid: String,
}

/// What happened on one tether.
#[derive(Clone, Debug)]
pub struct Incident {
    /// The name's digits.
    pub id: FindingId,
    /// Nanoseconds after 1970.
    pub start: u64,
    /// The row of the table of findings.
    pub row: Row,
    /// How bad.
    pub severity: Severity,
    /// Address and port of the peer.
    pub peer: (String, u16),
    /// This end.
    pub local: (String, u16),
    /// `loopback`, `private`, `public`.
    pub scope: &'static str,
    /// `inbound`, `outbound`.
    pub direction: &'static str,
    /// The network tool in between, if it is relayed.
    pub relay: Option<&'static str>,
    /// What started it.
    pub parent: String,
    /// User id and name.
    pub user: (u32, &'static str),
    /// Where, if in a pod.
    pub place: Option<Place>,
    /// What ran, the main process first.
    pub commands: Vec<Command>,
    /// The first process id; the commands have the next ones.
    pub pid: u32,
}

impl Incident {
    /// The record that has the first `shown` commands. It is without its number and its place in the chain.
    pub fn record(&self, machine: &Machine, shown: usize, state: State) -> Record {
        let ran = self.commands.get(..shown).unwrap_or(&self.commands);
        let last = self.start + ran.last().map_or(0, |command| command.after);
        let processes: Vec<Process> =
            ran.iter().enumerate().map(|(at, command)| self.process(at, command)).collect();
        let place = self.place.as_ref();
        let container = place.map(|place| Container {
            name: place.container.clone(),
            uri: Some(place.image.clone()),
            image_id: Some(place.image_id.clone()),
            create_time: Some(rfc3339(self.start - 86_400 * SECOND)),
        });
        Record {
            finding: Finding {
                name: finding_name(self.id),
                canonical_name: canonical_name(self.id),
                parent: PARENT.into(),
                parent_display_name: PARENT_DISPLAY_NAME.into(),
                resource_name: machine.resource.clone(),
                state,
                category: CATEGORY.into(),
                severity: Some(self.severity),
                finding_class: "THREAT".into(),
                mute: "UNDEFINED".into(),
                mute_initiator: None,
                event_time: rfc3339(self.start),
                create_time: rfc3339(last + 2_000_000),
                description: self.description(),
                next_steps: NEXT_STEPS.into(),
                module_name: "tetherd/rows/1".into(),
                mitre_attack: Some(MitreAttack {
                    primary_tactic: "EXECUTION".into(),
                    primary_techniques: vec!["COMMAND_AND_SCRIPTING_INTERPRETER".into(), "UNIX_SHELL".into()],
                    additional_tactics: vec!["COMMAND_AND_CONTROL".into()],
                }),
                indicator: (self.scope != "loopback")
                    .then(|| Indicator { ip_addresses: vec![self.peer.0.clone()] }),
                connections: vec![Connection {
                    destination_ip: Some(self.peer.0.clone()),
                    destination_port: Some(self.peer.1),
                    source_ip: Some(self.local.0.clone()),
                    source_port: Some(self.local.1),
                    protocol: Some("TCP".into()),
                }],
                processes,
                containers: container.iter().cloned().collect(),
                kubernetes: place.map(|place| Kubernetes {
                    pods: vec![Pod {
                        ns: place.namespace.clone(),
                        name: place.pod.clone(),
                        labels: Vec::new(),
                        containers: container.iter().cloned().collect(),
                    }],
                    nodes: vec![Node { name: format!("{}/nodes/{}", machine.resource, machine.name) }],
                }),
                source_properties: self.properties(machine, ran, last),
            },
            resource: resource(machine),
        }
    }

    fn process(&self, at: usize, command: &Command) -> Process {
        let file = File {
            path: command.program.path.clone(),
            size: Some("125688".into()),
            sha256: Some(command.program.sha256.clone()),
            hashed_size: Some("125688".into()),
            partially_hashed: false,
            operations: vec![FileOperation { kind: "EXECUTE".into() }],
        };
        Process {
            name: comm(&command.program.path).into(),
            binary: Some(file),
            script: None,
            args: command.args.clone(),
            arguments_truncated: false,
            pid: self.pid_of(at).to_string(),
            parent_pid: (if at == 0 { self.pid - 1 } else { self.pid }).to_string(),
            user_id: self.user.0.to_string(),
        }
    }

    fn pid_of(&self, at: usize) -> u32 {
        self.pid + u32::try_from(at).unwrap_or(0)
    }

    fn main(&self) -> &Program {
        static NOTHING: Program = Program { path: String::new(), sha256: String::new(), origin: "unknown" };
        self.commands.first().map_or(&NOTHING, |command| &command.program)
    }

    fn description(&self) -> String {
        let way = if self.relay.is_some() { "relayed to" } else { "on" };
        format!(
            "{} (pid {}, uid {} {}) has its stdin, stdout and stderr {way} a TCP connection to {}:{} ({}); {} commands ran on it.",
            comm(&self.main().path),
            self.pid,
            self.user.0,
            self.user.1,
            self.peer.0,
            self.peer.1,
            self.direction,
            self.commands.len()
        )
    }

    fn properties(&self, machine: &Machine, ran: &[Command], last: u64) -> BTreeMap<String, Value> {
        let main = self.main();
        let args = self.commands.first().map(|command| command.args.clone()).unwrap_or_default();
        let ticks = |at: usize| (self.start / 10_000_000 % 1_000_000_000 + at as u64).to_string();
        let timeline: Vec<Value> = ran
            .iter()
            .enumerate()
            .map(|(at, command)| {
                let mut entry = json!({
                    "time": rfc3339(self.start + command.after), "pid": self.pid_of(at), "startTicks": ticks(at),
                    "comm": comm(&command.program.path), "args": command.args.join(" "), "seen": "live",
                });
                if at == 0 {
                    entry["row"] = self.row.number().into();
                }
                entry
            })
            .collect();
        let socket = json!({
            "protocol": "TCP", "inode": self.pid.wrapping_mul(977).to_string(), "cookie": self.pid.to_string(),
            "local": format!("{}:{}", self.local.0, self.local.1), "peer": format!("{}:{}", self.peer.0, self.peer.1),
            "netNamespace": "4026532008", "foundBy": "getfd",
        });
        let hop = |pid: u32, comm: &str, fds: &[u8], backing: String| json!({"pid": pid, "startTicks": ticks(0), "comm": comm, "fds": fds, "backing": backing});
        let on_network = |mut hop: Value| {
            hop["socket"] = socket.clone();
            hop
        };
        let network = format!("socket:[{}]", self.pid.wrapping_mul(977));
        let path = match self.relay {
            None => vec![on_network(hop(self.pid, comm(&main.path), &[0, 1, 2], network))],
            Some(relay) => vec![
                hop(self.pid, comm(&main.path), &[0, 1, 2], format!("pipe:[{}]", self.pid.wrapping_mul(31))),
                hop(self.pid - 2, relay, &[0, 1], format!("pipe:[{}]", self.pid.wrapping_mul(31))),
                on_network(hop(self.pid - 2, relay, &[3], network)),
            ],
        };
        let mut map: BTreeMap<String, Value> = [
            (property::BOOT_ID, json!(machine.boot)),
            (property::SCHEMA_VERSION, json!(SCHEMA_VERSION)),
            (property::VM_INSTANCE_NAME, json!(machine.name)),
            (property::ENRICHMENT_STATUS, json!({"complete": true, "missing": []})),
            (property::ROW, json!(self.row.number())),
            (property::EVIDENCE, json!([EVIDENCE])),
            (property::OBSERVATION, json!("live")),
            (property::PROCESS_COUNT, json!(ran.len().to_string())),
            (
                property::PROCESS_OBSERVATIONS,
                json!({"held": 0, "live": ran.len(), "inherited": 0, "swept": 0}),
            ),
            (property::FIRST_SEEN, json!(rfc3339(self.start))),
            (property::LAST_SEEN, json!(rfc3339(last))),
            (property::TIMELINE, timeline.into()),
            (
                property::TETHER_KIND,
                json!(if self.relay.is_some() { "relayed" } else { "direct" }),
            ),
            (property::TETHER_PATH, path.into()),
            (property::TETHER_DIRECTION, json!(self.direction)),
            (property::PEER_SCOPE, json!(self.scope)),
            (property::SOCKET_PROTOCOL, json!("TCP")),
            (property::SOCKET_INODE, json!(self.pid.wrapping_mul(977).to_string())),
            (property::SOCKET_COOKIE, json!(self.pid.to_string())),
            (property::SOCKET_FDS, json!([0, 1, 2])),
            (property::PROCESS_BINARY_FULLPATH, json!(main.path)),
            (property::PROCESS_ARGUMENTS, json!(args)),
            (property::PROCESS_CREATION_TIMESTAMP, json!(rfc3339(self.start))),
            (property::PROCESS_START_TICKS, json!(ticks(0))),
            (property::PROCESS_GROUP_ID, json!(self.pid)),
            (property::PROCESS_USER_NAME, json!(self.user.1)),
            (property::PROCESS_WORKING_DIRECTORY, json!("/")),
            (property::PARENT_PID, json!(self.pid - 1)),
            (property::PARENT_BINARY_FULLPATH, json!(self.parent)),
            (
                property::PROCESS_ANCESTRY,
                json!([
                    {"pid": self.pid - 1, "comm": comm(&self.parent), "exe": self.parent, "args": self.parent},
                    {"pid": 1, "comm": "systemd", "exe": "/usr/lib/systemd/systemd", "args": "/sbin/init"},
                ]),
            ),
            (
                property::PROCESS_CREDENTIALS,
                json!({"userId": self.user.0, "effectiveUserId": self.user.0,
                       "groupId": self.user.0, "effectiveGroupId": self.user.0}),
            ),
            (property::PROCESS_CAPABILITIES, json!({"effective": ["ALL"], "permitted": ["ALL"]})),
            (property::PROCESS_NO_NEW_PRIVILEGES, json!(false)),
            (property::PROCESS_SECCOMP, json!("disabled")),
            (
                property::PROCESS_ENVIRONMENT,
                json!({"values": {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
                       "names": ["HOME", "HOSTNAME", "KUBERNETES_PORT", "KUBERNETES_SERVICE_HOST"],
                       "more": 0, "truncated": false}),
            ),
            (
                property::EXECUTABLE_ORIGIN,
                json!({"kind": main.origin, "deleted": false, "filesystem": "overlay", "mountPoint": "/"}),
            ),
        ]
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        if let Some(place) = &self.place {
            let cgroup = format!(
                "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{}.slice/cri-containerd-{}.scope",
                place.pod_uid.replace('-', "_"),
                place.container_id
            );
            for (key, value) in [
                (property::CGROUP_PATH, &cgroup),
                (property::CONTAINER_ID, &place.container_id),
                (property::CONTAINER_IMAGE_URI, &place.image),
                (property::CONTAINER_NAME, &place.container),
                (property::POD_NAME, &place.pod),
                (property::POD_NAMESPACE, &place.namespace),
                (property::POD_UID, &place.pod_uid),
            ] {
                map.insert(key.to_owned(), value.as_str().into());
            }
            map.insert(property::CONTAINER_RUNTIME.to_owned(), "containerd".into());
            let owner = json!({"kind": "Deployment", "name": place.container, "guessed": true});
            map.insert(property::POD_OWNER.to_owned(), owner);
        }
        map
    }
}

/// An observation of this machine: a loss, dropped records.
pub fn about(machine: &Machine, category: &str, properties: BTreeMap<String, Value>, at: u64) -> Record {
    let now = Moment { mono_ns: 0, wall_ns: at };
    let mut record = observation(category, "The daemon says this of itself.", properties, now, &machine.boot);
    record.finding.resource_name.clone_from(&machine.resource);
    record.finding.source_properties.insert(property::VM_INSTANCE_NAME.into(), machine.name.as_str().into());
    record.resource = resource(machine);
    record
}

fn resource(machine: &Machine) -> Resource {
    let kind = if machine.resource.contains("/clusters/") { "k8s.io/Cluster" } else { "tetherd/Host" };
    Resource {
        name: machine.resource.clone(),
        display_name: machine.name.clone(),
        kind: kind.into(),
        project: None,
    }
}

/// The last part of a path, as the kernel cuts it.
fn comm(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.get(..15).unwrap_or(name)
}

const NEXT_STEPS: &str = "Review the process, its peer and what else ran on the connection (Timeline). `tetherd explain` \
                          gives the response steps with every command filled in. Stop or isolate the workload if it is not \
                          expected.";
const EVIDENCE: &str = "row 1: a shell or common command has its input and output on a network socket";
