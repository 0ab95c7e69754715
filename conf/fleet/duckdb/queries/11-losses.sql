-- Nodes that may have missed something in the last week, by kind of loss (docs/sight.md), and nodes whose spool dropped
-- records to make room.
WITH recent AS (FROM records WHERE class = 'OBSERVATION' AND created >= now()::TIMESTAMP - INTERVAL 7 DAY)
SELECT node, loss, sum(lost)::UBIGINT AS count, count(DISTINCT sequence) AS records, max(created) AS newest
FROM
(
    SELECT origin, node, sequence, entry.key AS loss, entry.value AS lost, created
    FROM (SELECT origin, node, sequence, created, unnest(map_entries(losses)) AS entry FROM recent)
    UNION ALL
    SELECT origin, node, sequence, 'dropped records', dropped_count, created FROM recent WHERE dropped_count > 0
)
GROUP BY origin, node, loss
ORDER BY count DESC, node, loss
LIMIT 100;
