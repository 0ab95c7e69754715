//! Real files of each runtime, cut to what matters, and files that are not what they should be.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::enrich::container::identify;
use proptest::prelude::*;

const ID: &str = "73bfe475650de66df8e2affdc98d440dcbe84f8df83b6f75a68a82eb7026136a";
const UID: &str = "63b3ebfc-2890-41e9-8154-16bf8ef8d9dc";
const IMAGE: &str = "sha256:2d9ae5407c01dbc72fe0ffc6b7ac79bdad4a34aa8f5efb549b6159e5631ea35f";

/// Everything below one directory.
fn settings(root: &Path) -> MetadataSettings {
    let one = || vec![root.display().to_string()];
    let below = |path: &str| root.join(path).display().to_string();
    MetadataSettings {
        docker: one(),
        containerd: one(),
        storage: one(),
        kubelet: vec![below("kubelet")],
        pod_logs: below("logs"),
        ..MetadataSettings::default()
    }
}

fn write(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn find(root: &Path, cgroup: &str) -> Outcome {
    asked(&Runtimes::new(settings(root)), cgroup)
}

/// What the files say.
fn asked(runtimes: &Runtimes, cgroup: &str) -> Outcome {
    let container = container(cgroup);
    runtimes.ask(&container);
    let known = runtimes.wait(&container, Instant::now() + Duration::from_secs(30));
    known.files.map(|()| known.metadata)
}

fn container(cgroup: &str) -> ContainerIdentity {
    identify(format!("0::{cgroup}\n").as_bytes(), true).unwrap()
}

/// As if what is known of it were old.
fn age(runtimes: &Runtimes, cgroup: &str) {
    let key = runtimes.key(&container(cgroup));
    runtimes.sources().files.age(&key);
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn docker_file(name: &str, image: &str, labels: &str) -> String {
    format!(
        r#"{{"StreamConfig":{{}},"State":{{"Running":true}},"ID":"{ID}","Created":"2026-11-25T01:02:40.123456789Z",
        "Managed":false,"Config":{{"Hostname":"h","Image":"{image}","Labels":{labels}}},"Image":"{IMAGE}","Name":"{name}"}}"#
    )
}

#[test]
fn docker() {
    let root = tempfile::tempdir().unwrap();
    let path = format!("containers/{ID}/config.v2.json");
    write(root.path(), &path, &docker_file("/web", "nginx:1", "{}"));
    let plain = Metadata {
        name: some("web"),
        image: some("nginx:1"),
        image_id: some(IMAGE),
        created: some("2026-11-25T01:02:40.123456789Z"),
        ..Metadata::default()
    };
    for cgroup in ["docker/", "system.slice/docker-", "other/"] {
        let end = if cgroup.contains("slice") { ".scope" } else { "" };
        assert_eq!(
            find(root.path(), &format!("/{cgroup}{ID}{end}")),
            Ok(Arc::new(plain.clone())),
            "{cgroup}"
        );
    }
    // cri-dockerd.
    let labels = format!(
        r#"{{"io.kubernetes.container.name":"app","io.kubernetes.pod.name":"web","io.kubernetes.pod.namespace":"shop",
        "io.kubernetes.pod.uid":"{UID}"}}"#
    );
    write(root.path(), &path, &docker_file("/k8s_app_web_shop", IMAGE, &labels));
    let found = find(root.path(), &format!("/docker/{ID}")).unwrap();
    assert_eq!((found.name.as_deref(), found.pod_name.as_deref()), (Some("app"), Some("web")));
    assert_eq!((found.pod_namespace.as_deref(), found.pod_uid.as_deref()), (Some("shop"), Some(UID)));
    write(root.path(), &path, &docker_file("/web", "nginx:1", "null"));
    assert_eq!(find(root.path(), &format!("/docker/{ID}")), Ok(Arc::new(plain)));
}

