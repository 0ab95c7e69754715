//! What the files say, runtime by runtime.
//!
//! Owns: their JSON, as far as it matters. Must not own: where they are (`places`), what of their texts is taken (`facts`).

use serde::Deserialize;

use super::account::told as told_by_token;
use super::facts::{Metadata, Texts, image, labels, name};
use crate::enrich::container::is_long_id;

/// From a file's text and the container's id.
pub(super) type Form = fn(&[u8], &str) -> Option<Found>;
/// A pod's labels, from the file of its sandbox.
pub(super) type LabelsForm = fn(&[u8], &str) -> Option<Texts>;

/// What one file says.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) metadata: Metadata,
    /// The pod's sandbox, of whose file the labels are.
    pub(super) sandbox: Option<String>,
}

impl From<Metadata> for Found {
    fn from(metadata: Metadata) -> Self {
        Self { metadata, sandbox: None }
    }
}

/// dockerd's `config.v2.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Docker {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    created: String,
    #[serde(default)]
    image: String,
    #[serde(default)]
    config: DockerConfig,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerConfig {
    #[serde(default)]
    image: String,
    #[serde(default)]
    labels: Option<Texts>,
}

/// moby's `container.Container`. cri-dockerd has the kubelet's labels on its containers.
pub(super) fn docker(text: &[u8], id: &str) -> Option<Found> {
    let file = docker_file(text, id)?;
    let labels = file.config.labels.unwrap_or_default();
    let own = kubelet(&labels);
    let sandbox = match labels.get("io.kubernetes.docker.type").map(String::as_str) {
        Some("podsandbox") => Some(id.to_owned()),
        _ => labels.get("io.kubernetes.sandbox.id").filter(|id| is_long_id(id)).cloned(),
    };
    let metadata = Metadata {
        name: own.name.or_else(|| name(file.name.strip_prefix('/').unwrap_or(&file.name))),
        image: image(&file.config.image),
        image_id: image(&file.image),
        created: time(&file.created),
        ..own
    };
    Some(Found { metadata, sandbox })
}

/// The labels of a pod of cri-dockerd's: those of its sandbox, without the annotations that it has among them.
pub(super) fn docker_labels(text: &[u8], id: &str) -> Option<Texts> {
    let mut labels = docker_file(text, id)?.config.labels?;
    labels.retain(|key, _| !key.starts_with("annotation."));
    Some(labels)
}

fn docker_file(text: &[u8], id: &str) -> Option<Docker> {
    serde_json::from_slice(text).ok().filter(|file: &Docker| file.id == id)
}

/// An OCI bundle's `config.json`.
#[derive(Deserialize)]
struct Bundle {
    #[serde(default)]
    annotations: Texts,
}

/// Of containerd's CRI plugin (`pkg/cri/annotations`). A pod's sandbox has no container's name.
pub(super) fn cri(text: &[u8], _id: &str) -> Option<Found> {
    let Bundle { annotations } = serde_json::from_slice(text).ok()?;
    let get = |key: &str| annotations.get(&format!("io.kubernetes.cri.{key}")).map(String::as_str);
    get("sandbox-id")?;
    let metadata = Metadata {
        name: get("container-name").and_then(name),
        image: get("image-name").or_else(|| get("podsandbox.image-name")).and_then(image),
        pod_name: get("sandbox-name").and_then(name),
        pod_namespace: get("sandbox-namespace").and_then(name),
        pod_uid: get("sandbox-uid").and_then(name),
        ..Metadata::default()
    };
    Some(metadata.into())
}

