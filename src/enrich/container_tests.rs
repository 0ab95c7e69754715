//! Each row of the table of cgroup path forms.

use super::*;
use proptest::prelude::*;

const ID: &str = "73bfe475650de66df8e2affdc98d440dcbe84f8df83b6f75a68a82eb7026136a";
const NODE: &str = "0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9";
const UID: &str = "63b3ebfc-2890-41e9-8154-16bf8ef8d9dc";
const UID_: &str = "63b3ebfc_2890_41e9_8154_16bf8ef8d9dc";
const STATIC: &str = "63b3ebfc289041e9815416bf8ef8d9dc";

/// Path on the v2 line; id, runtime, pod uid, outer.
type Row = (String, Option<(&'static str, &'static str, Option<&'static str>, Vec<&'static str>)>);

fn check(rows: Vec<Row>, isolated: bool) {
    for (path, expected) in rows {
        for form in
            [format!("0::{path}\n"), format!("12:pids:/\n3:cpu,memory:{path}\n1:name=systemd:/\n0::/\n")]
        {
            let got = identify(form.as_bytes(), isolated);
            let got = got.as_ref().map(|c| {
                assert_eq!(c.cgroup_path, path);
                let outer: Vec<_> = c.outer.iter().map(ContainerId::as_str).collect();
                (c.id.as_str(), c.runtime, c.pod_uid.as_deref(), outer)
            });
            assert_eq!(got, expected, "{form}");
            assert_eq!(cgroup_path(form.as_bytes()).as_deref(), Some(path.as_str()), "{form}");
        }
    }
}

#[test]
fn kubernetes() {
    let pod = |id, runtime| Some((id, runtime, Some(UID), vec![]));
    check(
        vec![
            (format!("/kubepods/burstable/pod{UID}/{ID}"), pod(ID, "containerd")),
            (format!("/kubepods/besteffort/pod{UID}/{ID}"), pod(ID, "containerd")),
            (format!("/kubepods/pod{UID}/{ID}"), pod(ID, "containerd")),
            (
                format!(
                    "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UID_}.slice/cri-containerd-{ID}.scope"
                ),
                pod(ID, "containerd"),
            ),
            (
                format!(
                    "/system.slice/containerd.service/kubepods-burstable-pod{UID_}.slice:cri-containerd:{ID}"
                ),
                pod(ID, "containerd"),
            ),
            (format!("/kubepods/besteffort/pod{UID}/crio-{ID}"), pod(ID, "cri-o")),
            (format!("/kubepods.slice/kubepods-pod{UID_}.slice/crio-{ID}.scope"), pod(ID, "cri-o")),
            (format!("/kubepods.slice/kubepods-pod{UID_}.slice/crio-{ID}.scope/container"), pod(ID, "cri-o")),
            (format!("/kubepods.slice/kubepods-pod{UID_}.slice/crio-conmon-{ID}.scope"), None),
            (format!("/kubepods/burstable/pod{STATIC}/{ID}"), Some((ID, "containerd", Some(STATIC), vec![]))),
            (
                format!("/kubepods.slice/kubepods-burstable-pod{UID_}.slice/docker-{ID}.scope"),
                pod(ID, "docker"),
            ),
            (format!("/../../pod{UID}/{ID}"), pod(ID, "containerd")),
            (
                format!(
                    "/docker/{NODE}/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice/kubelet-kubepods-burstable-pod{UID_}.slice/cri-containerd-{ID}.scope"
                ),
                Some((ID, "containerd", Some(UID), vec![NODE])),
            ),
            (
                format!(
                    "/system.slice/docker-{NODE}.scope/kubelet.slice/kubelet-kubepods-pod{UID_}.slice/cri-containerd-{ID}.scope"
                ),
                Some((ID, "containerd", Some(UID), vec![NODE])),
            ),
            (
                format!("/kubepods/burstable/pod{UID}/{NODE}/docker/{ID}"),
                Some((ID, "docker", Some(UID), vec![NODE])),
            ),
        ],
        false,
    );
}

