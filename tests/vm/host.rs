//! The service, the journal, and paths of the host's own.

use serde_json::Value;

use crate::machine::said;
use crate::require_machine;

/// How many shells the machine is given.
const CASES: usize = 21;

#[test]
fn the_machine_is_what_it_should_be() {
    require_machine!();
    let said = said();
    assert!(said.fact("boot", "kernel").starts_with("6.1."));
    assert!(said.fact("boot", "systemd").starts_with("systemd 252"));
    assert_eq!(said.fact("boot", "cgroups"), "cgroup2fs");
    assert!(!said.fact("after", "seconds").is_empty(), "it came to its end");
}

#[test]
fn a_service() {
    require_machine!();
    let said = said();
    assert_eq!(said.fact("service", "active"), "active");
    assert_eq!(said.json("service", "selftest")["found"], true);
    let checks = serde_json::Deserializer::from_str(said.fact("service", "doctor")).into_iter::<Value>();
    let checks: Vec<Value> = checks.map(Result::unwrap).collect();
    assert!(checks.len() > 10);
    for check in &checks {
        assert_eq!(check["outcome"], "ok", "{check}");
    }
    assert_eq!(said.fact("after", "stopped"), "success");
}

/// journald takes what comes over /dev/log for what it is: one message, with the identifier and the severity.
#[test]
fn a_finding_in_the_journal() {
    require_machine!();
    let said = said();
    let entry = said.json("host", "journal");
    let id = said.finding("host").id();
    assert_eq!(entry["SYSLOG_IDENTIFIER"], "tetherd");
    assert_eq!(entry["SYSLOG_FACILITY"], "10", "authpriv");
    assert_eq!(entry["PRIORITY"], "3", "HIGH");
    let message = entry["MESSAGE"].as_str().unwrap();
    let fields: Value = serde_json::from_str(message.strip_prefix("@cee: ").unwrap()).unwrap();
    assert_eq!((fields["id"].as_str(), fields["state"].as_str()), (Some(id), Some("INACTIVE")));
}

#[test]
fn the_hosts_own_shells() {
    require_machine!();
    for (case, cgroup, user, namespaces) in [
        ("host", "/system.slice/tetherd-vm.service", "root", 0),
        // A unit that asks for sandboxing is no container.
        ("sandboxed", "/system.slice/web.service", "root", 1),
        ("user-unit", "/user.slice/user-1000.slice/user@1000.service/app.slice/notes.service", "ann", 0),
    ] {
        let found = said().finding(case);
        assert_eq!(found.text("Cgroup_Path"), cgroup);
        assert_eq!(found.text("Process_User_Name"), user, "{case}");
        for absent in ["Container_Id", "Container_Runtime", "Container_Name", "Pod_UID"] {
            assert!(found.property(absent).is_null(), "{case}: {absent}");
        }
        let apart = found.property("Process_Namespaces").as_object().map_or(0, serde_json::Map::len);
        assert_eq!(apart, namespaces, "{case}");
        assert!(found.ran(&["id"]), "{case}: {}", found.brief());
        assert_eq!(found.property("Enrichment_Status")["complete"], true, "{case}");
    }
}

/// As many findings as shells (and the self-test's), a whole chain, and nothing that was lost on the way.
#[test]
fn nothing_else() {
    require_machine!();
    let said = said();
    assert_eq!(said.cases(), CASES);
    assert_eq!(said.fact("after", "list"), (CASES + 1).to_string());
    assert!(said.fact("after", "verify").ends_with("exit 0"));
    let losses = said.json("after", "status")["losses"].clone();
    for loss in ["kernel_overflow", "sequence_gap", "channel_full", "record_shortened", "spool_write"] {
        assert_eq!(losses[loss], 0, "{loss}");
    }
}
