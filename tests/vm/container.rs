//! Containers by the cgroup paths that systemd and cgroup v2 give them.

use crate::common::finding::Finding;
use crate::image;
use crate::machine::said;
use crate::require_machine;

const POD_UID: &str = "63b3ebfc-2890-41e9-8154-16bf8ef8d9dc";
const POD_SLICE: &str = "kubepods-burstable-pod63b3ebfc_2890_41e9_8154_16bf8ef8d9dc.slice";
const USER: &str = "/user.slice/user-1000.slice/user@1000.service";

/// The finding of a case, in a container of a runtime whose cgroup is `path`, with its id for `ID`.
fn of(case: &str, runtime: &str, path: &str) -> &'static Finding {
    let found = said().finding(case);
    assert_eq!(found.text("Container_Runtime"), runtime, "{case}: {}", found.text("Cgroup_Path"));
    let id = found.text("Container_Id");
    assert_eq!(found.text("Cgroup_Path"), path.replace("ID", id), "{case}");
    if !path.contains("ID") {
        return found;
    }
    assert_eq!(id.len(), 64, "{case}: {id}");
    found
}

/// As `of`, where the runtime has name and image on disk.
fn named(case: &str, runtime: &str, path: &str, name: &str) -> &'static Finding {
    let found = of(case, runtime, path);
    assert_eq!(found.text("Container_Name"), name, "{case}: {}", found.property("Enrichment_Status"));
    assert_eq!(found.text("Container_Image_Uri"), image::NAME, "{case}");
    assert_eq!(found.property("Enrichment_Status")["complete"], true, "{case}");
    found
}

/// As `of`, where the runtime knows it by a name and keeps nothing else.
fn by_name(case: &str, runtime: &str, path: &str, id: &str) {
    assert_eq!(of(case, runtime, path).text("Container_Id"), id, "{case}");
}

#[test]
fn podman() {
    require_machine!();
    named("podman", "podman", "/machine.slice/libpod-ID.scope/container", "web");
    named("podman-runc", "podman", "/machine.slice/libpod-ID.scope", "webrunc");
    named("podman-cgroupfs", "podman", "/libpod_parent/libpod-ID", "webfs");
    named("podman-pod", "podman", "/machine.slice/libpod-ID.scope/container", "inpod");
}

/// What a quadlet makes: the container is in its unit's own group.
#[test]
fn podman_in_a_unit() {
    require_machine!();
    named("podman-split", "podman", "/system.slice/shop.service/libpod-payload-ID", "split");
}

#[test]
fn podman_without_root() {
    require_machine!();
    let scope = format!("{USER}/user.slice/libpod-ID.scope/container");
    let unit = format!("{USER}/app.slice/ours.service/libpod-payload-ID");
    for (case, path, name) in [("podman-rootless", scope, "mine"), ("podman-rootless-unit", unit, "ours")] {
        let found = named(case, "podman", &path, name);
        assert!(found.property("Process_Namespaces")["user"].is_string(), "{case}");
        assert_eq!(
            found.property("Process_Credentials")["userId"],
            1000,
            "{case}: root inside is ann outside"
        );
    }
}

#[test]
fn docker() {
    require_machine!();
    assert_eq!(said().fact("docker", "driver"), "systemd 2");
    let found = named("docker", "docker", "/system.slice/docker-ID.scope", "dweb");
    assert_eq!(found.text("Process_Security_Label"), "docker-default (enforce)");
    named("docker-parent", "docker", "/shop.slice/shop-docker.slice/docker-ID.scope", "dparent");
}

/// By containerd's CRI plugin with SystemdCgroup, as a kubelet asks for it.
#[test]
fn a_pod() {
    require_machine!();
    let path = format!("/kubepods.slice/kubepods-burstable.slice/{POD_SLICE}/cri-containerd-ID.scope");
    let found = named("pod", "containerd", &path, "app");
    let name = "web-7d9f8bcd5c-x2x7k";
    assert_eq!(found.text("Container_Id"), said().fact(name, "container"));
    assert_eq!((found.text("Pod_UID"), found.text("Pod_Name")), (POD_UID, name));
    assert_eq!(found.text("Pod_Namespace"), "shop");
    assert_eq!(found.property("Pod_Owner")["name"], "web");
}

#[test]
fn ctr() {
    require_machine!();
    by_name("ctr", "containerd", "/default/cweb", "cweb");
    // The scope's prefix is whatever somebody chose: that it is a container is known, and no more.
    let found = of("ctr-systemd", "unknown", "/system.slice/ctr-csys.scope");
    assert!(found.property("Container_Id").is_null());
}

#[test]
fn runc_and_crun_by_hand() {
    require_machine!();
    by_name("runc", "runc", "/system.slice/runc-hand-runc.scope", "hand-runc");
    by_name("crun", "crun", "/system.slice/crun-hand-crun.scope/container", "hand-crun");
}

#[test]
fn nspawn() {
    require_machine!();
    by_name("nspawn", "systemd-nspawn", r"/machine.slice/machine-vm\x2done.scope/payload", "vm-one");
    by_name("nspawn-unit", "systemd-nspawn", "/machine.slice/systemd-nspawn@two.service/payload", "two");
}

#[test]
fn lxc() {
    require_machine!();
    for case in ["lxc", "lxc-daemon"] {
        by_name(case, "lxc", "/lxc.payload.lweb", "lweb");
    }
}
