//! Whom a pod is to its cluster: the service account, as the pod's token names it.
//!
//! Owns: finding the token that the kubelet keeps for a pod, and reading the claims that name the account (Kubernetes'
//! `serviceaccount/claims.go` and `legacy.go`). The signature is neither checked nor kept: nothing of a token but these
//! names leaves this file. Must not own: asking the cluster what the account may do.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use super::facts::{Account, name};
use super::reading;

/// The longest token that is read, in bytes.
const TOKEN_MAX: usize = 16 << 10;
/// The most volumes of one pod that are looked at.
const VOLUMES_MAX: usize = 64;
/// The volumes that may have one, by the plugin of the kubelet and the beginning of their names.
const VOLUMES: [(&str, &str, &str); 2] = [
    ("projected", "kubernetes.io~projected", "kube-api-access-"),
    // Before Kubernetes 1.21.
    ("secret", "kubernetes.io~secret", "default-token-"),
];

/// The payload of a token.
#[derive(Deserialize)]
struct Claims {
    #[serde(rename = "kubernetes.io")]
    bound: Option<Bound>,
    #[serde(rename = "kubernetes.io/serviceaccount/namespace")]
    namespace: Option<String>,
    #[serde(rename = "kubernetes.io/serviceaccount/service-account.name")]
    account: Option<String>,
}

#[derive(Deserialize)]
struct Bound {
    namespace: String,
    serviceaccount: Named,
    pod: Option<Named>,
}

#[derive(Deserialize)]
struct Named {
    name: String,
    #[serde(default)]
    uid: String,
}

/// By the token of a pod, below the kubelet's directories.
pub(super) fn of_pod(kubelet: &[String], uid: &str) -> Option<Account> {
    kubelet.iter().find_map(|root| {
        let root = Path::new(root);
        VOLUMES.iter().find_map(|(volume, plugin, beginning)| {
            let directory = format!("pods/{uid}/volumes/{plugin}");
            let names = reading::names(root, &directory, VOLUMES_MAX).ok()?;
            let volumes = names.into_iter().filter(|name| name.starts_with(beginning));
            // The kubelet's links lead to the version in force, in the same volume.
            volumes
                .filter_map(|name| {
                    reading::within(root, &format!("{directory}/{name}"), "token", TOKEN_MAX).ok()
                })
                .find_map(|token| told(&token, uid, volume))
        })
    })
}

/// By a token's claims; `None` where it is none, or another pod's.
pub(super) fn told(token: &[u8], uid: &str, volume: &'static str) -> Option<Account> {
    let mut parts = token.trim_ascii().split(|&byte| byte == b'.');
    let (_, payload, _, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
        return None;
    };
    let claims: Claims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()?;
    let (namespace, account, pod) = match claims.bound {
        Some(bound) => {
            if bound.pod.as_ref().is_some_and(|pod| pod.uid != uid) {
                return None;
            }
            (bound.namespace, bound.serviceaccount.name, bound.pod)
        }
        None => (claims.namespace?, claims.account?, None),
    };
    let pod = pod.and_then(|pod| name(&pod.name));
    Some(Account { namespace: name(&namespace)?, name: name(&account)?, pod, volume })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    const UID: &str = "63b3ebfc-2890-41e9-8154-16bf8ef8d9dc";

    pub(super) fn token(claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.{}", part(r#"{"alg":"RS256"}"#), part(claims), part("signature"))
    }

    fn bound(uid: &str) -> String {
        token(&format!(
            r#"{{"aud":["x"],"exp":1,"kubernetes.io":{{"namespace":"shop","node":{{"name":"n"}},
            "pod":{{"name":"web-1","uid":"{uid}"}},"serviceaccount":{{"name":"front","uid":"y"}},"warnafter":1}},
            "sub":"system:serviceaccount:shop:front"}}"#
        ))
    }

    fn account(volume: &'static str, pod: Option<&str>) -> Account {
        Account { namespace: "shop".into(), name: "front".into(), pod: pod.map(str::to_owned), volume }
    }

    #[test]
    fn claims() {
        let expected = Some(account("projected", Some("web-1")));
        assert_eq!(told(format!("{}\n", bound(UID)).as_bytes(), UID, "projected"), expected);
        assert_eq!(told(bound("other").as_bytes(), UID, "projected"), None, "another pod's");
        let legacy = token(
            r#"{"kubernetes.io/serviceaccount/namespace":"shop","kubernetes.io/serviceaccount/secret.name":"x",
            "kubernetes.io/serviceaccount/service-account.name":"front"}"#,
        );
        assert_eq!(told(legacy.as_bytes(), UID, "secret"), Some(account("secret", None)));
        let hostile = token(
            r#"{"kubernetes.io/serviceaccount/namespace":"a\u001b[2J","kubernetes.io/serviceaccount/service-account.name":"b"}"#,
        );
        for bad in [&hostile, "", "a.b", "a.e30.c.d", "a.e30.c", "a.!.c", "a.W1tbW1tb.c"] {
            assert_eq!(told(bad.as_bytes(), UID, "secret"), None, "{bad}");
        }
        let deep = token(&"[".repeat(10_000));
        assert_eq!(told(deep.as_bytes(), UID, "secret"), None);
    }

    /// As the kubelet lays them out: a link to the version in force, and nothing that leads elsewhere.
    #[test]
    fn below_the_kubelets_directory() {
        let root = tempfile::tempdir().unwrap();
        let kubelet = vec!["/nonexistent".to_owned(), root.path().display().to_string()];
        assert_eq!(of_pod(&kubelet, UID), None);
        let volumes = root.path().join(format!("pods/{UID}/volumes/kubernetes.io~projected"));
        let own = volumes.join("kube-api-access-x2x7k");
        fs::create_dir_all(own.join("..2026_11_28")).unwrap();
        fs::write(own.join("..2026_11_28/token"), bound(UID)).unwrap();
        symlink("..2026_11_28", own.join("..data")).unwrap();
        symlink("..data/token", own.join("token")).unwrap();
        assert_eq!(of_pod(&kubelet, UID), Some(account("projected", Some("web-1"))));

        fs::remove_file(own.join("token")).unwrap();
        let outside = root.path().join("token");
        fs::write(&outside, bound(UID)).unwrap();
        symlink(&outside, own.join("token")).unwrap();
        assert_eq!(of_pod(&kubelet, UID), None, "an absolute link");
        fs::remove_file(own.join("token")).unwrap();
        symlink("../../../../../token", own.join("token")).unwrap();
        assert_eq!(of_pod(&kubelet, UID), None, "a link that leads out of the volume");
        fs::remove_file(own.join("token")).unwrap();
        fs::write(own.join("token"), format!("{}{}", bound(UID), " ".repeat(TOKEN_MAX))).unwrap();
        assert_eq!(of_pod(&kubelet, UID), None, "too long");
        fs::remove_file(own.join("token")).unwrap();
        nix::unistd::mkfifo(&own.join("token"), nix::sys::stat::Mode::S_IRUSR).unwrap();
        assert_eq!(of_pod(&kubelet, UID), None, "a FIFO");
    }

    proptest! {
        #[test]
        fn any_token_is_safe(token in proptest::collection::vec(any::<u8>(), 0..200), claims in "[\\[\\]{}\":,a-z0]{0,80}") {
            let _ = told(&token, UID, "secret");
            let _ = told(self::token(&claims).as_bytes(), UID, "secret");
        }
    }
}
