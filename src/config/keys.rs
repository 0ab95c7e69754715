//! Every key there is.
//!
//! Owns: one table: path, meaning, how to set, how to show. Must not own: what an entry is (`key`), defaults (each stage's
//! own), syntax (`file`).

use crate::config::key::{Key, bytes, key, number};
use crate::config::values::{
    annotations, cri, cri_shown, facility, fanotify, fanotify_shown, flag, lookups, lookups_shown, metrics,
    names, number, optional_path, path, path_shown, paths, plain, provider, provider_shown, quoted, resource,
    shown, size, socket, system_calls, system_calls_shown, texts_shown, within,
};

/// The table, in the order in which it is printed.
pub const KEYS: &[Key] = &[
    key!(
        "sensor.fanotify",
        "what happens when a program is opened for execution: off, notify (it is looked at), hold (it waits meanwhile)",
        "one of \"off\", \"notify\", \"hold\"",
        fanotify,
        fanotify_shown,
        sensor.fanotify
    ),
    key!(
        "sensor.realtime",
        "ask for real-time priority, without which very short processes are missed under load",
        "true or false",
        flag,
        shown,
        sensor.realtime
    ),
    key!(
        "sensor.receive_buffer_bytes",
        "receive buffer of the proc connector before the kernel doubles it; an event takes 832 bytes",
        "64KiB to 512MiB",
        bytes!(64 << 10..=512 << 20, usize),
        shown,
        sensor.receive_buffer_bytes
    ),
    key!(
        "sensor.canary_seconds",
        "seconds between two proofs that the kernel still sends events",
        "1 to 3600",
        number!(1..=3600, u64),
        shown,
        sensor.canary_seconds
    ),
    key!(
        "sensor.socket_lookup",
        "ways of finding out what a socket is, tried in this order",
        "a list of getfd, diag, proc",
        lookups,
        lookups_shown,
        sensor.socket_lookup
    ),
    key!(
        "sensor.sweep_seconds",
        "seconds between two sweeps of /proc, which find what moved its descriptors without executing anything",
        "1 to 86400",
        number!(1..=86_400, u64),
        shown,
        sensor.sweep_seconds
    ),
    key!(
        "sensor.sweep_per_second",
        "processes that a sweep of /proc may look at in one second",
        "100 to 1000000",
        number!(100..=1_000_000, u32),
        shown,
        sensor.sweep_per_second
    ),
    key!(
        "watch.commands",
        "commands watched besides the shipped list, by base name",
        "a list of base names",
        names,
        texts_shown,
        engine.commands
    ),
    key!(
        "watch.shells",
        "shells besides the shipped list, by base name; their options are read like sh's",
        "a list of base names",
        names,
        texts_shown,
        engine.shells
    ),
    key!(
        "watch.ignore",
        "shipped names that are not to be watched",
        "a list of base names",
        names,
        texts_shown,
        engine.ignore
    ),
    key!(
        "incident.loopback_lowers",
        "a peer on loopback lowers the severity by one step",
        "true or false",
        flag,
        shown,
        engine.loopback_lowers
    ),
    key!(
        "incident.reissue_seconds",
        "least seconds between two records of one incident",
        "1 to 3600",
        number!(1..=3600, u64),
        shown,
        engine.reissue_seconds
    ),
    key!(
        "incident.processes_max",
        "most processes listed in one record; counts go on beyond it",
        "2 to 64",
        number!(2..=64, usize),
        shown,
        engine.processes_max
    ),
    key!(
        "incident.incidents_max",
        "most incidents open at one time",
        "16 to 65536",
        number!(16..=65_536, usize),
        shown,
        engine.incidents_max
    ),
    key!(
        "incident.table_max",
        "most processes followed at one time",
        "256 to 1048576",
        number!(256..=1_048_576, usize),
        shown,
        engine.table_max
    ),
    key!(
        "incident.one_way_max",
        "most sockets remembered that were used one way only",
        "256 to 1048576",
        number!(256..=1_048_576, usize),
        shown,
        engine.one_way_max
    ),
    key!("enrich.digest", "take SHA-256 digests of executables", "true or false", flag, shown, enrich.digest),
    key!(
        "enrich.digest_max_bytes",
        "most bytes of one executable that are hashed",
        "1MiB to 1GiB",
        bytes!(1 << 20..=1 << 30, u64),
        shown,
        enrich.digest_max_bytes
    ),
    key!(
        "enrich.digest_wait_ms",
        "longest that a record waits for digests, names and the like, in milliseconds; later ones come with the next record",
        "0 to 1000",
        number!(0..=1000, u64),
        shown,
        enrich.digest_wait_ms
    ),
    key!(
        "enrich.docker_directories",
        "dockerd's data directories, where names and images of containers are read",
        "a list of absolute paths",
        paths,
        texts_shown,
        enrich.metadata.docker
    ),
    key!(
        "enrich.containerd_directories",
        "containerd's state directories, where names and images of pods' containers are read",
        "a list of absolute paths",
        paths,
        texts_shown,
        enrich.metadata.containerd
    ),
    key!(
        "enrich.storage_directories",
        "storage directories of podman and CRI-O, where names and images of containers are read",
        "a list of absolute paths",
        paths,
        texts_shown,
        enrich.metadata.storage
    ),
    key!(
        "enrich.rootless",
        "read names and images of rootless docker and podman below their users' homes as well; switch it off where homes may hang",
        "true or false",
        flag,
        shown,
        enrich.metadata.rootless
    ),
    key!(
        "enrich.kubelet_directories",
        "directories of the kubelet, where the token of a pod names its service account",
        "a list of absolute paths",
        paths,
        texts_shown,
        enrich.metadata.kubelet
    ),
    key!(
        "enrich.pod_log_directory",
        "where the kubelet keeps logs of pods, in directories named to them; empty: it is not read",
        "empty, or an absolute path",
        optional_path,
        quoted,
        enrich.metadata.pod_logs
    ),
    key!(
        "enrich.cri",
        "sockets that container runtimes are asked on for labels of pods, images of ctr and the like: off, auto (where each runtime has its own), or a path",
        "\"off\", \"auto\", or an absolute path of at most 107 bytes",
        cri,
        cri_shown,
        enrich.metadata.cri
    ),
    key!(
        "enrich.labels_max",
        "most labels of a pod that are kept; 0: none are",
        "0 to 64",
        number!(0..=64, usize),
        shown,
        enrich.metadata.labels_max
    ),
    key!(
        "enrich.pod_annotations",
        "annotations of pods and their containers that are shown",
        "a list of annotations' keys",
        annotations,
        texts_shown,
        enrich.metadata.annotations
    ),
    key!(
        "enrich.environment_values",
        "variables of the main process's environment whose values are shown; of all others only names are",
        "a list of names",
        names,
        texts_shown,
        enrich.evidence.environment_values
    ),
    key!(
        "enrich.environment_names_max",
        "most names of other variables that are shown",
        "0 to 256",
        number!(0..=256, usize),
        shown,
        enrich.evidence.environment_names_max
    ),
    key!(
        "enrich.network_peers_max",
        "most other peers of a container's network namespace, and of a relay, that are shown; 0: they are not asked for",
        "0 to 64",
        number!(0..=64, usize),
        shown,
        enrich.evidence.network_peers_max
    ),
    key!(
        "enrich.evidence_copy",
        "copy executables of findings into the directory evidence in the spool's; they are removed by hand",
        "true or false",
        flag,
        shown,
        enrich.evidence.copy
    ),
    key!(
        "enrich.evidence_file_bytes",
        "largest executable that is copied",
        "64KiB to 1GiB",
        bytes!(64 << 10..=1 << 30, u64),
        shown,
        enrich.evidence.copy_max_bytes
    ),
    key!(
        "enrich.evidence_max_bytes",
        "most that all copies may take; more are not made",
        "64KiB to 1TiB",
        bytes!(64 << 10..=1 << 40, u64),
        shown,
        enrich.evidence.copies_max_bytes
    ),
    key!(
        "enrich.evidence_files_max",
        "most copies",
        "1 to 65536",
        number!(1..=65_536, usize),
        shown,
        enrich.evidence.copies_max
    ),
    key!(
        "enrich.related_seconds",
        "findings with the same container, pod, peer or added program within this many seconds are linked; 0: none are",
        "0 to 604800",
        number!(0..=604_800, u64),
        shown,
        enrich.related_seconds
    ),
    key!(
        "node.name",
        "this node's name; empty: the host name",
        "a name without control characters",
        plain,
        quoted,
        enrich.node_name
    ),
    key!(
        "node.resource_name",
        "full resource name of the cluster or host; empty: //tetherd/hosts/NAME",
        "empty, or a name that begins with //",
        resource,
        quoted,
        enrich.resource_name
    ),
    key!(
        "node.resource_display_name",
        "what people call the resource; empty: the node's name",
        "a name without control characters",
        plain,
        quoted,
        enrich.resource_display_name
    ),
    key!(
        "node.project_display_name",
        "what people call the cloud project; empty: not told",
        "a name without control characters",
        plain,
        quoted,
        enrich.project_display_name
    ),
    key!(
        "node.metadata_server",
        "cloud whose metadata server is asked once at the start: off, gce, ec2, azure",
        "one of \"off\", \"gce\", \"ec2\", \"azure\"",
        provider,
        provider_shown,
        enrich.metadata_server
    ),
    key!(
        "spool.directory",
        "where findings are stored",
        "an absolute path",
        path,
        path_shown,
        spool.directory
    ),
    key!(
        "spool.segment_bytes",
        "a segment is closed when it has grown to this size",
        "64KiB to 1GiB",
        bytes!(64 << 10..=1 << 30, u64),
        shown,
        spool.segment_bytes
    ),
    key!(
        "spool.segment_hours",
        "a segment is closed when it is this many hours old",
        "1 to 8760",
        number!(1..=8760, u64),
        shown,
        spool.segment_hours
    ),
    key!(
        "spool.max_bytes",
        "the oldest segments are dropped when all together are larger",
        "128KiB to 1TiB",
        bytes!(128 << 10..=1 << 40, u64),
        shown,
        spool.max_bytes
    ),
    key!(
        "spool.min_free_bytes",
        "the oldest segments are dropped when the filesystem has less free",
        "0 to 1TiB",
        bytes!(0..=1 << 40, u64),
        shown,
        spool.min_free_bytes
    ),
    key!(
        "spool.max_days",
        "segments whose newest record is older than this many days are dropped; 0: age drops none",
        "0 to 36500",
        number!(0..=36_500, u64),
        shown,
        spool.max_days
    ),
    key!(
        "spool.reserve_bytes",
        "room kept for the moment when there is none, at most a sixteenth of the filesystem; 0: none is",
        "0 to 1GiB",
        bytes!(0..=1 << 30, u64),
        shown,
        spool.reserve_bytes
    ),
    key!(
        "spool.heartbeat_minutes",
        "minutes between two records that say how tetherd is, so that a silent node is told from a quiet one; 0: there are none",
        "0 to 1440",
        number!(0..=1440, u64),
        shown,
        spool.heartbeat_minutes
    ),
    key!(
        "spool.checkpoints",
        "sign the chain of records now and then (docs/spool.md)",
        "true or false",
        flag,
        shown,
        spool.checkpoints
    ),
    key!(
        "spool.checkpoint_minutes",
        "most minutes from a record to the checkpoint that covers it; one is also written after 1000 records and at a stop",
        "1 to 1440",
        number!(1..=1440, u64),
        shown,
        spool.checkpoint_minutes
    ),
    key!(
        "spool.key_file",
        "the private key that checkpoints are signed with; made where it is missing",
        "an absolute path",
        path,
        path_shown,
        spool.key_file
    ),
    key!("syslog.enabled", "send findings to syslog", "true or false", flag, shown, syslog.enabled),
    key!(
        "syslog.path",
        "the syslog socket",
        "an absolute path of at most 107 bytes",
        socket,
        path_shown,
        syslog.path
    ),
    key!(
        "syslog.facility",
        "the syslog facility",
        "a facility: kern, user, mail, daemon, auth, syslog, lpr, news, uucp, cron, authpriv, ftp, ntp, audit, alert, clock_daemon, local0 to local7",
        facility,
        quoted,
        syslog.facility
    ),
    key!(
        "rules.directory",
        "where allow rules are: every *.toml in it",
        "an absolute path",
        path,
        path_shown,
        control.rules_directory
    ),
    key!(
        "control.socket",
        "the socket for `tetherd status`",
        "an absolute path of at most 107 bytes",
        socket,
        path_shown,
        control.socket
    ),
    key!(
        "control.metrics_file",
        "a file for node_exporter's textfile collector; empty: none",
        "empty, or an absolute path that ends in .prom",
        metrics,
        path_shown,
        control.metrics_file
    ),
    key!(
        "control.system_calls",
        "what becomes of system calls that tetherd has no need of: refuse (they fail and are in the kernel's log), log, off",
        "one of \"refuse\", \"log\", \"off\"",
        system_calls,
        system_calls_shown,
        control.system_calls
    ),
];
