//! A finding as it stands in the spool: one line of JSON.
//!
//! Owns: the Security Command Center v2 messages (googleapis `google/cloud/securitycenter/v2/*.proto`, proto3 JSON:
//! lowerCamelCase, 64-bit numbers as strings, enums by name) as far as tetherd fills them, and the names of the
//! `sourceProperties`. Must not own: filling them (`enrich`), storing them (`spool`).
//!
//! `finding.name` comes first on the line, so that every segment begins differently for forwarders that tell files
//! apart by their first bytes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::detection::{Severity, State};

/// The category of what tetherd is for.
pub const CATEGORY: &str = "Execution: Possible Remote Command Execution Detected";
/// The category of the record that says that older records were dropped.
pub const CATEGORY_DROPPED: &str = "Tetherd: Findings Dropped";
/// The category of the record that says that something may have been missed.
pub const CATEGORY_LOSS: &str = "Tetherd: Coverage Lost";
/// The category of the record that says how hard pressed the spool is.
pub const CATEGORY_PRESSURE: &str = "Tetherd: Spool Pressure";
/// The category of the record that says that the daemon has started, and with what.
pub const CATEGORY_STARTED: &str = "Tetherd: Started";
/// The category of the record that says that the daemon has stopped in order.
pub const CATEGORY_STOPPED: &str = "Tetherd: Stopped";
/// The category of the record that says what a reload has changed, or why it was refused.
pub const CATEGORY_RELOADED: &str = "Tetherd: Configuration Reloaded";
/// The category of the record that says now and then how the daemon is.
pub const CATEGORY_HEARTBEAT: &str = "Tetherd: Heartbeat";
/// The category of the record that says that something was done to the daemon.
pub const CATEGORY_INTERFERENCE: &str = "Tetherd: Interference";
/// The category of the record that a segment begins with where nothing but a heartbeat comes.
pub const CATEGORY_SEGMENT: &str = "Tetherd: Segment Begun";
/// The category of the record that signs the chain before it.
pub const CATEGORY_CHECKPOINT: &str = "Tetherd: Checkpoint";
/// The version of the set of `sourceProperties`.
pub const SCHEMA_VERSION: &str = "1";
/// The longest line, in bytes without its newline: forwarders stop at 32 KiB.
pub const LINE_MAX: usize = 30_000;

