//! The files in `conf/` say what the program does.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's helpers may fail the test wherever they are"
)]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tetherd::config::keys::KEYS;
use tetherd::config::{Config, file, rules_dir};
use tetherd::engine::policy::{Candidate, RuleSet, Source};
use tetherd::model::clock::{Moment, parse_rfc3339};
use tetherd::model::contained::{Contained, ContainerFacts};
use tetherd::model::detection::Row;
use tetherd::model::ids::{ContainerId, Inode, Pid, ProcessKey, StartTime, Uid};
use tetherd::model::look::{Ancestor, Cause, FileId, Look, Observation};
use tetherd::model::socket::{
    Address, Direction, Family, Peer, Protocol, Scope, Socket, SocketLookup, SocketType,
};
use tetherd::model::stdio::TetherKind;

const SHIPPED: &str = include_str!("../conf/tetherd.toml");

fn parse(text: &str) -> Config {
    file::parse(Path::new("s.toml"), text).unwrap().config
}

#[test]
fn the_shipped_file_changes_nothing() {
    assert_eq!(parse(SHIPPED), Config::defaults());
}

#[test]
fn the_shipped_file_shows_every_key_at_its_default() {
    let uncommented: String = SHIPPED
        .lines()
        .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')).unwrap_or(line))
        .map(|line| format!("{line}\n"))
        .collect();
    let mut all = parse(&uncommented);
    assert_eq!(all.origins.len(), KEYS.len());
    all.origins.clear();
    assert_eq!(all, Config::defaults());
}

/// Tables, keys and what is said of them stand in the file as `tetherd print-config` prints them.
#[test]
fn the_shipped_file_is_what_is_printed() {
    let printed: String = Config::defaults()
        .print()
        .lines()
        .map(|line| match line.strip_suffix(" # default") {
            Some(value) => format!("#{value}\n"),
            None => format!("{line}\n"),
        })
        .collect();
    let (_, body) = SHIPPED.split_once("\n\n").unwrap();
    assert_eq!(body, printed);
}

#[test]
fn keys_are_unique_and_in_tables() {
    let mut paths: Vec<&str> = KEYS.iter().map(|key| key.path).collect();
    assert!(paths.iter().all(|path| path.split('.').count() == 2));
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), KEYS.len());
}

fn examples() -> Vec<Source> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/rules.d/examples");
    let mut paths: Vec<PathBuf> = directory.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let users = Arc::new(HashMap::from([("root".to_owned(), 0)]));
    let read_ns = parse_rfc3339("2026-11-24T00:00:00Z").unwrap();
    paths
        .into_iter()
        .map(|path| Source {
            users: users.clone(),
            read_ns,
            ..Source::new(&path, std::fs::read_to_string(&path).unwrap())
        })
        .collect()
}

#[test]
fn the_examples_compile() {
    let sources = examples();
    assert!(!sources.is_empty());
    let compiled = RuleSet::compile(&sources).unwrap();
    assert!(compiled.warnings.is_empty(), "{:?}", compiled.warnings);
    let names: Vec<&str> = compiled.rules.hits().map(|(name, _)| name).collect();
    assert!(names.contains(&"monitoring-agent"));
    assert!(!names.contains(&"rsync-daemon"), "the example switches it off");
}

#[test]
fn the_directory_of_rules_reads_and_compiles() {
    let directory = tempfile::tempdir().unwrap();
    for source in examples() {
        std::fs::write(directory.path().join(source.file.file_name().unwrap()), source.text).unwrap();
    }
    let sources = rules_dir::read_rules(directory.path()).unwrap();
    assert!(sources.iter().all(|source| source.read_ns > 0));
    RuleSet::compile(&sources).unwrap();
}

/// A process on a socket, as the engine would ask about it.
struct Case {
    look: Look,
    socket: Socket,
    row: Row,
    direction: Direction,
    on_host: bool,
    contained: Contained,
}

