-- tetherd's spools in DuckDB (1.3 or later), straight from the files: nothing is loaded, nothing is changed.
--
--     duckdb -cmd "SET VARIABLE spool = '/var/lib/tetherd/spool/findings-*.jsonl'" -init views.sql
--
-- `spool` is a path with wildcards, or a list of them: one spool, or a folder of spools, one folder a node
-- ('/srv/spools/*/findings-*.jsonl'). Files may be compressed (.jsonl.gz, .jsonl.zst). The names of the columns are those
-- of the ClickHouse tables; docs/fleet.md says what each holds. `keep.sql` loads everything once, for many questions.

SET TimeZone = 'UTC';

-- Every line, whole; what is no JSON (a torn line, bytes that are no UTF-8) is NULL.
CREATE OR REPLACE TEMP VIEW lines AS
SELECT filename AS file, CAST(json AS VARCHAR) AS line
FROM read_ndjson_objects(getvariable('spool'), ignore_errors = true, filename = true);

-- Each line, taken apart in one pass over its JSON.
CREATE OR REPLACE TEMP VIEW parts AS
SELECT
    file,
    line,
    from_json(line, '{
        "finding": {
            "name": "VARCHAR", "state": "VARCHAR", "category": "VARCHAR", "severity": "VARCHAR",
            "findingClass": "VARCHAR", "eventTime": "VARCHAR", "createTime": "VARCHAR",
            "connections": [{"destinationIp": "VARCHAR", "destinationPort": "USMALLINT",
                             "sourceIp": "VARCHAR", "sourcePort": "USMALLINT"}],
            "processes": [{"pid": "VARCHAR", "userId": "VARCHAR", "binary": {"path": "VARCHAR", "sha256": "VARCHAR"}}],
            "containers": [{"imageId": "VARCHAR"}],
            "sourceProperties": {
                "Boot_Id": "VARCHAR", "Sequence": "VARCHAR", "Previous_Record_Sha256": "VARCHAR",
                "VM_Instance_Name": "VARCHAR", "Last_Seen": "VARCHAR", "Row": "UTINYINT", "Observation": "VARCHAR",
                "Evidence": ["VARCHAR"], "Process_Count": "VARCHAR", "Process_Binary_Fullpath": "VARCHAR",
                "Process_Arguments": ["VARCHAR"], "Process_User_Name": "VARCHAR",
                "Parent_Binary_Fullpath": "VARCHAR", "Executable_Origin": {"kind": "VARCHAR"},
                "Tether_Kind": "VARCHAR", "Tether_Direction": "VARCHAR", "Peer_Scope": "VARCHAR",
                "Socket_Protocol": "VARCHAR", "Tether_Path": [{"pid": "UINTEGER", "comm": "VARCHAR"}],
                "Timeline": [{"time": "VARCHAR", "pid": "UINTEGER", "comm": "VARCHAR", "args": "VARCHAR",
                              "seen": "VARCHAR"}],
                "Container_Runtime": "VARCHAR", "Container_Id": "VARCHAR", "Container_Name": "VARCHAR",
                "Container_Image_Uri": "VARCHAR", "Pod_Namespace": "VARCHAR", "Pod_Name": "VARCHAR",
                "Pod_UID": "VARCHAR", "Pod_Owner": {"kind": "VARCHAR", "name": "VARCHAR"}, "Losses": "JSON",
                "First_Sequence": "VARCHAR", "Last_Sequence": "VARCHAR", "Dropped_Count": "VARCHAR",
                "Heartbeat_Minutes": "USMALLINT"}},
        "resource": {"name": "VARCHAR"}}') AS r
FROM lines;

-- What is no record of a spool, by file: torn lines (`line` is NULL), lines of something else.
CREATE OR REPLACE TEMP VIEW rejects AS
SELECT file, line FROM parts WHERE coalesce(TRY_CAST(r.finding.sourceProperties.Sequence AS UBIGINT), 0) = 0;

