//! Every kind of problem of a configuration file, with its place.
//!
//! Owns: the tests of `file`. Must not own: the shipped file (`tests/config_files.rs`).

use super::*;
use proptest::prelude::*;
use std::os::unix::fs::PermissionsExt;

fn problems(text: &str) -> Vec<String> {
    match parse(Path::new("t.toml"), text) {
        Ok(_) => Vec::new(),
        Err(ConfigError::Problems(found)) => found.iter().map(ToString::to_string).collect(),
        Err(error) => vec![error.to_string()],
    }
}

#[test]
fn every_problem_in_one_run_in_the_order_of_the_text() {
    let found = problems(
        "[spool]\ndirectoy = \"/x\"\nsegment_bytes = \"1 parsec\"\n[syslog]\nfacility = \"nobody\"\n[spol]\na = 1\n\
         [sensor]\nrealtime = 3\nsocket_lookup = []\ncanary_seconds = 0\n",
    );
    let starts: Vec<&str> = found.iter().filter_map(|text| text.split(';').next()).collect();
    assert_eq!(
        starts,
        [
            "t.toml:2:1: spool.directoy: unknown key",
            "t.toml:3:17: spool.segment_bytes: \"1 parsec\" is no size",
            "t.toml:5:12: syslog.facility: \"nobody\" is no facility",
            "t.toml:6:2: spol: unknown table",
            "t.toml:9:12: sensor.realtime: this is not true or false",
            "t.toml:10:17: sensor.socket_lookup: the list is empty",
            "t.toml:11:18: sensor.canary_seconds: 0 is out of range",
        ]
    );
    assert!(found[0].ends_with("did you mean spool.directory?"), "{}", found[0]);
    assert!(found[1].ends_with("write 64KiB to 1GiB"), "{}", found[1]);
    assert!(found[3].ends_with("did you mean [spool]?"), "{}", found[3]);
    assert!(
        found[6].contains(
            "; tetherd does not start with it, and a reload keeps what is in force; write 1 to 3600"
        )
    );
}

#[test]
fn each_kind_of_problem() {
    let long = format!("[control]\nsocket = \"/{}\"", "a".repeat(107));
    for (text, wanted) in [
        ("[spool]\ndirectory = \n", "t.toml:2:"),
        ("[spool]\ndirectory = \"/a\"\ndirectory = \"/b\"", "3:1: directory: duplicate key;"),
        ("[spool]\n[spool]\n", "t.toml:2:"),
        ("facility = \"user\"", "1:1: facility: unknown key;"),
        ("facility = \"user\"", "it belongs into the table [syslog]"),
        ("spool = 3", "1:1: spool: this is no table;"),
        ("[[spool]]", "this is no table;"),
        ("[spool]\ndirectory = \"x/y\"", "2:13: spool.directory: \"x/y\" is not absolute;"),
        ("[spool]\ndirectory = 1.5", "2:13: spool.directory: this is a number with a fraction;"),
        ("[spool]\nsegment_hours = -1", "2:17: spool.segment_hours: this number is out of range;"),
        ("[spool]\nsegment_hours = \"2KiB\"", "2:17: spool.segment_hours: this is no whole number;"),
        ("[spool]\nsegment_bytes = \"99999999999999999999GiB\"", "is no size;"),
        (
            "[sensor]\nsocket_lookup = [\"getfd\", \"getfd\"]",
            "2:17: sensor.socket_lookup: \"getfd\" stands there twice;",
        ),
        ("[sensor]\nsocket_lookup = [\"ask\"]", "2:17: sensor.socket_lookup: \"ask\" is no lookup;"),
        ("[watch]\nshells = [\"a\", 7]", "2:16: watch.shells: this is no text but a whole number;"),
        ("[watch]\nshells = [\"a/b\"]", "2:10: watch.shells: \"a/b\" is no base name;"),
        (
            "[watch]\nshells = [\"x\"]\nignore = [\"x\"]",
            "3:10: watch.ignore: \"x\" is in watch.ignore and in watch.shells;",
        ),
        ("[node]\nname = \"a\\nb\"", "2:8: node.name: \"a\\nb\" holds control characters;"),
        ("[node]\nresource_name = \"/x\"", "2:17: node.resource_name: \"/x\" does not begin with //;"),
        ("[control]\nmetrics_file = \"/x/y\"", "2:16: control.metrics_file: it does not end in .prom;"),
        (
            "[control]\nsocket = \"/dev/log\"",
            "2:10: control.socket: control.socket and syslog.path are the same file;",
        ),
        (&long, "2:10: control.socket: it is 108 bytes long;"),
        (
            "[spool]\nmax_bytes = \"16MiB\"",
            "2:13: spool.max_bytes: spool.max_bytes (16777216) is less than two segments of spool.segment_bytes (16777216);",
        ),
        (
            "[spool]\nsegment_bytes = \"200MiB\"",
            "2:17: spool.segment_bytes: spool.max_bytes (268435456) is less than two",
        ),
    ] {
        let found = problems(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].contains(wanted), "{text}: {wanted} in {}", found[0]);
    }
    // What a wrong value would have been is not guessed at.
    assert_eq!(problems("[spool]\nsegment_bytes = 1\nmax_bytes = \"1MiB\"").len(), 1);
    // A syntax error does not hide what is wrong elsewhere.
    let found = problems("[spool]\ndirectory = = 1\n[syslog]\nenabled = 1\n");
    assert_eq!(found.len(), 2, "{found:#?}");
}

