//! What a record says, taken out once for those who advise by it.
//!
//! Owns: reading a record's fields as values of commands, whatever the record holds. Must not own: the advice.

use std::net::IpAddr;
use std::path::Path;

use serde_json::Value;

use crate::cli::command::Word;
use crate::model::clock::{SECOND, parse_rfc3339, rfc3339};
use crate::model::detection::State;
use crate::model::finding::{Process, Record, property};

/// The largest process id that Linux gives.
pub const PID_MAX: u32 = 4_194_304;
/// How far before the first command, and after the last, logs are asked for.
const MARGIN: u64 = 15 * 60 * SECOND;

/// A cloud that tetherd knows the logs of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cloud {
    /// Google Cloud.
    Google,
    /// Amazon Web Services.
    Amazon,
    /// Microsoft Azure.
    Azure,
}

impl Cloud {
    /// By what the machine's metadata server said, else by the resource's full name; `None` where neither tells.
    fn of(record: &Record) -> Option<Self> {
        let cloud = record.finding.source_properties.get(property::CLOUD);
        let by_metadata = match cloud.and_then(|cloud| cloud.get("provider")?.as_str()) {
            Some("gce") => Some(Self::Google),
            Some("ec2") => Some(Self::Amazon),
            Some("azure") => Some(Self::Azure),
            _ => None,
        };
        let service = record.resource.name.strip_prefix("//").and_then(|name| name.split('/').next());
        let by_name = match service.unwrap_or_default() {
            "container.googleapis.com" | "compute.googleapis.com" => Some(Self::Google),
            "management.azure.com" => Some(Self::Azure),
            service if service.ends_with(".amazonaws.com") => Some(Self::Amazon),
            _ => None,
        };
        by_metadata.or(by_name)
    }
}

/// A finding's facts.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Where they are from.
    pub record: &'a Record,
    /// The spool, where it is not the configured one.
    pub spool: Option<Word>,
    /// The finding's id.
    pub id: Word,
    /// Whether something still runs on the tether.
    pub active: bool,
    /// The main process.
    pub pid: Word,
    /// When it started, in ticks.
    pub ticks: Word,
    /// The boot that these belong to.
    pub boot: Word,
    /// Who relays: process id and name.
    pub relays: Vec<(Word, String)>,
    /// `docker`, `containerd`, ...; empty on the host.
    pub runtime: &'a str,
    /// The container.
    pub container: Word,
    /// The container around it, nearest first.
    pub outer: Vec<String>,
    /// Whether it is a pod's.
    pub in_pod: bool,
    /// The pod's namespace.
    pub namespace: Word,
    /// The pod.
    pub pod: Word,
    /// The container's name in its pod.
    pub container_name: Word,
    /// The pod's service account, as its token names it.
    pub account: Word,
    /// The machine.
    pub node: Word,
    /// The cluster, by the resource's full name.
    pub cluster: Word,
    /// Its project.
    pub project: Word,
    /// Its region or zone.
    pub location: Word,
    /// The machine in its cloud.
    pub instance: Word,
    /// Whether the resource is Google Cloud's.
    pub google: bool,
    /// Which cloud, if that is known.
    pub cloud: Option<Cloud>,
    /// The peer's address.
    pub peer: Word,
    /// The peer's port.
    pub peer_port: Word,
    /// SHA-256 of the program.
    pub sha256: Word,
    /// The cgroup.
    pub cgroup: Option<&'a str>,
    /// From when on logs are of interest.
    pub from: Word,
    /// Until when.
    pub until: Word,
}

