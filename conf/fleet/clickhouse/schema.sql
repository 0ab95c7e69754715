-- tetherd in ClickHouse (25.3 or later): docs/fleet.md says why each table is as it is.
--
-- Lines of the spools go into `arrivals`, byte for byte as they stand in the spool:
--
--     clickhouse-client -q "INSERT INTO tetherd.arrivals (line) FORMAT LineAsString" < findings-000000000001.jsonl
--
-- Lines may arrive twice and in any order. On a cluster: Replicated* engines in place of these, a Distributed table over
-- `arrivals` with the sharding key cityHash64(node) (all records of a node on one shard), and ON CLUSTER on every statement.

CREATE DATABASE IF NOT EXISTS tetherd;

-- Where lines come in. Keeps nothing; the views below take each line apart and store it.
CREATE TABLE IF NOT EXISTS tetherd.arrivals
(
    line     String,
    -- Who handed the line in, as the transport has proved it (cluster, account, client certificate). A node can write
    -- any name into its records; this it cannot choose. Stamped by the collector, empty where there is one fleet only.
    origin   LowCardinality(String) DEFAULT '',
    received DateTime64(3, 'UTC') DEFAULT now64(3)
)
ENGINE = Null;

-- Every record once, with its line: what the chain is checked on.
-- Nothing here trusts the node's clock: what is kept, and for how long, goes by the time of arrival. `month` is the month
-- of the record where its clock is plausible, else 0, so that no node can make thousands of partitions.
CREATE TABLE IF NOT EXISTS tetherd.records
(
    origin          LowCardinality(String),
    node            LowCardinality(String),
    sequence        UInt64,
    line_sha256     FixedString(32),
    previous_sha256 FixedString(32),
    boot_id         LowCardinality(String),
    received        DateTime64(3, 'UTC'),
    -- The larger, the earlier: of copies the first arrival stays.
    earliest        UInt64 MATERIALIZED bitNot(toUInt64(toUnixTimestamp64Milli(received))),
    month           UInt32 MATERIALIZED if(created BETWEEN received - INTERVAL 400 DAY AND received + INTERVAL 1 DAY,
                                           toYYYYMM(created), 0),

    id              String,
    class           LowCardinality(String),
    category        LowCardinality(String),
    state           LowCardinality(String),
    severity        LowCardinality(String),
    first_seen      DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    last_seen       DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    created         DateTime64(9, 'UTC') CODEC(Delta, ZSTD),
    resource        LowCardinality(String),
    row             UInt8,
    seen            LowCardinality(String),
    tether_kind     LowCardinality(String),
    direction       LowCardinality(String),
    peer_scope      LowCardinality(String),
    protocol        LowCardinality(String),
    peer            String,
    peer_port       UInt16,
    local           String,
    local_port      UInt16,
    exe             LowCardinality(String),
    args            Array(String),
    pid             UInt32,
    sha256          LowCardinality(String),
    exe_origin      LowCardinality(String),
    user_id         UInt32,
    user_name       LowCardinality(String),
    parent_exe      LowCardinality(String),
    relay           LowCardinality(String),
    runtime         LowCardinality(String),
    container_id    String,
    container       LowCardinality(String),
    image           LowCardinality(String),
    image_id        LowCardinality(String),
    namespace       LowCardinality(String),
    pod             String,
    pod_uid         String,
    owner           LowCardinality(String),
    process_count   UInt64,
    -- What ran, in order, up to the cap.
    commands        Nested(time DateTime64(9, 'UTC'), pid UInt32, comm String, args String, seen LowCardinality(String)),
    -- Every program file among them.
    programs        Nested(path String, sha256 String),
    evidence        Array(String),
    -- Of observations.
    losses          Map(LowCardinality(String), UInt64),
    dropped_first   UInt64,
    dropped_last    UInt64,
    dropped_count   UInt64,
    -- Minutes between two heartbeats of the node, where the record tells them.
    heartbeat       UInt16,

    -- The bytes of the spool. May go earlier than the rest; then the chain cannot be calculated anew.
    line            String CODEC(ZSTD(6)) TTL toDateTime(received) + INTERVAL 90 DAY
)
ENGINE = ReplacingMergeTree(earliest)
PARTITION BY month
ORDER BY (origin, node, sequence, line_sha256)
TTL toDateTime(received) + INTERVAL 400 DAY
SETTINGS ttl_only_drop_parts = 0;