/// Names of `sourceProperties`: 1 to 255 of `[A-Za-z0-9_]`, beginning with a letter.
pub mod property {
    #![allow(missing_docs)] // each is its own name; docs/ describes them all
    pub const BOOT_ID: &str = "Boot_Id";
    pub const CGROUP_PATH: &str = "Cgroup_Path";
    pub const CHANGED_KEYS: &str = "Changed_Keys";
    pub const CHANGED_RULES: &str = "Changed_Rules";
    pub const CLOUD: &str = "Cloud";
    pub const CONFIGURATION_SHA256: &str = "Configuration_Sha256";
    pub const CONTAINER_ATTEMPT: &str = "Container_Attempt";
    pub const CONTAINER_ID: &str = "Container_Id";
    pub const CONTAINER_IMAGE_URI: &str = "Container_Image_Uri";
    pub const CONTAINER_NAME: &str = "Container_Name";
    pub const CONTAINER_RUNTIME: &str = "Container_Runtime";
    pub const COUNTS: &str = "Counts";
    pub const DELIVERIES: &str = "Deliveries";
    pub const ENRICHMENT_STATUS: &str = "Enrichment_Status";
    pub const EVIDENCE: &str = "Evidence";
    pub const EVIDENCE_FILE: &str = "Evidence_File";
    pub const EXCUSED_BY: &str = "Excused_By";
    pub const EXECUTABLE_ORIGIN: &str = "Executable_Origin";
    pub const FANOTIFY_MODE: &str = "Fanotify_Mode";
    pub const HEARTBEAT_MINUTES: &str = "Heartbeat_Minutes";
    pub const LEVEL: &str = "Level";
    pub const LOSSES_SINCE_START: &str = "Losses_Since_Start";
    pub const INTERFERENCE: &str = "Interference";
    pub const LATER_PROGRAM: &str = "Later_Program";
    pub const NETWORK_PEERS: &str = "Network_Peers";
    pub const OBSERVATION: &str = "Observation";
    pub const OUTCOME: &str = "Outcome";
    pub const OUTER_CONTAINER_IDS: &str = "Outer_Container_Ids";
    pub const PARENT_BINARY_FULLPATH: &str = "Parent_Binary_Fullpath";
    pub const PARENT_PID: &str = "Parent_Pid";
    pub const PEER_SCOPE: &str = "Peer_Scope";
    pub const POD_ANNOTATIONS: &str = "Pod_Annotations";
    pub const POD_LABELS: &str = "Pod_Labels";
    pub const POD_NAME: &str = "Pod_Name";
    pub const POD_NAMESPACE: &str = "Pod_Namespace";
    pub const POD_OWNER: &str = "Pod_Owner";
    pub const POD_UID: &str = "Pod_UID";
    pub const PREVIOUS_RUN: &str = "Previous_Run";
    pub const PREVIOUS_SHA256: &str = "Previous_Record_Sha256";
    pub const PROCESS_ANCESTRY: &str = "Process_Ancestry";
    pub const PROCESS_ARGUMENTS: &str = "Process_Arguments";
    pub const PROCESS_ARGUMENTS_BASE64: &str = "Process_Arguments_Base64";
    pub const PROCESS_BINARY_FULLPATH: &str = "Process_Binary_Fullpath";
    pub const PROCESS_CAPABILITIES: &str = "Process_Capabilities";
    pub const PROCESS_CREDENTIALS: &str = "Process_Credentials";
    pub const PROCESS_ENVIRONMENT: &str = "Process_Environment";
    pub const PROCESS_NAMESPACES: &str = "Process_Namespaces";
    pub const PROCESS_NO_NEW_PRIVILEGES: &str = "Process_No_New_Privileges";
    pub const PROCESS_ROOT_DIRECTORY: &str = "Process_Root_Directory";
    pub const PROCESS_SCRIPT: &str = "Process_Script";
    pub const PROCESS_SECCOMP: &str = "Process_Seccomp";
    pub const PROCESS_SECURITY_LABEL: &str = "Process_Security_Label";
    pub const PUBLIC_KEY: &str = "Public_Key";
    pub const RELATED_FINDINGS: &str = "Related_Findings";
    pub const RELAY_PEERS: &str = "Relay_Peers";
    pub const PROCESS_COUNT: &str = "Process_Count";
    pub const PROCESS_CREATION_TIMESTAMP: &str = "Process_Creation_Timestamp";
    pub const PROCESS_GROUP_ID: &str = "Process_Group_Id";
    pub const PROCESS_LOGIN_USER_ID: &str = "Process_Login_User_Id";
    pub const PROCESS_OBSERVATIONS: &str = "Process_Observations";
    pub const PROCESS_START_TICKS: &str = "Process_Start_Ticks";
    pub const PROCESS_USER_NAME: &str = "Process_User_Name";
    pub const PROCESS_WORKING_DIRECTORY: &str = "Process_Working_Directory";
    pub const ROW: &str = "Row";
    pub const RULES_FILES: &str = "Rules_Files";
    pub const RULES_SHA256: &str = "Rules_Sha256";
    pub const SCHEMA_VERSION: &str = "Schema_Version";
    pub const SEQUENCE: &str = "Sequence";
    pub const SERVICE_ACCOUNT: &str = "Service_Account";
    pub const SIGNATURE: &str = "Signature";
    pub const SOCKET_COOKIE: &str = "Socket_Cookie";
    pub const SOCKET_FDS: &str = "Socket_Fds";
    pub const SOCKET_INODE: &str = "Socket_Inode";
    pub const SOCKET_PROTOCOL: &str = "Socket_Protocol";
    pub const TETHER_DIRECTION: &str = "Tether_Direction";
    pub const TETHER_KIND: &str = "Tether_Kind";
    pub const TETHER_PATH: &str = "Tether_Path";
    pub const TIMELINE: &str = "Timeline";
    pub const UNHEARD_FROM: &str = "Unheard_From";
    pub const UNHEARD_TO: &str = "Unheard_To";
    pub const UPTIME_SECONDS: &str = "Uptime_Seconds";
    pub const VERSION: &str = "Version";
    pub const VM_INSTANCE_NAME: &str = "VM_Instance_Name";
    pub const FIRST_SEEN: &str = "First_Seen";
    pub const LAST_SEEN: &str = "Last_Seen";
}

/// One line of the spool: `ListFindingsResult` of the v2 API.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What was found.
    pub finding: Finding,
    /// Where.
    pub resource: Resource,
}