#[test]
fn problems_are_bounded() {
    let unknown: String = (0..50_000).map(|n| format!("k{n} = 1\n")).collect();
    let found = problems(&unknown);
    assert_eq!(found.len(), 101);
    assert!(found[100].contains("49900 more problems are not listed"), "{}", found[100]);
    assert_eq!(problems(&"=\n".repeat(100_000)).len(), 101);
    assert!(problems(&format!("{} = 1", "k".repeat(1 << 19)))[0].len() < 400);
    assert_eq!(problems(&format!("a{} = 1", ".a".repeat(200_000))).len(), 1);
}

#[test]
fn what_is_printed_reads_back() {
    let text = "[spool]\nsegment_bytes = \"1MiB\"\ndirectory = \"/srv/\\u00e9\"\n[watch]\ncommands = [\"a\", \"b\"]\n";
    let mut loaded = parse(Path::new("t\n.toml"), text).unwrap().config;
    assert_eq!(loaded.spool.segment_bytes, 1 << 20);
    assert!(loaded.print().contains("\nsegment_bytes = 1048576 # t\\n.toml:2\n"), "{}", loaded.print());
    loaded.override_spool("/x".into());
    assert!(loaded.print().contains("\ndirectory = \"/x\" # command line\n"));
    assert!(loaded.print().contains("\nsegment_hours = 24 # default\n"));
    let mut again = parse(Path::new("u.toml"), &loaded.print()).unwrap().config;
    again.origins = loaded.origins.clone();
    assert_eq!(again, loaded);
}

#[test]
fn who_may_have_written_it() {
    assert_eq!(unsafe_to_follow(0, 0o100_644), None);
    assert_eq!(unsafe_to_follow(7, 0o100_600).unwrap(), "it belongs to user 7, not to root");
    assert_eq!(unsafe_to_follow(0, 0o100_664).unwrap(), "its group may write it (mode 0664)");
    assert_eq!(unsafe_to_follow(0, 0o041_777).unwrap(), "everybody may write it (mode 1777)");
}

