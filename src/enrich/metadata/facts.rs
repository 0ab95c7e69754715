//! What is known of one container beyond its id.
//!
//! Owns: the facts, and what of a runtime's texts is taken: names and images are whatever somebody chose for them, labels
//! whatever a pod's maker wrote. What is too long, or has control characters in it, is not taken. Must not own: where they
//! come from (`forms`, `cri`).

use std::collections::BTreeMap;

/// The longest name of a container, a pod or a namespace; Kubernetes' own limit is 253.
const NAME_MAX: usize = 256;
/// The longest reference of an image: a name of 255 bytes, a host and a digest.
const IMAGE_MAX: usize = 1024;
/// The longest key of a label or an annotation: a prefix of 253 bytes, a slash and a name of 63.
pub const KEY_MAX: usize = 317;
/// The longest value of a label; Kubernetes' own limit is 63.
const LABEL_MAX: usize = 128;
/// The most bytes of all labels of one pod.
const LABELS_BYTES: usize = 4096;
/// The longest value of an annotation, which in Kubernetes may be 256 KiB.
const ANNOTATION_MAX: usize = 256;

/// Labels or annotations.
pub(in crate::enrich) type Texts = BTreeMap<String, String>;

/// What is known; nothing of it can be relied on for anything but showing it, unless the path of the container's cgroup is
/// one that nobody but root can have made ([`super::super::container::ContainerIdentity::is_believed`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::enrich) struct Metadata {
    /// Its name: of a pod's container, the one in the pod.
    pub(in crate::enrich) name: Option<String>,
    /// The image, as it was asked for.
    pub(in crate::enrich) image: Option<String>,
    /// The image's id or digest, as the runtime writes it.
    pub(in crate::enrich) image_id: Option<String>,
    /// When it was made (RFC 3339).
    pub(in crate::enrich) created: Option<String>,
    /// How often its pod has had it started before.
    pub(in crate::enrich) attempt: Option<u32>,
    pub(in crate::enrich) pod_name: Option<String>,
    pub(in crate::enrich) pod_namespace: Option<String>,
    pub(in crate::enrich) pod_uid: Option<String>,
    /// Of the pod; `None`: not known.
    pub(in crate::enrich) labels: Option<Labels>,
    /// Of the pod and the container, those that are wanted.
    pub(in crate::enrich) annotations: Texts,
    /// Whom the pod is to the cluster.
    pub(in crate::enrich) account: Option<Account>,
}

/// A pod's labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::enrich) struct Labels {
    pub(in crate::enrich) list: Texts,
    /// How many are not in the list: there are too many, or they are not fit to be shown.
    pub(in crate::enrich) left_out: usize,
}

/// A pod's service account, as its token names it. The token is whatever its maker wrote into the volume: nothing but
/// showing rests on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::enrich) struct Account {
    pub(in crate::enrich) namespace: String,
    pub(in crate::enrich) name: String,
    /// The pod that it is bound to.
    pub(in crate::enrich) pod: Option<String>,
    /// Of whose volume the token is.
    pub(in crate::enrich) volume: &'static str,
}

impl Metadata {
    /// Both together; where both know something, `self` does.
    pub(super) fn or(&self, other: &Self) -> Self {
        let text = |own: &Option<String>, other: &Option<String>| own.clone().or_else(|| other.clone());
        let mut annotations = other.annotations.clone();
        annotations.extend(self.annotations.clone());
        Self {
            name: text(&self.name, &other.name),
            image: text(&self.image, &other.image),
            image_id: text(&self.image_id, &other.image_id),
            created: text(&self.created, &other.created),
            attempt: self.attempt.or(other.attempt),
            pod_name: text(&self.pod_name, &other.pod_name),
            pod_namespace: text(&self.pod_namespace, &other.pod_namespace),
            pod_uid: text(&self.pod_uid, &other.pod_uid),
            labels: self.labels.clone().or_else(|| other.labels.clone()),
            annotations,
            account: self.account.clone().or_else(|| other.account.clone()),
        }
    }

    /// All texts that a record may have of it, in no order. For the fuzzer.
    pub(super) fn texts(self) -> Vec<String> {
        let names = [self.name, self.image, self.image_id, self.created];
        let pod = [self.pod_name, self.pod_namespace, self.pod_uid];
        let account = self.account.map(|account| [Some(account.namespace), Some(account.name), account.pod]);
        let single = names.into_iter().chain(pod).chain(account.into_iter().flatten()).flatten();
        let labels = self.labels.unwrap_or_default().list;
        let pairs = labels.into_iter().chain(self.annotations);
        single.chain(pairs.flat_map(|(key, value)| [key, value])).collect()
    }