/// `google.cloud.securitycenter.v2.Finding`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// `organizations/0/sources/tetherd/locations/global/findings/ID`.
    pub name: String,
    /// `projects/...` in place of `organizations/...`.
    pub canonical_name: String,
    /// The name without `/findings/ID`.
    pub parent: String,
    /// `Tetherd`.
    pub parent_display_name: String,
    /// The cluster or host, as the configuration names it.
    pub resource_name: String,
    /// Going on or ended.
    pub state: State,
    /// [`CATEGORY`] and its kin.
    pub category: String,
    /// How bad; observations have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// `THREAT` or `OBSERVATION`.
    pub finding_class: String,
    /// `UNDEFINED`; `MUTED` of a finding that was withdrawn.
    pub mute: String,
    /// Which rule excuses it, of one that was withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mute_initiator: Option<String>,
    /// When it was first detected (RFC 3339).
    pub event_time: String,
    /// When this record was written (RFC 3339).
    pub create_time: String,
    /// In words.
    pub description: String,
    /// What to do, in words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub next_steps: String,
    /// Which rule.
    pub module_name: String,
    /// ATT&CK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mitre_attack: Option<MitreAttack>,
    /// Addresses to look for elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub indicator: Option<Indicator>,
    /// The connections.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connections: Vec<Connection>,
    /// The commands, oldest first, capped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<Process>,
    /// The container.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<Container>,
    /// The pod and node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kubernetes: Option<Kubernetes>,
    /// Everything that has no field of its own: see [`property`].
    pub source_properties: BTreeMap<String, Value>,
}

/// `MitreAttack`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MitreAttack {
    /// `EXECUTION`.
    pub primary_tactic: String,
    /// `COMMAND_AND_SCRIPTING_INTERPRETER`, `UNIX_SHELL`.
    pub primary_techniques: Vec<String>,
    /// `COMMAND_AND_CONTROL`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub additional_tactics: Vec<String>,
}

/// `Indicator`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Indicator {
    /// Peers that are not on loopback.
    pub ip_addresses: Vec<String>,
}

/// `Connection`. Absent fields are left out, as for a datagram socket without a peer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Connection {
    /// The peer's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_ip: Option<String>,
    /// The peer's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_port: Option<u16>,
    /// This end's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<String>,
    /// This end's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_port: Option<u16>,
    /// `TCP`, `UDP`, `ICMP`; left out for others, which the API has no name for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
}

/// `Process`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Process {
    /// `comm`.
    pub name: String,
    /// The program file; left out where it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binary: Option<File>,
    /// The script that the program, an interpreter, runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<File>,
    /// argv, bytes that are not UTF-8 replaced by U+FFFD.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// There were more, or longer ones.
    #[serde(default)]
    pub arguments_truncated: bool,
    /// Process id, as a string.
    pub pid: String,
    /// Parent's process id, as a string.
    pub parent_pid: String,
    /// Real user id, as a string.
    pub user_id: String,
}

/// `File`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// Its path.
    pub path: String,
    /// Bytes, as a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// SHA-256 of the first `hashed_size` bytes, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// How many bytes were hashed, as a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hashed_size: Option<String>,
    /// The file is larger than what was hashed.
    #[serde(default)]
    pub partially_hashed: bool,
    /// `[{"type":"EXECUTE"}]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<FileOperation>,
}

/// `File.FileOperation`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FileOperation {
    /// `EXECUTE`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// `Container`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Its name; its id where the name is not known.
    pub name: String,
    /// The image, as configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// The image's digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_id: Option<String>,
    /// When it was made (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_time: Option<String>,
}

/// `Kubernetes`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kubernetes {
    /// The pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<Pod>,
    /// The node.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Node>,
}

/// `Kubernetes.Pod`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pod {
    /// Namespace.
    pub ns: String,
    /// Name.
    pub name: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// The container in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub containers: Vec<Container>,
}

/// `Label`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Key.
    pub name: String,
    /// Value.
    pub value: String,
}

/// `Kubernetes.Node`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Full resource name.
    pub name: String,
}

/// `google.cloud.securitycenter.v2.Resource`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// Full resource name.
    pub name: String,
    /// For people.
    pub display_name: String,
    /// `k8s.io/Cluster`, `tetherd/Host`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The project it is in.
    #[serde(rename = "gcpMetadata", default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Project>,
}

/// `GcpMetadata`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    /// For people.
    pub project_display_name: String,
}

impl Record {
    /// The 32 digits at the end of the finding's name.
    pub fn id(&self) -> &str {
        self.finding.name.rsplit('/').next().unwrap_or_default()
    }

    /// A `sourceProperties` value that is a string.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.finding.source_properties.get(key).and_then(Value::as_str)
    }

    /// A `sourceProperties` value that is a number, or a string of digits.
    pub fn number(&self, key: &str) -> Option<u64> {
        match self.finding.source_properties.get(key)? {
            Value::String(text) => text.parse().ok(),
            value => value.as_u64(),
        }
    }

    /// The finding's state in a word.
    pub fn state(&self) -> &'static str {
        match self.finding.state {
            _ if self.finding.mute == "MUTED" => "withdrawn",
            State::Active => "going on",
            State::Inactive => "ended",
        }
    }

    /// The number of this record in its spool; 0 before it has one.
    pub fn sequence(&self) -> u64 {
        self.number(property::SEQUENCE).unwrap_or(0)
    }
}