#[test]
fn containerd() {
    let root = tempfile::tempdir().unwrap();
    let annotations = format!(
        r#"{{"ociVersion":"1.0.2","annotations":{{"io.kubernetes.cri.container-name":"app",
        "io.kubernetes.cri.container-type":"container","io.kubernetes.cri.image-name":"localhost/box:1",
        "io.kubernetes.cri.sandbox-id":"{ID}","io.kubernetes.cri.sandbox-name":"web",
        "io.kubernetes.cri.sandbox-namespace":"shop","io.kubernetes.cri.sandbox-uid":"{UID}"}}}}"#
    );
    write(root.path(), &format!("io.containerd.runtime.v2.task/k8s.io/{ID}/config.json"), &annotations);
    let pod = Metadata {
        name: some("app"),
        image: some("localhost/box:1"),
        pod_name: some("web"),
        pod_namespace: some("shop"),
        pod_uid: some(UID),
        ..Metadata::default()
    };
    assert_eq!(find(root.path(), &format!("/kubepods/besteffort/pod{UID}/{ID}")), Ok(Arc::new(pod)));
    // `ctr` knows containers by a name that somebody chose, and by nothing else on disk.
    let by_id = Metadata { name: some("web"), ..Metadata::default() };
    assert_eq!(find(root.path(), "/default/web"), Ok(Arc::new(by_id)));
}

#[test]
fn cri_o_and_podman() {
    let root = tempfile::tempdir().unwrap();
    let annotations = format!(
        r#"{{"annotations":{{"io.kubernetes.container.name":"app","io.kubernetes.pod.name":"web",
        "io.kubernetes.pod.namespace":"shop","io.kubernetes.pod.uid":"{UID}","io.kubernetes.cri-o.SandboxID":"{ID}",
        "io.kubernetes.cri-o.ImageName":"quay.io/x:2","io.kubernetes.cri-o.Created":"2026-11-25T01:02:37Z"}}}}"#
    );
    write(root.path(), &format!("overlay-containers/{ID}/userdata/config.json"), &annotations);
    let found = find(root.path(), &format!("/kubepods/pod{UID}/crio-{ID}")).unwrap();
    assert_eq!((found.name.as_deref(), found.image.as_deref()), (Some("app"), Some("quay.io/x:2")));
    assert_eq!(found.created.as_deref(), Some("2026-11-25T01:02:37.000000000Z"));

    let stored = format!(
        r#"[{{"id":"other","names":["x"]}},{{"id":"{ID}","names":["web"],"image":"2d9ae5","layer":"7c94",
        "metadata":"{{\"image-name\":\"localhost/box:1\",\"name\":\"web\"}}","created":"2026-11-25T01:02:37.78Z"}}]"#
    );
    write(root.path(), "overlay-containers/containers.json", &stored);
    let found = find(root.path(), &format!("/libpod_parent/libpod-{ID}")).unwrap();
    assert_eq!((found.name.as_deref(), found.image.as_deref()), (Some("web"), Some("localhost/box:1")));
    assert_eq!((found.image_id.as_deref(), &found.pod_name), (Some("2d9ae5"), &None));
    assert_eq!(found.created.as_deref(), Some("2026-11-25T01:02:37.780000000Z"));
}

/// A rootless runtime's own directory comes before the system's, whichever way it keeps layers.
#[test]
fn rootless() {
    let slice = "/user.slice/user-1000.slice/user@1000.service/user.slice";
    let paths = |cgroup: String, rootless| {
        let settings = settings(Path::new("/s"));
        let all = places::of(&Key::of(&container(&cgroup), rootless), &settings);
        all.into_iter().map(|(top, place)| format!("{top:?} {}", place.path)).collect::<Vec<_>>()
    };
    let home = "Home(Uid(1000)) .local/share";
    let system = "Directory(\"/s\")";
    assert_eq!(
        paths(format!("{slice}/libpod-{ID}.scope/container"), true),
        [
            format!("{home}/containers/storage/overlay-containers/containers.json"),
            format!("{system} overlay-containers/containers.json"),
            format!("{home}/containers/storage/vfs-containers/containers.json"),
            format!("{system} vfs-containers/containers.json"),
        ]
    );
    let docker = format!("containers/{ID}/config.v2.json");
    let found = paths(format!("{slice}/docker-{ID}.scope"), true);
    assert_eq!(found, [format!("{home}/docker/{docker}"), format!("{system} {docker}")]);
    let off = paths(format!("{slice}/docker-{ID}.scope"), false);
    assert_eq!(off, [format!("{system} {docker}")]);
    assert_eq!(paths(format!("/system.slice/docker-{ID}.scope"), true), off);
}