impl<'a> Facts<'a> {
    /// Reads a record.
    pub fn new(record: &'a Record) -> Self {
        let finding = &record.finding;
        let text = |key: &str| record.text(key).filter(|text| !text.is_empty());
        let process = subject(record);
        let pid = process.and_then(|process| pid(&process.pid));
        let hex = |text: &&str, digits: usize| {
            text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        let kubernetes = finding.kubernetes.as_ref();
        let named = kubernetes.and_then(|kubernetes| kubernetes.pods.first());
        let resource = record.resource.name.as_str();
        let cloud = finding.source_properties.get(property::CLOUD);
        let in_cloud = |key: &str| cloud.and_then(|cloud| cloud.get(key)?.as_str());
        let binary = process.and_then(|process| process.binary.as_ref());
        let connection = finding.connections.first();
        let peer = connection.and_then(|connection| connection.destination_ip.as_deref());
        let port = connection.and_then(|connection| connection.destination_port);
        let outer = finding.source_properties.get(property::OUTER_CONTAINER_IDS).and_then(Value::as_array);
        let namespace = text(property::POD_NAMESPACE).or(named.map(|pod| pod.ns.as_str()));
        let pod = text(property::POD_NAME).or(named.map(|pod| pod.name.as_str()));
        let account = finding.source_properties.get(property::SERVICE_ACCOUNT);
        let account = account.and_then(|account| account.get("name")?.as_str());
        let ticks = text(property::PROCESS_START_TICKS).filter(|text| number(text) && *text != "0");
        let boot = text(property::BOOT_ID)
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'));
        Self {
            record,
            spool: None,
            id: Word::of(Some(record.id()).filter(|id| hex(id, 32)), "FINDING_ID"),
            active: finding.state == State::Active,
            ticks: Word::of(ticks, "START_TICKS"),
            boot: Word::of(boot, "BOOT_ID"),
            relays: relays(record, pid.as_deref()),
            pid: Word::of(pid.as_deref(), "PID"),
            runtime: record.text(property::CONTAINER_RUNTIME).unwrap_or_default(),
            container: Word::of(text(property::CONTAINER_ID), "CONTAINER_ID"),
            outer: outer.into_iter().flatten().filter_map(Value::as_str).map(Into::into).collect(),
            in_pod: kubernetes.is_some() || pod.is_some() || text(property::POD_UID).is_some(),
            namespace: Word::of(namespace, "NAMESPACE"),
            pod: Word::of(pod, "POD"),
            container_name: Word::of(text(property::CONTAINER_NAME), "CONTAINER_NAME"),
            account: Word::of(account, "SERVICE_ACCOUNT"),
            node: Word::of(text(property::VM_INSTANCE_NAME), "NODE"),
            cluster: Word::of(
                behind(resource, &["clusters", "managedClusters"])
                    .or_else(|| arn(resource).and_then(|arn| arn.strip_prefix("cluster/")))
                    .or(in_cloud("cluster")),
                "CLUSTER",
            ),
            project: Word::of(behind(resource, &["projects"]).or(in_cloud("project")), "PROJECT"),
            location: Word::of(
                behind(resource, &["locations", "zones", "regions"])
                    .or_else(|| region(resource))
                    .or(in_cloud("location")),
                "LOCATION",
            ),
            instance: Word::of(
                in_cloud("instance")
                    .or_else(|| arn(resource).and_then(|arn| arn.strip_prefix("instance/")))
                    .or(behind(resource, &["instances", "virtualMachines"])),
                "INSTANCE",
            ),
            cloud: Cloud::of(record),
            google: resource.starts_with("//container.googleapis.com/")
                || resource.starts_with("//compute.googleapis.com/"),
            peer: Word::of(peer.filter(|peer| peer.parse::<IpAddr>().is_ok()), "PEER_ADDRESS"),
            peer_port: Word::of(port.map(|port| port.to_string()).as_deref(), "PEER_PORT"),
            sha256: Word::of(
                binary.and_then(|binary| binary.sha256.as_deref()).filter(|sum| hex(sum, 64)),
                "SHA256",
            ),
            cgroup: text(property::CGROUP_PATH).filter(|path| {
                path.starts_with('/') && *path != "/" && !path.split('/').any(|part| part == "..")
            }),
            from: moment(record, property::FIRST_SEEN, |at| at.saturating_sub(MARGIN), "FROM"),
            until: moment(record, property::LAST_SEEN, |at| at.saturating_add(MARGIN), "UNTIL"),
        }
    }

    /// The same, from a spool that was named.
    pub fn of_spool(mut self, directory: Option<&Path>) -> Self {
        self.spool = directory.map(|directory| {
            let whole = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned());
            Word::of(whole.to_str(), "SPOOL")
        });
        self
    }

    /// Whether the peer is known, and on another machine.
    pub fn elsewhere(&self) -> bool {
        let address = self.peer.known().and_then(|peer| peer.parse::<IpAddr>().ok());
        address.is_some_and(|address| !address.is_loopback())
    }

    /// Whether it ran in a container.
    pub fn contained(&self) -> bool {
        !self.runtime.is_empty() || self.container.known().is_some()
    }
}

/// The process that gave the severity: the one that the timeline marks with its row, else the one whose program it is.
pub fn subject(record: &Record) -> Option<&Process> {
    let exe = record.text(property::PROCESS_BINARY_FULLPATH);
    let processes = &record.finding.processes;
    let has_exe = |process: &Process| process.binary.as_ref().map(|binary| binary.path.as_str()) == exe;
    let timeline = record.finding.source_properties.get(property::TIMELINE).and_then(Value::as_array);
    let marked = timeline.into_iter().flatten().find(|entry| entry.get("row").is_some());
    let pid = marked.and_then(|entry| entry.get("pid")).map(Value::to_string);
    let of_pid = |process: &&Process| pid.as_deref() == Some(process.pid.as_str());
    processes
        .iter()
        .find(|process| of_pid(process) && has_exe(process))
        .or_else(|| processes.iter().find(|process| has_exe(process)))
        .or(processes.first())
}

/// Whoever is on the way to the network and is not the main process.
fn relays(record: &Record, main: Option<&str>) -> Vec<(Word, String)> {
    let hops = record.finding.source_properties.get(property::TETHER_PATH).and_then(Value::as_array);
    let mut found: Vec<(Word, String)> = Vec::new();
    for hop in hops.into_iter().flatten() {
        let Some(pid) = hop.get("pid").and_then(|number| pid(&number.to_string())) else { continue };
        let word = Word::Known(pid);
        if word.known() != main && found.iter().all(|(other, _)| *other != word) {
            let comm = hop.get("comm").and_then(Value::as_str).unwrap_or_default();
            found.push((word, comm.to_owned()));
        }
    }
    found
}