/// Of CRI-O, which has the kubelet's labels among its annotations.
pub(super) fn cri_o(text: &[u8], _id: &str) -> Option<Found> {
    let Bundle { annotations } = serde_json::from_slice(text).ok()?;
    let get = |key: &str| annotations.get(&format!("io.kubernetes.cri-o.{key}")).map(String::as_str);
    let sandbox = get("SandboxID");
    sandbox.or_else(|| get("ContainerID"))?;
    let metadata = Metadata {
        image: get("Image").or_else(|| get("ImageName")).and_then(image),
        image_id: get("ImageRef").and_then(image),
        created: get("Created").and_then(time),
        ..kubelet(&annotations)
    };
    Some(Found { metadata, sandbox: sandbox.filter(|id| is_long_id(id)).map(str::to_owned) })
}

/// The labels of a pod of CRI-O's: an annotation of its sandbox, as JSON.
pub(super) fn cri_o_labels(text: &[u8], id: &str) -> Option<Texts> {
    let Bundle { annotations } = serde_json::from_slice(text).ok()?;
    let get = |key: &str| annotations.get(&format!("io.kubernetes.cri-o.{key}"));
    get("SandboxID").filter(|own| *own == id)?;
    serde_json::from_str(get("Labels")?).ok()
}

/// One container of containers/storage's `containers.json`.
#[derive(Deserialize)]
struct Stored {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    image: String,
    #[serde(default)]
    metadata: String,
    #[serde(default)]
    created: String,
}

/// What podman puts beside it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct StoredMetadata {
    #[serde(default)]
    image_name: String,
}

/// Of podman: all containers are in one file.
pub(super) fn podman(text: &[u8], id: &str) -> Option<Found> {
    let all: Vec<Stored> = serde_json::from_slice(text).ok()?;
    let own = all.into_iter().find(|stored| stored.id == id)?;
    let beside: StoredMetadata = serde_json::from_str(&own.metadata).unwrap_or_default();
    let metadata = Metadata {
        name: own.names.first().and_then(|first| name(first)),
        image: image(&beside.image_name),
        image_id: image(&own.image),
        created: time(&own.created),
        ..Metadata::default()
    };
    Some(metadata.into())
}

/// Every text that a record would have from these bytes, were they a file of any runtime's. For the fuzzer.
pub fn texts_of_file(text: &[u8], id: &str) -> Vec<String> {
    const LABELS_MAX: usize = 32;
    let forms: [Form; 4] = [docker, cri, cri_o, podman];
    let told = forms.into_iter().filter_map(|form| form(text, id)).map(|found| found.metadata);
    let labels_forms: [LabelsForm; 2] = [docker_labels, cri_o_labels];
    let labelled = labels_forms.into_iter().filter_map(|form| form(text, id)).map(|texts| Metadata {
        labels: labels(texts.iter().map(|(key, value)| (key.as_str(), value.as_str())), LABELS_MAX),
        ..Metadata::default()
    });
    let claimed = Metadata { account: told_by_token(text, id, ""), ..Metadata::default() };
    told.chain(labelled).chain([claimed]).flat_map(Metadata::texts).collect()
}

/// What the kubelet calls a container (`pkg/kubelet/kuberuntime/labels.go`).
fn kubelet(labels: &Texts) -> Metadata {
    let get = |key: &str| labels.get(&format!("io.kubernetes.{key}")).and_then(|text| name(text));
    Metadata {
        name: get("container.name"),
        pod_name: get("pod.name"),
        pod_namespace: get("pod.namespace"),
        pod_uid: get("pod.uid"),
        ..Metadata::default()
    }
}

/// A time of RFC 3339, in UTC as all runtimes write it, with all nine digits of a fraction.
fn time(text: &str) -> Option<String> {
    let form = "0000-00-00T00:00:00";
    let (seconds, rest) = text.split_at_checked(form.len())?;
    let as_in = |(b, form): (u8, u8)| if form == b'0' { b.is_ascii_digit() } else { b == form };
    let whole = seconds.bytes().zip(form.bytes()).all(as_in);
    let fraction = rest.strip_suffix('Z')?;
    let digits = if fraction.is_empty() { "0" } else { fraction.strip_prefix('.')? };
    let fits = whole && (1..=9).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    fits.then(|| format!("{seconds}.{digits:0<9}Z"))
}