    /// The same with the pod as its token names it, where nothing better does: to be shown, and nothing else.
    pub(in crate::enrich) fn with_claims(&self) -> Self {
        let account = self.account.as_ref();
        let claimed = Self {
            pod_namespace: account.map(|account| account.namespace.clone()),
            pod_name: account.and_then(|account| account.pod.clone()),
            ..Self::default()
        };
        self.or(&claimed)
    }
}

/// The labels that a pod's maker gave it, at most `most`; none are wanted with 0. The kubelet and cri-dockerd add some of
/// their own, which say what the record says anyway.
pub(super) fn labels<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, most: usize) -> Option<Labels> {
    if most == 0 {
        return None;
    }
    let own = |key: &str| {
        let rest = key.strip_prefix("io.kubernetes.");
        rest.is_some_and(|rest| {
            ["pod.", "container.", "docker.", "sandbox."].iter().any(|part| rest.starts_with(part))
        })
    };
    let sorted: BTreeMap<&str, &str> = pairs.into_iter().filter(|(key, _)| !own(key)).collect();
    let (mut found, mut room) = (Labels::default(), LABELS_BYTES);
    for (key, value) in sorted {
        let short = key.len() <= KEY_MAX && value.len() <= LABEL_MAX;
        let fits = short && is_line(key) && !key.is_empty() && (value.is_empty() || is_line(value));
        match room.checked_sub(key.len() + value.len()).filter(|_| fits && found.list.len() < most) {
            Some(rest) => {
                room = rest;
                found.list.insert(key.to_owned(), value.to_owned());
            }
            None => found.left_out += 1,
        }
    }
    Some(found)
}

/// The annotations of these names.
pub(super) fn annotations<'a>(
    pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    wanted: &[String],
) -> Texts {
    let fits = |(key, value): &(&str, &str)| {
        wanted.iter().any(|wanted| wanted == key) && value.len() <= ANNOTATION_MAX && is_line(value)
    };
    pairs.into_iter().filter(fits).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

pub(super) fn name(text: &str) -> Option<String> {
    fit(text, NAME_MAX)
}

pub(super) fn image(text: &str) -> Option<String> {
    fit(text, IMAGE_MAX)
}

fn fit(text: &str, most: usize) -> Option<String> {
    (!text.is_empty() && text.len() <= most && is_line(text)).then(|| text.to_owned())
}

fn is_line(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_few_and_short() {
        let of = |pairs: &[(&str, &str)], most| labels(pairs.iter().copied(), most);
        assert_eq!(of(&[("app", "web")], 0), None);
        let long = "k".repeat(KEY_MAX + 1);
        let found = of(
            &[
                ("app", "web"),
                ("empty", ""),
                ("io.kubernetes.pod.name", "web-1"),
                ("io.kubernetes.docker.type", "podsandbox"),
                ("io.kubernetes.sig/x", "1"),
                (&long, "v"),
                ("moves", "a\u{1b}[2J"),
                ("a\nb", "x"),
                ("", "x"),
                ("é", "ü"),
            ],
            32,
        );
        let found = found.unwrap();
        let keys: Vec<&str> = found.list.keys().map(String::as_str).collect();
        assert_eq!((keys, found.left_out), (vec!["app", "empty", "io.kubernetes.sig/x", "é"], 4));
        let many: Vec<(String, String)> =
            (0..1000).map(|n| (format!("k{n:04}"), "v".repeat(LABEL_MAX))).collect();
        let pairs = || many.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let found = labels(pairs(), 3).unwrap();
        assert_eq!((found.list.len(), found.left_out), (3, 997));
        let found = labels(pairs(), 64).unwrap();
        assert!((25..40).contains(&found.list.len()), "all together have a bound: {}", found.list.len());
    }

    #[test]
    fn annotations_are_asked_for() {
        let pairs = [("secret", "x"), ("kubernetes.io/config.source", "api"), ("long", &"x".repeat(300))];
        let wanted = ["kubernetes.io/config.source".to_owned(), "long".to_owned()];
        let found = annotations(pairs, &wanted);
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            [("kubernetes.io/config.source".into(), "api".into())]
        );
    }

    #[test]
    fn both_together() {
        let some = |text: &str| Some(text.to_owned());
        let disk = Metadata { name: some("app"), image: some("box:1"), ..Metadata::default() };
        let said = Metadata {
            name: some("other"),
            attempt: Some(2),
            labels: Some(Labels::default()),
            ..Metadata::default()
        };
        let both = disk.or(&said);
        assert_eq!((both.name, both.image, both.attempt), (some("app"), some("box:1"), Some(2)));
        assert!(both.labels.is_some());
    }
}