-- Every record, as often as it is in the files.
CREATE OR REPLACE TEMP VIEW arrived AS
WITH taken AS
(
    SELECT line, r, r.finding AS f, r.finding.sourceProperties AS p
    FROM parts
    WHERE coalesce(TRY_CAST(r.finding.sourceProperties.Sequence AS UBIGINT), 0) > 0
),
-- The main process: the one that the tether begins at.
named AS
(
    SELECT *,
        list_filter(f.processes, lambda x: x.pid = CAST(p.Tether_Path[1].pid AS VARCHAR)
                                           AND x.binary.path = p.Process_Binary_Fullpath)[-1] AS subject
    FROM taken
)
SELECT
    '' AS origin,
    coalesce(nullif(p.VM_Instance_Name, ''), r.resource.name, '') AS node,
    CAST(p.Sequence AS UBIGINT) AS sequence,
    sha256(line) AS line_sha256,
    coalesce(p.Previous_Record_Sha256, '') AS previous_sha256,
    coalesce(p.Boot_Id, '') AS boot_id,
    regexp_extract(f.name, '[^/]*$') AS id,
    f.findingClass AS class,
    f.category AS category,
    f.state AS state,
    coalesce(f.severity, '') AS severity,
    TRY_CAST(left(f.eventTime, 26) AS TIMESTAMP) AS first_seen,
    TRY_CAST(left(coalesce(p.Last_Seen, f.eventTime), 26) AS TIMESTAMP) AS last_seen,
    TRY_CAST(left(f.createTime, 26) AS TIMESTAMP) AS created,
    coalesce(r.resource.name, '') AS resource,
    coalesce(p."Row", 0) AS row,
    coalesce(p.Observation, '') AS seen,
    coalesce(p.Tether_Kind, '') AS tether_kind,
    coalesce(p.Tether_Direction, '') AS direction,
    coalesce(p.Peer_Scope, '') AS peer_scope,
    coalesce(p.Socket_Protocol, '') AS protocol,
    coalesce(f.connections[1].destinationIp, '') AS peer,
    coalesce(f.connections[1].destinationPort, 0) AS peer_port,
    coalesce(f.connections[1].sourceIp, '') AS local,
    coalesce(f.connections[1].sourcePort, 0) AS local_port,
    coalesce(p.Process_Binary_Fullpath, '') AS exe,
    coalesce(p.Process_Arguments, []) AS args,
    coalesce(p.Tether_Path[1].pid, 0) AS pid,
    coalesce(subject.binary.sha256, '') AS sha256,
    coalesce(p.Executable_Origin.kind, '') AS exe_origin,
    coalesce(TRY_CAST(subject.userId AS UINTEGER), 0) AS user_id,
    coalesce(p.Process_User_Name, '') AS user_name,
    coalesce(p.Parent_Binary_Fullpath, '') AS parent_exe,
    CASE WHEN p.Tether_Kind = 'relayed' THEN coalesce(p.Tether_Path[-1].comm, '') ELSE '' END AS relay,
    coalesce(p.Container_Runtime, '') AS runtime,
    coalesce(p.Container_Id, '') AS container_id,
    coalesce(p.Container_Name, '') AS container,
    coalesce(p.Container_Image_Uri, '') AS image,
    coalesce(f.containers[1].imageId, '') AS image_id,
    coalesce(p.Pod_Namespace, '') AS namespace,
    coalesce(p.Pod_Name, '') AS pod,
    coalesce(p.Pod_UID, '') AS pod_uid,
    coalesce(p.Pod_Owner.kind || '/' || p.Pod_Owner.name, '') AS owner,
    coalesce(TRY_CAST(p.Process_Count AS UBIGINT), 0) AS process_count,
    list_transform(coalesce(p.Timeline, []), lambda x: {
        'time': TRY_CAST(left(x.time, 26) AS TIMESTAMP), 'pid': x.pid, 'comm': x.comm, 'args': x.args, 'seen': x.seen
    }) AS commands,
    list_distinct(list_transform(
        list_filter(coalesce(f.processes, []), lambda x: x.binary.sha256 IS NOT NULL),
        lambda x: {'path': x.binary.path, 'sha256': x.binary.sha256})) AS programs,
    coalesce(p.Evidence, []) AS evidence,
    CAST(coalesce(p.Losses, '{}') AS MAP(VARCHAR, UBIGINT)) AS losses,
    coalesce(TRY_CAST(p.First_Sequence AS UBIGINT), 0) AS dropped_first,
    coalesce(TRY_CAST(p.Last_Sequence AS UBIGINT), 0) AS dropped_last,
    coalesce(TRY_CAST(p.Dropped_Count AS UBIGINT), 0) AS dropped_count,
    coalesce(p.Heartbeat_Minutes, 0) AS heartbeat,
    line
FROM named;

-- Every record once.
CREATE OR REPLACE TEMP VIEW records AS
SELECT DISTINCT ON (origin, node, sequence, line_sha256) * FROM arrived;

-- The newest record of each finding.
CREATE OR REPLACE TEMP VIEW findings AS
SELECT * EXCLUDE (line, line_sha256, previous_sha256, class, category, created, losses, dropped_first, dropped_last,
                  dropped_count, heartbeat)
FROM arrived
WHERE class = 'THREAT'
QUALIFY row_number() OVER (PARTITION BY origin, node, id ORDER BY sequence DESC) = 1;