#[test]
fn what_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.toml");
    let load = |bytes: &[u8], mode: u32| {
        std::fs::write(&path, bytes).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        Config::load(Some(&path)).map(|_| ()).map_err(|error| (error.exit().code(), error.to_string()))
    };
    assert_eq!(load(b"", 0o600), Ok(()));
    let (code, said) = load(b"[spool]\n# \xff", 0o600).unwrap_err();
    assert_eq!(code, 78);
    assert!(said.contains("t.toml:2:3: it is not UTF-8 from here on;"), "{said}");
    let (code, said) = load(&vec![b'\n'; (1 << 20) + 1], 0o600).unwrap_err();
    assert_eq!(code, 78);
    assert!(said.contains("t.toml: it is longer than 1 MiB;"), "{said}");
    if nix::unistd::geteuid().is_root() {
        let (code, said) = load(b"", 0o606).unwrap_err();
        assert_eq!(code, 78);
        assert!(
            said.contains("; anyone who can write it can switch the detection off; chown root "),
            "{said}"
        );
    }
    let exit = |path: &Path| Config::load(Some(path)).unwrap_err().exit().code();
    assert_eq!(exit(&directory.path().join("absent")), 66);
    assert_eq!(exit(directory.path()), 66);
    let fifo = directory.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    assert_eq!(exit(&fifo), 66);
}

proptest! {
    #[test]
    fn any_line_is_safe(text in "(\\[[a-z]{0,6}\\]\n)?([a-z_.]{1,9} ?= ?[ -~]{0,9}\n){0,5}") {
        problems(&text);
    }

    #[test]
    fn any_value_is_safe(key in prop::sample::select((0..KEYS.len()).collect::<Vec<_>>()), value in ".{0,40}") {
        let key = &KEYS[key];
        problems(&value);
        problems(&format!("{} = {value}", key.path));
        let text = format!("{} = {}", key.path, toml::Value::String(value.clone()));
        if let Ok(loaded) = parse(Path::new("t.toml"), &text) {
            // What is taken can be printed and read again.
            let mut again = parse(Path::new("t.toml"), &loaded.config.print()).unwrap().config;
            again.origins = loaded.config.origins.clone();
            prop_assert_eq!(again, loaded.config);
        }
    }
}