const SANDBOX: &str = "11bfe475650de66df8e2affdc98d440dcbe84f8df83b6f75a68a82eb7026136a";

/// Labels of a pod are in its sandbox's file.
#[test]
fn labels_on_disk() {
    let root = tempfile::tempdir().unwrap();
    let labels = |found: Outcome| {
        found.unwrap().labels.clone().map(|labels| labels.list.into_iter().collect::<Vec<_>>())
    };
    let expected = vec![("app".to_owned(), "front".to_owned())];

    let file = |id: &str, more: &str| {
        let text = format!(
            r#"{{"annotations":{{"io.kubernetes.cri-o.SandboxID":"{SANDBOX}","io.kubernetes.cri-o.ImageName":"x"{more}}}}}"#
        );
        write(root.path(), &format!("overlay-containers/{id}/userdata/config.json"), &text);
    };
    let cri_o = format!("/kubepods/pod{UID}/crio-{ID}");
    file(ID, "");
    assert_eq!(labels(find(root.path(), &cri_o)), None);
    file(SANDBOX, r#","io.kubernetes.cri-o.Labels":"{\"app\":\"front\",\"io.kubernetes.pod.name\":\"x\"}""#);
    assert_eq!(labels(find(root.path(), &cri_o)), Some(expected.clone()));
    file(SANDBOX, r#","io.kubernetes.cri-o.Labels":"[1]""#);
    assert_eq!(labels(find(root.path(), &cri_o)), None);

    let of = format!(r#"{{"io.kubernetes.sandbox.id":"{SANDBOX}","io.kubernetes.docker.type":"container"}}"#);
    write(root.path(), &format!("containers/{ID}/config.v2.json"), &docker_file("/k8s_x", "x", &of));
    let own = r#"{"app":"front","annotation.secret":"x","io.kubernetes.docker.type":"podsandbox"}"#;
    let sandbox = docker_file("/k8s_POD", "pause", own).replace(ID, SANDBOX);
    write(root.path(), &format!("containers/{SANDBOX}/config.v2.json"), &sandbox);
    assert_eq!(
        labels(find(root.path(), &format!("/kubepods/pod{UID}/docker-{ID}.scope"))),
        Some(expected.clone())
    );
    let pause = find(root.path(), &format!("/kubepods/pod{UID}/docker-{SANDBOX}.scope"));
    assert_eq!(labels(pause), Some(expected));
    // An id that would lead elsewhere is none.
    let of = r#"{"io.kubernetes.sandbox.id":"../../etc"}"#;
    write(root.path(), &format!("containers/{ID}/config.v2.json"), &docker_file("/x", "x", of));
    assert_eq!(labels(find(root.path(), &format!("/docker/{ID}"))), None);
}

/// What no runtime says the kubelet's directories do.
#[test]
fn the_kubelets_directories() {
    let root = tempfile::tempdir().unwrap();
    let cgroup = format!("/kubepods/besteffort/pod{UID}/{ID}");
    assert!(find(root.path(), &cgroup).is_err());
    fs::create_dir_all(root.path().join(format!("logs/shop_front-1_{UID}"))).unwrap();
    let found = find(root.path(), &cgroup).unwrap();
    assert_eq!((found.pod_name.as_deref(), found.pod_namespace.as_deref()), (Some("front-1"), Some("shop")));
    assert_eq!((&found.name, &found.image, &found.account), (&None, &None, &None));

    // It is asked for again as long as something is missing, and what was known stays.
    let runtimes = Runtimes::new(settings(root.path()));
    assert!(asked(&runtimes, &cgroup).unwrap().image.is_none());
    let file = format!(
        r#"{{"annotations":{{"io.kubernetes.cri.sandbox-id":"{SANDBOX}","io.kubernetes.cri.image-name":"box:1"}}}}"#
    );
    write(root.path(), &format!("io.containerd.runtime.v2.task/k8s.io/{ID}/config.json"), &file);
    assert!(asked(&runtimes, &cgroup).unwrap().image.is_none(), "not within two seconds");
    age(&runtimes, &cgroup);
    let found = asked(&runtimes, &cgroup).unwrap();
    assert_eq!((found.image.as_deref(), found.pod_name.as_deref()), (Some("box:1"), Some("front-1")));
}

#[test]
fn what_is_not_read() {
    let root = tempfile::tempdir().unwrap();
    let cgroup = format!("/docker/{ID}");
    let path = format!("containers/{ID}/config.v2.json");
    let nothing = Err("the runtime's directories have no file of it");
    assert_eq!(find(root.path(), &cgroup), nothing);
    assert_eq!(find(Path::new("/nonexistent"), &cgroup), nothing);
    // Another container's file.
    write(root.path(), &path, &docker_file("/web", "nginx:1", "{}").replace(ID, UID));
    assert_eq!(find(root.path(), &cgroup), Err("the runtime's file says nothing of it"));
    write(root.path(), &path, "{");
    assert_eq!(find(root.path(), &cgroup), Err("the runtime's file says nothing of it"));
    // What is too long, or would move a terminal's cursor, is left out.
    write(root.path(), &path, &docker_file(&"n".repeat(300), "a\\u001b[2J", "{}"));
    let found = find(root.path(), &cgroup).unwrap();
    assert_eq!((&found.name, &found.image), (&None, &None));

    // A link, wherever it stands; a directory; a FIFO, which would never end.
    let real = root.path().join("real.json");
    fs::write(&real, docker_file("/web", "nginx:1", "{}")).unwrap();
    fs::remove_file(root.path().join(&path)).unwrap();
    symlink(&real, root.path().join(&path)).unwrap();
    assert_eq!(find(root.path(), &cgroup), Err("it is not a regular file"));
    fs::remove_file(root.path().join(&path)).unwrap();
    nix::unistd::mkfifo(&root.path().join(&path), nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert_eq!(find(root.path(), &cgroup), Err("it is not a regular file"));
    fs::remove_file(root.path().join(&path)).unwrap();
    fs::create_dir(root.path().join(&path)).unwrap();
    assert_eq!(find(root.path(), &cgroup), Err("it is not a regular file"));
    fs::remove_dir(root.path().join(&path)).unwrap();
    let long = fs::File::create(root.path().join(&path)).unwrap();
    long.set_len(5 << 20).unwrap();
    assert_eq!(find(root.path(), &cgroup), Err("the runtime's file is too long"));
    fs::remove_file(root.path().join(&path)).unwrap();
    fs::remove_dir(root.path().join("containers").join(ID)).unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    write(elsewhere.path(), "config.v2.json", &docker_file("/web", "nginx:1", "{}"));
    symlink(elsewhere.path(), root.path().join("containers").join(ID)).unwrap();
    assert_eq!(find(root.path(), &cgroup), Err("the runtime's file could not be opened"));
}

/// Records and rules want to know the same, from different threads and at the same time.
#[test]
fn one_container_is_asked_for_once() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), &format!("containers/{ID}/config.v2.json"), &docker_file("/web", "nginx:1", "{}"));
    let runtimes = Runtimes::new(settings(root.path()));
    let start = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..50 {
                    let known = asked(&runtimes, &format!("/docker/{ID}")).unwrap();
                    assert_eq!(known.image.as_deref(), Some("nginx:1"));
                }
            });
        }
    });
    assert_eq!(runtimes.asked(), Asked { files: 1, sockets: 0 });
    // Nor is what has nothing asked for again and again.
    for _ in 0..50 {
        assert!(asked(&runtimes, &format!("/docker/{SANDBOX}")).is_err());
    }
    assert_eq!(runtimes.asked().files, 2);
}