impl Case {
    /// On the host, root's file, called by somebody in a private network.
    fn new(row: Row, exe: &str, args: &[&str]) -> Self {
        let key = ProcessKey { pid: Pid(10), start: StartTime(1) };
        let mut look = Look::blank(key, Moment::default(), Observation::Live, Cause::Exec);
        look.exe.path = exe.into();
        look.exe.file = Some(FileId {
            device: 1,
            inode: Inode(1),
            size: 1,
            mtime_ns: 0,
            ctime_ns: 0,
            owner: Uid(0),
            mode: 0o100_755,
        });
        look.args.list = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
        look.namespaces.mnt = Some(Inode(1));
        let address = |text: &str| Address::Ip(text.parse::<SocketAddr>().unwrap());
        let socket = Socket {
            inode: Inode(5),
            cookie: None,
            family: Family::Inet,
            kind: SocketType::Stream,
            protocol: Protocol::Tcp,
            local: Some(address("192.0.2.1:6556")),
            peer: Peer::Connected(address("10.20.0.9:9001")),
            listening: false,
            net_ns: None,
            found_by: SocketLookup::Getfd,
        };
        Self { look, socket, row, direction: Direction::Inbound, on_host: true, contained: Contained::Untold }
    }

    fn ancestor(mut self, exe: &str) -> Self {
        self.look.ancestors.push(Ancestor {
            exe: exe.into(),
            exe_owner: Some(Uid(0)),
            mnt_ns: Some(Inode(1)),
            ..Ancestor::default()
        });
        self
    }

    fn excused(&self, rules: &RuleSet, now_ns: u64) -> Option<String> {
        let candidate = Candidate {
            look: &self.look,
            row: self.row,
            socket: &self.socket,
            direction: self.direction,
            scope: self.socket.scope(),
            kind: TetherKind::Direct,
            relay: None,
            on_host: self.on_host,
            host_mount_namespace: Some(Inode(1)),
        };
        let excuse = rules.excuse(&candidate, now_ns, || self.contained.clone());
        excuse.rule().inspect(|rule| rule.count_hit()).map(|rule| rule.name.clone())
    }

    fn shipped(&self) -> Option<String> {
        self.excused(&RuleSet::shipped(), 0)
    }
}

/// The rule with `more`, among the shipped ones.
fn ours(more: &str) -> RuleSet {
    let text = format!("[[allow]]\nname = \"ours\"\nreason = \"test\"\n{more}\n");
    RuleSet::compile(&[Source::new("r.toml", text)]).unwrap().rules
}

const GIT: &str = "/usr/lib/git-core/git";
const GIT_DAEMON: &str = "/usr/lib/git-core/git-daemon";

/// What `strace -f` shows of git daemon 2.39 for a push, a clone and an archive.
#[test]
fn git_daemon_is_excused_by_what_it_really_runs() {
    let serve = [GIT_DAEMON, "--serve", "--reuseaddr", "--export-all", "--base-path=/srv", "/srv"];
    let case = Case::new(Row::OtherBothWays, GIT_DAEMON, &serve).ancestor(GIT_DAEMON);
    assert_eq!(case.shipped().as_deref(), Some("git-daemon"));
    for (row, rule, args) in [
        (Row::WatchedBothWays, "git-daemon-fetch", &[GIT, "upload-pack", "--strict", "--timeout=0", "."][..]),
        (Row::WatchedBothWays, "git-daemon-push", &[GIT, "receive-pack", "."]),
        (Row::WatchedBothWays, "git-daemon-archive", &[GIT, "upload-archive", "."]),
        (Row::SecondOneWay, "git-daemon-unpack", &[GIT, "unpack-objects", "--pack_header=2,5", "-q"]),
        (Row::SecondOneWay, "git-daemon-index", &[GIT, "index-pack", "--stdin", "--pack_header=2,500"]),
        (Row::SecondOneWay, "git-daemon-archive-writer", &[GIT, "upload-archive--writer", "."]),
    ] {
        let case = || Case::new(row, GIT, args).ancestor(GIT_DAEMON);
        assert_eq!(case().shipped().as_deref(), Some(rule));
        assert_eq!(Case::new(row, GIT, args).shipped(), None, "{rule} without git daemon");
        let mut out = case();
        out.direction = Direction::Outbound;
        assert_eq!(out.shipped(), None, "{rule} outbound");
    }
    // Any other use of git is not the protocol.
    for args in [&[GIT, "grep", "--no-index", "root", "/etc"][..], &[GIT, "-c", "alias.x=!sh", "upload-pack"]]
    {
        assert_eq!(
            Case::new(Row::WatchedBothWays, GIT, args).ancestor(GIT_DAEMON).shipped(),
            None,
            "{args:?}"
        );
    }
}

