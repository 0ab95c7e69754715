-- What is missing or changed on the way here, by the numbers and the chain of hashes:
--   gap      numbers are missing, and the chain says that records had them
--   changed  two records follow each other, and the later one names another line than the one that is here
--   fork     one number, two different records: a spool begun anew or put back to an older state, or two machines of one name
--   orphan   a record that names no line before it, where there were some: the segments were removed by hand
-- A gap whose numbers a record of dropped findings names is `announced`: the node made room before they were sent. Numbers
-- that a crash left unused are no gap: the chain goes on over them.
WITH
    ordered AS
    (
        SELECT origin, node, sequence, previous_sha256, boot_id, created,
            lagInFrame(sequence, 1, 0) OVER spool AS before,
            lagInFrame(line_sha256) OVER spool AS before_sha256,
            min(sequence) OVER (PARTITION BY origin, node) AS lowest
        FROM tetherd.records FINAL
        WHERE received >= now() - INTERVAL 30 DAY
        WINDOW spool AS (PARTITION BY origin, node ORDER BY sequence, line_sha256
                         ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
    ),
    suspects AS
    (
        SELECT * FROM ordered
        WHERE before > 0 AND (previous_sha256 != before_sha256 OR before = sequence)
            OR previous_sha256 = toFixedString('', 32) AND sequence > lowest
    ),
    -- With two spools of one node mixed up, the line before may be here all the same.
    known AS
    (
        SELECT origin, node, line_sha256 FROM tetherd.records
        WHERE (origin, node) IN (SELECT origin, node FROM suspects)
    ),
    breaks AS
    (
        SELECT *,
            multiIf(before = sequence, 'fork',
                    previous_sha256 = toFixedString('', 32), 'orphan',
                    sequence = before + 1, 'changed',
                    'gap') AS what
        FROM suspects
        WHERE before = sequence OR (origin, node, previous_sha256) NOT IN (SELECT origin, node, line_sha256 FROM known)
    ),
    drops AS
    (
        SELECT origin, node, dropped_first, dropped_last FROM tetherd.records
        WHERE dropped_last > 0 AND (origin, node) IN (SELECT origin, node FROM breaks)
    )
SELECT
    b.node AS node,
    b.what AS what,
    b.sequence AS sequence,
    if(b.what = 'gap', b.sequence - b.before - 1, 0) AS missing,
    countIf(b.what = 'gap' AND d.dropped_first <= b.before + 1 AND d.dropped_last >= b.sequence - 1) > 0 AS announced,
    b.created AS created
FROM breaks AS b
LEFT JOIN drops AS d ON b.origin = d.origin AND b.node = d.node
GROUP BY b.origin, b.node, b.what, b.sequence, b.before, b.created
ORDER BY announced, missing DESC, node, sequence
LIMIT 100;