/// Whoever may make groups calls one by somebody else's id, below a pod or a user of his choice: what is found for that
/// path is not what is known of the real container.
#[test]
fn a_false_group_spoils_no_answer() {
    let root = tempfile::tempdir().unwrap();
    let bundle = format!("io.containerd.runtime.v2.task/k8s.io/{ID}/config.json");
    let file = format!(
        r#"{{"annotations":{{"io.kubernetes.cri.sandbox-id":"{SANDBOX}","io.kubernetes.cri.image-name":"box:1"}}}}"#
    );
    write(root.path(), &bundle, &file);
    let other = UID.replace('6', "7");
    for (pod, uid) in [("own-1", UID), ("front-1", other.as_str())] {
        fs::create_dir_all(root.path().join(format!("logs/shop_{pod}_{uid}"))).unwrap();
    }
    let runtimes = Runtimes::new(settings(root.path()));
    let pod_of = |cgroup: &str| asked(&runtimes, cgroup).unwrap().pod_name.clone();
    let slice = format!("/user.slice/user-1000.slice/session-1.scope/kubepods/pod{UID}/{ID}");
    assert_eq!(pod_of(&slice), some("own-1"));
    assert_eq!(pod_of(&format!("/kubepods/pod{other}/{ID}")), some("front-1"));
    assert_eq!(pod_of(&format!("/kubepods/pod{UID}/{ID}")), some("own-1"));
    assert_eq!(runtimes.asked().files, 3);
}