#[test]
fn docker_nerdctl_podman() {
    let plain = |runtime| Some((ID, runtime, None, vec![]));
    check(
        vec![
            (format!("/docker/{ID}"), plain("docker")),
            (format!("/system.slice/docker-{ID}.scope"), plain("docker")),
            (
                format!("/user.slice/user-1000.slice/user@1000.service/user.slice/docker-{ID}.scope"),
                plain("docker"),
            ),
            (format!("/system.slice/docker-{ID}.scope/system.slice/nginx.service"), plain("docker")),
            (format!("/my-parent/{ID}"), plain(UNKNOWN)),
            (format!("/system.slice/nerdctl-{ID}.scope"), plain("nerdctl")),
            (format!("/machine.slice/libpod-{ID}.scope"), plain("podman")),
            (format!("/machine.slice/libpod-{ID}.scope/container"), plain("podman")),
            (format!("/libpod_parent/libpod-{ID}"), plain("podman")),
            (format!("/machine.slice/machine-libpod_pod_{NODE}.slice/libpod-{ID}.scope"), plain("podman")),
            (
                format!("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope"),
                plain("podman"),
            ),
            (format!("/system.slice/web.service/libpod-payload-{ID}"), plain("podman")),
            (format!("/machine.slice/libpod-conmon-{ID}.scope"), None),
            (format!("/system.slice/var-lib-docker-{ID}.mount"), None),
            (format!("/system.slice/docker-{}.scope", &ID[1..]), None),
            (format!("/docker/{}", ID.to_uppercase()), None),
        ],
        false,
    );
}

#[test]
fn machines_and_clouds() {
    let (garden4, garden12) = ("70eb4ca4-0b5c-4ff7-40ae-7eb1", "70eb4ca4-0b5c-4ff7-40ae-7eb1ad26a4fd");
    let task = "34dc0b5e626f2c5c4c5170e34b10e765-1234567890";
    let name = |id, runtime| Some((id, runtime, None, vec![]));
    check(
        vec![
            ("/lxc/web".into(), name("web", "lxc")),
            ("/lxc/web/system.slice/nginx.service".into(), name("web", "lxc")),
            ("/lxc.payload/web".into(), name("web", "lxc")),
            ("/lxc.payload.web/init.scope".into(), name("web", "lxc")),
            ("/lxc.monitor.web".into(), None),
            ("/lxc/web/lxc/in".into(), Some(("in", "lxc", None, vec!["web"]))),
            (r"/machine.slice/machine-lxc\x2d4711\x2dweb.scope/libvirt".into(), name("web", "libvirt-lxc")),
            (r"/machine.slice/machine-qemu\x2d1\x2dvm.scope/libvirt".into(), None),
            (
                r"/machine.slice/machine-web\x2d1.scope/payload/init.scope".into(),
                name("web-1", "systemd-nspawn"),
            ),
            ("/machine.slice/machine-web.scope/supervisor".into(), None),
            ("/machine.slice/systemd-nspawn@web.service/payload/x".into(), name("web", "systemd-nspawn")),
            (format!("/ecs/34dc0b5e626f2c5c4c5170e34b10e765/{ID}"), name(ID, "docker")),
            (format!("/ecstasks.slice/ecstasks-34dc0b5e.slice/docker-{ID}.scope"), name(ID, "docker")),
            (format!("/ecs/34dc0b5e626f2c5c4c5170e34b10e765/{task}"), name(task, "fargate")),
            (format!("/system.slice/garden.service/garden/{garden4}"), name(garden4, "garden")),
            (format!("/garden/{garden12}"), name(garden12, "garden")),
            ("/system.slice/bpm-nats.scope".into(), name("nats", "bpm")),
            ("/bpm-nats".into(), name("nats", "bpm")),
            (format!("/mesos/{UID}"), name(UID, "mesos")),
            (format!("/mesos/{UID}/leaf"), name(UID, "mesos")),
            (format!("/mesos/{UID}/mesos/{garden12}"), Some((garden12, "mesos", None, vec![UID]))),
        ],
        false,
    );
}