#[test]
fn problems_of_destinations() {
    let many = "[[deliver]]\n".repeat(100);
    for (text, wanted) in [
        ("deliver = 3", &["1:1: deliver: this is no list of blocks; "] as &[&str]),
        ("[deliver]\nname = \"a\"", &["1:2: deliver: this is no list of blocks; "]),
        ("deliver = [1]", &["1:1: deliver: this is no list of blocks; "]),
        (
            "[[deliver]]\n",
            &["deliver.name: this block has no name; ", "has no transport; ", "has no address; "],
        ),
        (
            "[[deliver]]\nname = \"A b\"\ntransport = \"devlog\"",
            &["2:8: deliver.name: \"A b\" is no name of a"],
        ),
        (
            "[[deliver]]\nname = \"syslog\"\ntransport = \"devlog\"",
            &["the destination of the table [syslog]; "],
        ),
        (
            "[[deliver]]\nname = \"a\"\ntransport = \"devlog\"\n[[deliver]]\nname = \"a\"\ntransport = \"devlog\"",
            &["5:8: deliver.name: \"a\" is the name of another destination; "],
        ),
        (
            "[[deliver]]\nname = \"a\"\ntransport = \"smoke\"\naddress = \"x:1\"",
            &["3:13: deliver.transport: \"smoke\" is no transport; "],
        ),
        (
            "[[deliver]]\nname = \"a\"\ntransport = \"tcp\"\naddress = \"siem\"",
            &["4:11: deliver.address: \"siem\": it has no port; "],
        ),
        (
            "[[deliver]]\nname = \"a\"\ntransport = \"unix-stream\"\naddress = \"siem:1\"",
            &["4:11: deliver.address: \"siem:1\" is not absolute; "],
        ),
        (
            "[[deliver]]\nname = \"a\"\ntransport = \"devlog\"\nconfirm = \"kernel\"\nfromat = \"scc\"",
            &["4:11: deliver.confirm: this is for tcp and tls alone; ", "5:1: deliver.fromat: unknown key; "],
        ),
        (
            "[[deliver]]\nname = \"a\"\ntransport = \"tcp\"\naddress = \"x:1\"\nconfirm = \"close-notify\"\nca = \"/x\"\nserver_name = \"x\"",
            &[
                "5:11: deliver.confirm: without TLS nobody says close_notify; ",
                "6:6: deliver.ca: this is for tls alone; ",
                "7:15: deliver.server_name: this is for tls alone; ",
            ],
        ),
        (
            "[[deliver]]\nname = \"a\"\ntransport = \"tls\"\naddress = \"[fe80::1%eth0]:1\"\nkey = \"/k\"\nca = \"x\"",
            &[
                "4:11: deliver.address: \"[fe80::1%eth0]:1\": no certificate can have this name; ",
                "5:7: deliver.key: there is no certificate with it; ",
                "6:6: deliver.ca: \"x\" is not absolute; ",
            ],
        ),
        (
            "[[deliver]]\nname = \"a\"\ntransport = \"devlog\"\nmessage_bytes = 999\nseverity = \"bad\"\nformat = 1",
            &["999 is out of range; ", "\"bad\" is no severity; ", "this is no text; "],
        ),
        (
            "[[deliver]]\nname = \"a\"\ntransport = \"devlog\"\nformat = \"rfc5424\"",
            &["4:10: deliver.format: a local syslog daemon takes no structured data; "],
        ),
        (
            "[control]\nsocket = \"/x\"\n[[deliver]]\nname = \"a\"\ntransport = \"devlog\"\naddress = \"/x\"",
            &["6:11: deliver.address: control.socket is the same file; "],
        ),
    ] {
        let found = problems(text);
        assert_eq!(found.len(), wanted.len(), "{text}: {found:#?}");
        for (found, wanted) in found.iter().zip(wanted) {
            assert!(found.contains(wanted), "{text}: {wanted} in {found}");
        }
    }
    assert!(problems(&many).len() <= 101);
    let taken = "[syslog]\nenabled = false\n[[deliver]]\nname = \"syslog\"\ntransport = \"devlog\"";
    assert_eq!(problems(taken), [] as [&str; 0]);
}

#[test]
fn printed_destinations_read_back() {
    let text = "[[deliver]]\nname = \"siem\"\ntransport = \"tcp\"\naddress = \"[::1]:601\"\nseverity = \"HIGH\"\n\
                categories = [\"Execution: *\"]\nnamespaces = [\"\"]\nstart = \"newest\"\nmessage_bytes = \"64000\"\n\
                [[deliver]]\nname = \"b\"\ntransport = \"devlog\"\nenabled = false\n\
                [[deliver]]\nname = \"c\"\ntransport = \"tls\"\naddress = \"siem:6514\"\nca = \"/a \\\"b\"\ncertificate = \"/c\"\n\
                key = \"/k\"\nserver_name = \"siem.example\"\nconfirm = \"close-notify\"\n";
    let loaded = parse(Path::new("t.toml"), text).unwrap().config;
    let printed = loaded.print();
    assert!(printed.contains("\nstart = \"newest\" # t.toml:8\n"), "{printed}");
    assert!(printed.contains("\nformat = \"compact\" # default\n"), "{printed}");
    let again = parse(Path::new("u.toml"), &printed).unwrap().config.destinations();
    for (one, other) in again.iter().zip(loaded.destinations()).skip(1) {
        assert_eq!((&one.name, &one.address, one.enabled), (&other.name, &other.address, other.enabled));
        assert_eq!((one.format(), one.message_bytes()), (other.format(), other.message_bytes()));
        assert_eq!((&one.categories, &one.namespaces), (&other.categories, &other.namespaces));
        assert_eq!((one.start, one.confirm), (other.start, other.confirm));
    }
    assert_eq!(again.len(), 4);
}