#[test]
fn sshd_and_rsync_as_they_are_run() {
    let sshd = || Case::new(Row::OtherBothWays, "/usr/sbin/sshd", &["sshd: [accepted]"]);
    assert_eq!(sshd().shipped().as_deref(), Some("sshd"));
    let session = Case::new(Row::OtherBothWays, "/usr/lib/openssh/sshd-session", &["sshd-session", "-R"]);
    assert_eq!(session.shipped().as_deref(), Some("sshd"));
    let mut user = sshd();
    user.look.credentials.uid = Uid(1000);
    assert_eq!(user.shipped(), None, "an sshd of a user's own");

    let rsync = |args: &[&str]| Case::new(Row::WatchedBothWays, "/usr/bin/rsync", args);
    assert_eq!(
        rsync(&["rsync", "--daemon", "--config=/etc/rsyncd.conf"]).shipped().as_deref(),
        Some("rsync-daemon")
    );
    assert_eq!(rsync(&["rsync", "-e", "sh", "x:", "."]).shipped(), None);
}

#[test]
fn no_shell_and_no_command_is_excused_by_what_ships() {
    for exe in [
        "/bin/sh",
        "/usr/bin/bash",
        "/usr/bin/dash",
        "/usr/bin/id",
        "/usr/bin/nc.openbsd",
        "/usr/bin/stunnel4",
    ] {
        for row in [
            Row::WatchedBothWays,
            Row::ShellReadsSocket,
            Row::WatchedOutput,
            Row::OtherBothWays,
            Row::SecondOneWay,
        ] {
            let case =
                Case::new(row, exe, &[exe, "--daemon"]).ancestor("/usr/sbin/sshd").ancestor(GIT_DAEMON);
            assert_eq!(case.shipped(), None, "{exe}, row {}", row.number());
        }
    }
}

type Change = fn(&mut Case);

/// A path proves something only of root's own file on the host.
#[test]
fn a_path_is_trusted_on_the_host_only() {
    let rules = ours("executable = \"/opt/agent\"");
    let case = || Case::new(Row::OtherBothWays, "/opt/agent", &["agent"]);
    assert_eq!(case().excused(&rules, 0).as_deref(), Some("ours"));
    let changes: [(&str, Change); 7] = [
        ("in a container", |case| case.on_host = false),
        ("a user's file", |case| case.look.exe.file.as_mut().unwrap().owner = Uid(1000)),
        ("a group may write it", |case| case.look.exe.file.as_mut().unwrap().mode = 0o100_775),
        ("all may write it", |case| case.look.exe.file.as_mut().unwrap().mode = 0o100_757),
        ("nothing known of the file", |case| case.look.exe.file = None),
        ("deleted", |case| case.look.exe.deleted = true),
        ("another path", |case| case.look.exe.path = b"/home/x/opt/agent".to_vec()),
    ];
    for (what, change) in changes {
        let mut case = case();
        change(&mut case);
        assert_eq!(case.excused(&rules, 0), None, "{what}");
    }
}