#[test]
fn hosts() {
    let rows =
        ["/", "/system.slice/ssh.service", "/user.slice/user-1000.slice/session-3.scope", "/init.scope"];
    for isolated in [false, true] {
        check(rows.iter().map(|path| ((*path).to_owned(), None)).collect(), isolated);
    }
    // An ordinary group with the form of ctr's is a container only where the namespaces say so.
    check(vec![("/batch/job-1".into(), None), ("/web".into(), None)], false);
}

#[test]
fn run_by_hand() {
    let name = |id, runtime| Some((id, runtime, None, vec![]));
    check(
        vec![
            ("/default/web-1".into(), name("web-1", "containerd")),
            ("/web-1".into(), name("web-1", UNKNOWN)),
            ("/user.slice/user-0.slice/session-1.scope/web-1".into(), name("web-1", UNKNOWN)),
            ("/web-1/system.slice/x.service".into(), name("web-1", UNKNOWN)),
            ("/system.slice/runc-web-1.scope".into(), name("web-1", "runc")),
            ("/system.slice/crun-web-1.scope".into(), name("web-1", "crun")),
            ("/system.slice/crun-web-1.scope/container".into(), name("web-1", "crun")),
            (
                "/user.slice/user-1000.slice/user@1000.service/app.slice/crun-web-1.scope/container".into(),
                name("web-1", "crun"),
            ),
            ("/container".into(), name("container", UNKNOWN)),
            ("/.hidden".into(), None),
        ],
        true,
    );
}

#[test]
fn lines() {
    let hybrid = format!(
        "5:cpuset:/other\n4:pids:/docker/{ID}\n1:name=systemd:/docker/{NODE}\n0::/system.slice/x.service\n"
    );
    assert_eq!(identify(hybrid.as_bytes(), false).map(|c| c.id.to_string()), Some(ID.to_owned()));
    let only = format!("5:freezer:/docker/{ID}\n");
    assert_eq!(identify(only.as_bytes(), false).map(|c| c.id.to_string()), Some(ID.to_owned()));
    let deleted = format!("0::/docker/{ID} (deleted)\n");
    assert_eq!(identify(deleted.as_bytes(), false).map(|c| c.cgroup_path), Some(format!("/docker/{ID}")));
    assert_eq!(cgroup_path(b""), None);
    assert_eq!(cgroup_path(b"no colons"), None);
    assert_eq!(cgroup_path(b"0::\n"), None);
    assert_eq!(cgroup_path(b"0::/a\xff\n").as_deref(), Some("/a\u{fffd}"));
    assert!(is_service("/system.slice/ssh.service") && !is_service("/"));
}

proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..600), isolated: bool) {
        if let Some(found) = identify(&bytes, isolated) {
            prop_assert!(ContainerId::new(found.id.as_str()).is_some());
            prop_assert!(found.outer.len() <= OUTER_MAX);
        }
        let _ = cgroup_path(&bytes);
    }

    /// Paths made of the pieces that the rules look for, in any order.
    #[test]
    fn any_path(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just(ID.to_owned()), Just(format!("docker-{ID}.scope")), Just(format!("pod{UID}")), Just("lxc".into()),
                Just("payload".into()), Just(r"machine-lxc\x2d".into()), Just(r"machine-\xzz\x.scope".into()),
                Just("mesos".into()), Just(UID.to_owned()), Just("..".into()), Just(format!("x:cri-containerd:{ID}")),
                "[a-z0-9.\\\\:_-]{0,20}", ".{0,10}",
            ],
            0..200,
        ),
        isolated: bool,
    ) {
        let text = format!("0::/{}\n", pieces.join("/"));
        if let Some(found) = identify(text.as_bytes(), isolated) {
            prop_assert!(!found.outer.contains(&found.id) && found.outer.len() <= OUTER_MAX);
        }
    }
}