/// A runtime removes its file before the last process has ended.
#[test]
fn what_was_known_stays() {
    let root = tempfile::tempdir().unwrap();
    let cgroup = format!("/kubepods/pod{UID}/crio-{ID}");
    let file = format!(
        r#"{{"annotations":{{"io.kubernetes.cri-o.SandboxID":"{SANDBOX}","io.kubernetes.container.name":"app"}}}}"#
    );
    let path = format!("overlay-containers/{ID}/userdata/config.json");
    write(root.path(), &path, &file);
    let runtimes = Runtimes::new(settings(root.path()));
    assert_eq!(asked(&runtimes, &cgroup).unwrap().name, some("app"));
    fs::remove_file(root.path().join(&path)).unwrap();
    fs::create_dir_all(root.path().join(format!("logs/shop_front-1_{UID}"))).unwrap();
    age(&runtimes, &cgroup);
    let known = asked(&runtimes, &cgroup).unwrap();
    assert_eq!((known.name.as_deref(), known.pod_name.as_deref()), (Some("app"), Some("front-1")));
    fs::remove_dir_all(root.path().join("logs")).unwrap();
    age(&runtimes, &cgroup);
    assert_eq!(asked(&runtimes, &cgroup).unwrap().name, some("app"));
    assert_eq!(runtimes.asked().files, 3);
}

/// There is no file yet, and then there is: asked again after a while.
#[test]
fn nothing_is_believed_for_a_short_time() {
    let root = tempfile::tempdir().unwrap();
    let cgroup = format!("/docker/{ID}");
    let runtimes = Runtimes::new(settings(root.path()));
    assert!(asked(&runtimes, &cgroup).is_err());
    write(root.path(), &format!("containers/{ID}/config.v2.json"), &docker_file("/web", "nginx:1", "{}"));
    assert!(asked(&runtimes, &cgroup).is_err());
    age(&runtimes, &cgroup);
    assert!(asked(&runtimes, &cgroup).is_ok());
}

#[test]
fn switched_off() {
    let none = MetadataSettings {
        docker: Vec::new(),
        containerd: Vec::new(),
        storage: Vec::new(),
        rootless: false,
        ..MetadataSettings::default()
    };
    let found = asked(&Runtimes::new(none), &format!("/docker/{ID}"));
    assert_eq!(found, Err("its runtime keeps none on disk that is read"));
}

proptest! {
    #[test]
    fn any_text_is_safe(text in proptest::collection::vec(any::<u8>(), 0..400), json in "[\\[\\]{}\":,a-zA-Z0]{0,80}") {
        for text in [text.as_slice(), json.as_bytes()] {
            for form in [forms::docker as forms::Form, forms::cri, forms::cri_o, forms::podman] {
                let _ = form(text, ID);
            }
        }
    }
}