/// A process id that can be one, and not pid 1's: a forged record names no other.
fn pid(text: &str) -> Option<String> {
    let number: u32 = text.parse().ok()?;
    (2..=PID_MAX).contains(&number).then(|| number.to_string())
}

fn number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The part of a full resource name behind one of these words.
fn behind<'a>(name: &'a str, words: &[&str]) -> Option<&'a str> {
    let mut parts = name.split('/');
    parts.by_ref().find(|part| words.contains(part))?;
    parts.next()
}

/// The part behind account and service of an ARN in a full resource name: `TYPE/ID`.
fn arn(name: &str) -> Option<&str> {
    name.split_once("/arn:")?.1.splitn(5, ':').nth(4)
}

/// An ARN's region.
fn region(name: &str) -> Option<&str> {
    name.split_once("/arn:")?.1.split(':').nth(2).filter(|region| !region.is_empty())
}

fn moment(record: &Record, key: &str, shift: impl Fn(u64) -> u64, placeholder: &'static str) -> Word {
    let seen = record.text(key).and_then(parse_rfc3339);
    let seen = seen.or_else(|| parse_rfc3339(&record.finding.event_time)).map(|at| rfc3339(shift(at)));
    // Whole seconds are enough, and every tool takes them.
    let text = seen.and_then(|text| Some(format!("{}Z", text.get(..19)?)));
    Word::of(text.as_deref(), placeholder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::clock::Moment;
    use crate::model::finding::CATEGORY;
    use crate::spool::record::observation;

    #[test]
    fn a_record_that_says_little_and_one_that_lies() {
        let now = Moment { mono_ns: 1, wall_ns: 1_795_492_217_000_000_000 };
        let mut record = observation(CATEGORY, "x", Default::default(), now, "boot; id");
        record.finding.processes = vec![Process { pid: "1".into(), ..Process::default() }];
        record.resource.name = "//container.googleapis.com/projects/p/zones/z/clusters/c".into();
        record.finding.source_properties.insert(
            property::TETHER_PATH.into(),
            serde_json::json!([{"pid": 1}, {"pid": 7, "comm": "nc"}, {"pid": "x"}, {"pid": 7}]),
        );
        let facts = Facts::new(&record);
        assert_eq!((facts.pid.plain(), facts.boot.plain()), ("<PID>".into(), "<BOOT_ID>".into()));
        assert_eq!(facts.relays, [(Word::Known("7".into()), "nc".into())]);
        let place = [&facts.project, &facts.location, &facts.cluster].map(Word::plain);
        assert_eq!((place.join(" "), facts.google), ("p z c".into(), true));
        assert_eq!(facts.from.plain(), "2026-11-24T03:35:17Z");
        assert!(!facts.contained() && !facts.in_pod);
    }

    #[test]
    fn clouds() {
        let now = Moment { mono_ns: 1, wall_ns: 1_795_492_217_000_000_000 };
        let of = |resource: &str, metadata: serde_json::Value| {
            let mut record = observation(CATEGORY, "x", Default::default(), now, "boot");
            record.resource.name = resource.into();
            record.finding.source_properties.insert(property::CLOUD.into(), metadata);
            let facts = Facts::new(&record);
            let words = [&facts.cluster, &facts.location, &facts.instance].map(Word::plain);
            (facts.cloud, words.join(" "))
        };
        let none = || serde_json::json!(null);
        assert_eq!(of("//tetherd/hosts/vm", none()), (None, "<CLUSTER> <LOCATION> <INSTANCE>".into()));
        assert_eq!(
            of("//eks.amazonaws.com/arn:aws:eks:eu-west-1:1234:cluster/prod", none()),
            (Some(Cloud::Amazon), "prod eu-west-1 <INSTANCE>".into())
        );
        assert_eq!(
            of("//ec2.amazonaws.com/arn:aws:ec2:eu-west-1:1234:instance/i-0a", none()),
            (Some(Cloud::Amazon), "<CLUSTER> eu-west-1 i-0a".into())
        );
        let aks = "//management.azure.com/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerService/managedClusters/prod";
        assert_eq!(of(aks, none()), (Some(Cloud::Azure), "prod <LOCATION> <INSTANCE>".into()));
        let said = serde_json::json!({"provider": "ec2", "location": "eu-west-1", "instance": "i-0a"});
        assert_eq!(of("//my.org/cluster", said), (Some(Cloud::Amazon), "<CLUSTER> eu-west-1 i-0a".into()));
        assert_eq!(of("//evilamazonaws.com/x", none()).0, None);
        assert_eq!(of("arn:", serde_json::json!({"provider": 7, "location": []})).0, None);
    }
}
