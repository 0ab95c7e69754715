//! `/proc/PID/cgroup` (`enrich::container`).
//!
//! Holds: an id is one component of a path that the text has; lists are bounded; what says by itself that it is a
//! container's does not depend on the namespaces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tetherd::enrich::container::{cgroup_path, identify, is_service};
use tetherd::model::ids::ContainerId;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if let Some(path) = cgroup_path(bytes) {
        assert!(path.starts_with('/') && text.contains(&path));
        let _ = is_service(&path);
    }
    let plain = identify(bytes, false);
    let isolated = identify(bytes, true);
    if plain.is_some() {
        assert_eq!(plain, isolated);
    }
    let Some(found) = isolated else { return };
    assert_eq!(ContainerId::new(found.id.as_str()).as_ref(), Some(&found.id));
    assert!(found.cgroup_path.starts_with('/') && text.contains(&found.cgroup_path));
    assert!(found.cgroup_path.contains(found.id.as_str()) || found.cgroup_path.contains("\\x"));
    assert!(found.outer.len() <= 8 && !found.outer.contains(&found.id));
    let mut outer: Vec<&str> = found.outer.iter().map(ContainerId::as_str).collect();
    outer.sort_unstable();
    outer.dedup();
    assert_eq!(outer.len(), found.outer.len());
    let digits = |uid: &str| uid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    assert!(found.pod_uid.is_none_or(|uid| matches!(uid.len(), 32 | 36) && digits(&uid)));
});