-- Takes a line apart, in one pass over its JSON.
CREATE MATERIALIZED VIEW IF NOT EXISTS tetherd.to_records TO tetherd.records AS
WITH
    JSONExtract(line, 'Tuple(
        finding Tuple(
            name String, state String, category String, severity String, findingClass String,
            eventTime String, createTime String,
            connections Array(Tuple(destinationIp String, destinationPort UInt16, sourceIp String, sourcePort UInt16)),
            processes Array(Tuple(
                name String, pid String, userId String, args Array(String),
                binary Tuple(path String, sha256 String))),
            containers Array(Tuple(name String, uri String, imageId String)),
            sourceProperties Tuple(
                Boot_Id String, Sequence String, Previous_Record_Sha256 String, VM_Instance_Name String,
                Last_Seen String, Row UInt8, Observation String, Evidence Array(String),
                Process_Count String, Process_Binary_Fullpath String, Process_Arguments Array(String),
                Process_User_Name String, Parent_Binary_Fullpath String,
                Executable_Origin Tuple(kind String),
                Tether_Kind String, Tether_Direction String, Peer_Scope String, Socket_Protocol String,
                Tether_Path Array(Tuple(pid UInt32, comm String)),
                Timeline Array(Tuple(time String, pid UInt32, comm String, args String, seen String)),
                Container_Runtime String, Container_Id String, Container_Name String, Container_Image_Uri String,
                Pod_Namespace String, Pod_Name String, Pod_UID String, Pod_Owner Tuple(kind String, name String),
                Losses Map(String, UInt64),
                First_Sequence String, Last_Sequence String, Dropped_Count String, Heartbeat_Minutes UInt16)),
        resource Tuple(name String))') AS r,
    r.finding AS f,
    f.sourceProperties AS p,
    -- The main process: the one that the tether begins at.
    p.Tether_Path[1].pid AS main_pid,
    arrayLast(x -> x.pid = toString(main_pid) AND x.binary.path = p.Process_Binary_Fullpath, f.processes) AS main,
    arrayDistinct(arrayMap(x -> (x.binary.path, x.binary.sha256), arrayFilter(x -> x.binary.sha256 != '', f.processes)))
        AS files
SELECT
    origin,
    if(p.VM_Instance_Name != '', p.VM_Instance_Name, r.resource.name) AS node,
    toUInt64OrZero(p.Sequence) AS sequence,
    SHA256(line) AS line_sha256,
    toFixedString(unhex(if(match(p.Previous_Record_Sha256, '^[0-9a-f]{64}$'), p.Previous_Record_Sha256, '')), 32)
        AS previous_sha256,
    p.Boot_Id AS boot_id,
    received,
    substringIndex(f.name, '/', -1) AS id,
    f.findingClass AS class,
    f.category AS category,
    f.state AS state,
    f.severity AS severity,
    parseDateTime64BestEffortOrZero(f.eventTime, 9, 'UTC') AS first_seen,
    parseDateTime64BestEffortOrZero(if(p.Last_Seen != '', p.Last_Seen, f.eventTime), 9, 'UTC') AS last_seen,
    parseDateTime64BestEffortOrZero(f.createTime, 9, 'UTC') AS created,
    r.resource.name AS resource,
    p.Row AS row,
    p.Observation AS seen,
    p.Tether_Kind AS tether_kind,
    p.Tether_Direction AS direction,
    p.Peer_Scope AS peer_scope,
    p.Socket_Protocol AS protocol,
    f.connections[1].destinationIp AS peer,
    f.connections[1].destinationPort AS peer_port,
    f.connections[1].sourceIp AS local,
    f.connections[1].sourcePort AS local_port,
    p.Process_Binary_Fullpath AS exe,
    p.Process_Arguments AS args,
    main_pid AS pid,
    main.binary.sha256 AS sha256,
    p.Executable_Origin.kind AS exe_origin,
    toUInt32OrZero(main.userId) AS user_id,
    p.Process_User_Name AS user_name,
    p.Parent_Binary_Fullpath AS parent_exe,
    if(p.Tether_Kind = 'relayed', p.Tether_Path[-1].comm, '') AS relay,
    p.Container_Runtime AS runtime,
    p.Container_Id AS container_id,
    p.Container_Name AS container,
    p.Container_Image_Uri AS image,
    f.containers[1].imageId AS image_id,
    p.Pod_Namespace AS namespace,
    p.Pod_Name AS pod,
    p.Pod_UID AS pod_uid,
    if(p.Pod_Owner.name != '', concat(p.Pod_Owner.kind, '/', p.Pod_Owner.name), '') AS owner,
    toUInt64OrZero(p.Process_Count) AS process_count,
    arrayMap(x -> parseDateTime64BestEffortOrZero(x.time, 9, 'UTC'), p.Timeline) AS `commands.time`,
    p.Timeline.pid AS `commands.pid`,
    p.Timeline.comm AS `commands.comm`,
    p.Timeline.args AS `commands.args`,
    p.Timeline.seen AS `commands.seen`,
    files.1 AS `programs.path`,
    files.2 AS `programs.sha256`,
    p.Evidence AS evidence,
    p.Losses AS losses,
    toUInt64OrZero(p.First_Sequence) AS dropped_first,
    toUInt64OrZero(p.Last_Sequence) AS dropped_last,
    toUInt64OrZero(p.Dropped_Count) AS dropped_count,
    p.Heartbeat_Minutes AS heartbeat,
    line
