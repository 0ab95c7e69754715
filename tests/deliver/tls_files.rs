//! The files of TLS as the operator meets them: check-config, the log, the status, a daemon that may do next to nothing.

use std::fs;
use std::path::Path;

use nix::sys::signal::Signal;

use super::certificates::{Authority, file, receiver};
use super::daemon::{destination, place};
use crate::common::daemon::{Daemon, tetherd};
use crate::common::wait_for;
use crate::require;

/// What check-config says of a block with these lines, and its exit code.
fn check(directory: &Path, lines: &str) -> (String, Option<i32>) {
    let path = directory.join("t.toml");
    let head = "[[deliver]]\nname = \"siem\"\ntransport = \"tls\"\naddress = \"siem.example:6514\"\n";
    let rules = directory.join("rules.d");
    fs::create_dir_all(&rules).unwrap();
    let text = format!("{head}{lines}[rules]\ndirectory = \"{}\"\n", rules.display());
    fs::write(&path, text).unwrap();
    let output = tetherd(&["check-config", path.to_str().unwrap()]);
    (String::from_utf8(output.stdout).unwrap(), output.status.code())
}

#[test]
fn every_problem_with_the_files_is_named() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name).display().to_string();
    let put = |name: &str, text: &str, mode| drop(file(place.path(), name, text, mode));
    let authority = Authority::new("a CA");
    let (node, other) = (authority.issue(&["a"], |_| {}), authority.issue(&["b"], |_| {}));
    put("ca.pem", &authority.pem, 0o644);
    put("node.pem", &node.pem, 0o644);
    put("node.key", &node.key, 0o640);
    put("other.key", &other.key, 0o600);
    put("open.key", &node.key, 0o644);
    put("written.pem", &authority.pem, 0o666);
    put("both.pem", &format!("{}{}", node.key, node.pem), 0o600);
    put("torn.pem", authority.pem.trim_end().trim_end_matches("-----END CERTIFICATE-----"), 0o644);
    put("locked.key", &node.key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), 0o600);
    put("none.pem", "no certificate", 0o600);
    put("long.pem", &"x".repeat((1 << 20) + 1), 0o600);
    put("empty.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", 0o600);
    let ca = format!("ca = \"{}\"\n", at("ca.pem"));
    let pair = |certificate: &str, key: &str| {
        format!("{ca}certificate = \"{}\"\nkey = \"{}\"\n", at(certificate), at(key))
    };
    for good in [ca.clone(), pair("node.pem", "node.key"), pair("both.pem", "both.pem")] {
        assert_eq!(check(place.path(), &good), ("Configuration is fine.\n".to_owned(), Some(0)));
    }
    let own = |name: &str| format!("ca = \"{}\"\n", at(name));
    for (lines, wanted) in [
        (
            own("nowhere.pem"),
            "t.toml:5:6: deliver.ca: {}nowhere.pem cannot be read (No such file or directory (os error 2)); until then nothing is sent to siem; name a file with the certificate of the receiver's CA in PEM",
        ),
        (own(""), "deliver.ca: {} cannot be read (it is no regular file)"),
        (own("none.pem"), "deliver.ca: {}none.pem holds no certificate; "),
        (own("torn.pem"), "deliver.ca: {}torn.pem is no whole PEM ("),
        (own("empty.pem"), "deliver.ca: {}empty.pem holds a certificate, number 1, that is none ("),
        (own("long.pem"), "deliver.ca: {}long.pem is longer than 1 MiB; "),
        (
            own("written.pem"),
            "deliver.ca: {}written.pem is a file that everybody may write (mode 0666); until then nothing is sent to siem; chmod o-w ",
        ),
        (
            pair("node.pem", "other.key"),
            "t.toml:7:7: deliver.key: {}other.key does not belong to the certificate {}node.pem; until then nothing is sent to siem; name the key",
        ),
        (
            pair("node.pem", "open.key"),
            "deliver.key: {}open.key is a file that everybody may read (mode 0644); until then nothing is sent to siem; chmod o-rwx ",
        ),
        (pair("node.pem", "ca.pem"), "deliver.key: {}ca.pem is a file that everybody may read"),
        (pair("node.pem", "none.pem"), "deliver.key: {}none.pem holds no private key; "),
        (
            pair("node.pem", "locked.key"),
            "deliver.key: {}locked.key holds a key with a passphrase, which nobody is there to type; until then nothing is sent to siem; openssl pkey -in ",
        ),
        (pair("none.pem", "node.key"), "t.toml:6:15: deliver.certificate: {}none.pem holds no certificate"),
        (pair("empty.pem", "node.key"), "deliver.certificate: {}empty.pem holds a certificate that is none"),
        (
            format!("certificate = \"{}\"\n", at("node.pem")),
            "t.toml:5:15: deliver.certificate: there is no key with it; tetherd does not start with it, and a reload keeps what is in force; set key too, or neither",
        ),
        (format!("key = \"{}\"\n", at("node.key")), "deliver.key: there is no certificate with it"),
        (
            "server_name = \"*.example\"\n".into(),
            "t.toml:5:15: deliver.server_name: \"*.example\": no certificate can have this name; ",
        ),
        ("ca = \"ca.pem\"\n".into(), "deliver.ca: \"ca.pem\" is not absolute; "),
    ] {
        let (said, code) = check(place.path(), &lines);
        let wanted = wanted.replace("{}", &format!("{}/", place.path().display()));
        assert!(said.contains(&wanted) && code == Some(78), "{code:?}: {said}\nwanted: {wanted}");
    }
    // All of them in one run.
    let (said, _) = check(
        place.path(),
        &format!("{}certificate = \"{}\"\nkey = \"{}\"\n", own("none.pem"), at("torn.pem"), at("open.key")),
    );
    assert_eq!(said.lines().count(), 3, "{said}");
}

/// A certificate that is missing is no reason not to look for shells; the status and the log have the sentence, a reload
/// says it again, and when it is there all goes on, under the filter of system calls too.
#[test]
fn a_daemon_whose_files_come_late() {
    require!("gcc");
    let place = place("");
    let authority = Authority::new("a CA");
    let receiver = receiver(authority.issue(&["127.0.0.1"], |_| {}).usual());
    let ca = place.path("ca.pem");
    place.configure(&format!(
        "[[deliver]]\nname = \"siem\"\ntransport = \"tls\"\naddress = \"{}\"\nca = \"{}\"\n",
        receiver.address(),
        ca.display()
    ));
    place.control("system_calls = \"refuse\"");
    let daemon = Daemon::start_in(&place);
    wait_for("the trouble", || (destination(&daemon, "siem")["state"] == "failing").then_some(()));
    let said = format!("cannot be reached (ca {} cannot be read (No such file", ca.display());
    let error = destination(&daemon, "siem")["last_error"].as_str().unwrap().to_owned();
    assert!(error.starts_with(&said), "{error}");
    assert!(daemon.said().contains(&format!("siem: {} {said}", receiver.address())), "{}", daemon.said());
    daemon.signal(Signal::SIGHUP);
    wait_for("the reload", || daemon.said().contains("reload: done").then_some(()));
    assert!(daemon.said().contains("deliver.ca: "), "{}", daemon.said());

    file(ca.parent().unwrap(), "ca.pem", &authority.pem, 0o644);
    wait_for("the findings arrive", || (receiver.arrived().len() >= 20).then_some(()));
    wait_for("it is idle", || (destination(&daemon, "siem")["state"] == "idle").then_some(()));
    daemon.stop();
}