#[test]
fn an_ancestor_is_trusted_on_the_host_only() {
    let rules = ours("ancestor = \"/opt/agent\"");
    let case = || Case::new(Row::OtherBothWays, "/x", &["x"]).ancestor("/opt/agent");
    assert_eq!(case().excused(&rules, 0).as_deref(), Some("ours"));
    let changes: [(&str, Change); 5] = [
        ("in a container", |case| case.on_host = false),
        ("its owner is a user", |case| case.look.ancestors[0].exe_owner = Some(Uid(1))),
        ("its owner is not known", |case| case.look.ancestors[0].exe_owner = None),
        ("in a container itself", |case| case.look.ancestors[0].mnt_ns = Some(Inode(2))),
        ("its namespace is not known", |case| case.look.ancestors[0].mnt_ns = None),
    ];
    for (what, change) in changes {
        let mut case = case();
        change(&mut case);
        assert_eq!(case.excused(&rules, 0), None, "{what}");
    }
}

/// Each key decides alone.
#[test]
fn all_that_a_rule_asks_must_hold() {
    for (asks, not) in [
        ("arguments = [\"-x\", \"**\"]", "arguments = \"-x\""),
        ("arguments = [\"-?\", \"file.*\"]", "arguments = [\"file.*\", \"-x\"]"),
        ("user = 0", "user = [1, 2]"),
        ("peer = [\"192.0.2.0/24\", \"10.20.0.0/16\"]", "peer = \"10.21.0.0/16\""),
        ("peer = \"private\"", "peer = [\"public\", \"unconnected\"]"),
        ("peer = \"::ffff:10.20.0.0/112\"", "peer = \"::/0\""),
        ("port = \"9000-9010\"", "port = 9000"),
        ("local_port = [1, 6556]", "local_port = 9001"),
        ("direction = \"inbound\"", "direction = \"outbound\""),
        ("tether = \"direct\"", "tether = \"relayed\""),
        ("row = [1, 7]", "row = 8"),
        ("container = \"host\"", "container = \"abc*\""),
        ("container = \"any\"", "namespace = \"x\""),
        ("user = 0", "container_image = \"*\""),
        ("user = 0", "pod_label = \"app=*\""),
        ("user = 0", "relay = \"/usr/bin/nc\""),
    ] {
        let case = Case::new(Row::OtherBothWays, "/x", &["tar", "-x", "file.tar"]);
        assert_eq!(case.socket.scope(), Scope::Private);
        assert_eq!(case.excused(&ours(asks), 0).as_deref(), Some("ours"), "{asks}");
        assert_eq!(case.excused(&ours(not), 0), None, "{not}");
        // Where both can stand in one rule, the one that does not hold decides.
        if asks.split(' ').next() != not.split(' ').next() {
            assert_eq!(case.excused(&ours(&format!("{asks}\n{not}")), 0), None, "{asks}, {not}");
        }
    }
    let mut contained = Case::new(Row::OtherBothWays, "/x", &["x"]);
    let facts = ContainerFacts {
        id: ContainerId::new("abcdef").unwrap(),
        image: None,
        namespace: None,
        labels: None,
    };
    (contained.on_host, contained.contained) = (false, Contained::Known(facts.into()));
    assert_eq!(contained.excused(&ours("container = \"abc*\""), 0).as_deref(), Some("ours"));
    assert_eq!(contained.excused(&ours("container = \"host\""), 0), None);
}

#[test]
fn arguments_that_were_cut_off_match_nothing() {
    let mut case = Case::new(Row::OtherBothWays, "/x", &["x", "a"]);
    let rules = ours("arguments = [\"a\", \"**\"]");
    assert!(case.excused(&rules, 0).is_some());
    case.look.args.truncated = true;
    assert!(case.excused(&rules, 0).is_none());
    case.look.args = Default::default();
    assert!(case.excused(&rules, 0).is_none());
}

#[test]
fn hits_are_counted_and_expired_rules_excuse_nothing() {
    let rules = ours("port = 9001\nexpires = 2027-01-31");
    let case = Case::new(Row::OtherBothWays, "/x", &["x"]);
    let end = parse_rfc3339("2027-01-31T00:00:00Z").unwrap();
    assert!(case.excused(&rules, end - 1).is_some());
    assert!(case.excused(&rules, end).is_none());
    let hits: Vec<(&str, u64)> = rules.hits().filter(|(_, hits)| *hits > 0).collect();
    assert_eq!(hits, [("ours", 1)]);
}