FROM tetherd.arrivals
WHERE isValidJSON(line) AND sequence > 0;

-- What is no record of a spool: torn lines, lines of something else. Never thrown away unseen.
CREATE TABLE IF NOT EXISTS tetherd.rejects
(
    received DateTime64(3, 'UTC'),
    origin   LowCardinality(String),
    line     String CODEC(ZSTD(6))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(received)
ORDER BY (origin, received)
TTL toDateTime(received) + INTERVAL 90 DAY;

CREATE MATERIALIZED VIEW IF NOT EXISTS tetherd.to_rejects TO tetherd.rejects AS
SELECT received, origin, line
FROM tetherd.arrivals
WHERE NOT isValidJSON(line)
    OR toUInt64OrZero(JSONExtractString(line, 'finding', 'sourceProperties', 'Sequence')) = 0;

-- The newest record of each finding. `day` never changes for one finding: it is the day of its first command.
-- Read it with FINAL.
CREATE TABLE IF NOT EXISTS tetherd.findings
ENGINE = ReplacingMergeTree(sequence)
ORDER BY (day, origin, node, id)
TTL toDateTime(received) + INTERVAL 400 DAY
EMPTY AS
SELECT toDate(first_seen) AS day, * EXCEPT (line, line_sha256, previous_sha256, class, category, created,
                                            losses, dropped_first, dropped_last, dropped_count, heartbeat)
FROM tetherd.records;

CREATE MATERIALIZED VIEW IF NOT EXISTS tetherd.to_findings TO tetherd.findings AS
SELECT toDate(first_seen) AS day, * EXCEPT (line, line_sha256, previous_sha256, class, category, created,
                                            losses, dropped_first, dropped_last, dropped_count, heartbeat)
FROM tetherd.records
WHERE class = 'THREAT';

-- When each value was seen first and last, and on how many nodes: outlives the findings, and answers "never before"
-- without reading them. Its functions do not mind copies and order.
CREATE TABLE IF NOT EXISTS tetherd.sightings
(
    kind  LowCardinality(String),
    value String,
    first SimpleAggregateFunction(min, DateTime64(9, 'UTC')),
    last  SimpleAggregateFunction(max, DateTime64(9, 'UTC')),
    nodes AggregateFunction(uniq, String, String)
)
ENGINE = AggregatingMergeTree
ORDER BY (kind, value);

CREATE MATERIALIZED VIEW IF NOT EXISTS tetherd.to_sightings TO tetherd.sightings AS
SELECT
    sighting.1 AS kind,
    sighting.2 AS value,
    min(first_seen) AS first,
    max(last_seen) AS last,
    uniqState(toString(origin), toString(node)) AS nodes
FROM tetherd.records
ARRAY JOIN arrayDistinct(arrayConcat(
    [('peer', if(peer_scope = 'loopback', '', peer)), ('image', toString(image_id))],
    arrayMap(x -> ('program', x), `programs.sha256`))) AS sighting
WHERE class = 'THREAT' AND sighting.2 != ''
GROUP BY kind, value;
