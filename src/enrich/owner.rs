//! Who made a pod, guessed from its name.
//!
//! Owns: the guess, which is marked as one. Must not own: asking anybody. Controllers append to their own name (the
//! safe alphabet of Kubernetes, `apimachinery/pkg/util/rand`: no vowels, no 0, 1 and 3): a ReplicaSet's hash and five
//! letters for a Deployment, a number for a StatefulSet, five letters for a DaemonSet or a Job. Anybody may call a pod so.

use serde_json::{Value, json};

/// What Kubernetes makes suffixes of.
const SAFE: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// `Pod_Owner`: kind and name; `None` where the name has no such form.
pub(super) fn guess(pod: &str) -> Option<Value> {
    let (rest, last) = pod.rsplit_once('-').filter(|(rest, _)| !rest.is_empty())?;
    let safe = |text: &str, length: std::ops::RangeInclusive<usize>| {
        length.contains(&text.len()) && text.bytes().all(|b| SAFE.contains(&b))
    };
    let hash = rest.rsplit_once('-').filter(|(name, hash)| !name.is_empty() && safe(hash, 6..=10));
    let (kind, name) = match hash {
        Some((name, _)) if safe(last, 5..=5) => ("Deployment", name),
        // A name of five digits is more likely a number.
        _ if (1..=4).contains(&last.len()) && last.bytes().all(|b| b.is_ascii_digit()) => {
            ("StatefulSet", rest)
        }
        _ if safe(last, 5..=5) => ("DaemonSet", rest),
        _ => return None,
    };
    Some(json!({ "kind": kind, "name": name, "guessed": true }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (pod, expected) in [
            ("web-7d9f8bcd5c-x2x7k", Some(("Deployment", "web"))),
            ("my-app-66b6c48dd5-9zq4z", Some(("Deployment", "my-app"))),
            ("db-0", Some(("StatefulSet", "db"))),
            ("kafka-broker-12", Some(("StatefulSet", "kafka-broker"))),
            ("fluentd-x2x7k", Some(("DaemonSet", "fluentd"))),
            ("nginx", None),
            ("web-server", None),
            ("-x2x7k", None),
            ("etcd-node.example", None),
            ("", None),
        ] {
            let guessed = guess(pod);
            let found = guessed
                .as_ref()
                .map(|owner| (owner["kind"].as_str().unwrap(), owner["name"].as_str().unwrap()));
            assert_eq!(found, expected, "{pod}");
            assert!(guessed.is_none_or(|owner| owner["guessed"] == true));
        }
    }
}
