-- What is missing or changed, by the numbers and the chain of hashes:
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
            lag(sequence, 1, 0) OVER spool AS before,
            lag(line_sha256, 1, '') OVER spool AS before_sha256,
            min(sequence) OVER (PARTITION BY origin, node) AS lowest
        FROM records
        WINDOW spool AS (PARTITION BY origin, node ORDER BY sequence, line_sha256)
    ),
    suspects AS
    (
        SELECT * FROM ordered
        WHERE before > 0 AND (previous_sha256 != before_sha256 OR before = sequence)
            OR previous_sha256 = repeat('0', 64) AND sequence > lowest
    ),
    -- With two spools of one node mixed up, the line before may be here all the same.
    breaks AS
    (
        SELECT *,
            CASE WHEN before = sequence THEN 'fork'
                 WHEN previous_sha256 = repeat('0', 64) THEN 'orphan'
                 WHEN sequence = before + 1 THEN 'changed'
                 ELSE 'gap' END AS what
        FROM suspects
        WHERE before = sequence OR NOT EXISTS (
            FROM records
            WHERE records.origin = suspects.origin AND records.node = suspects.node
                AND records.line_sha256 = suspects.previous_sha256)
    )
SELECT
    node,
    what,
    sequence,
    CASE WHEN what = 'gap' THEN sequence - before - 1 ELSE 0 END AS missing,
    what = 'gap' AND EXISTS (
        FROM records
        WHERE records.origin = breaks.origin AND records.node = breaks.node
            AND dropped_first <= breaks.before + 1 AND dropped_last >= breaks.sequence - 1) AS announced,
    created
FROM breaks
ORDER BY announced, missing DESC, node, sequence
LIMIT 100;
