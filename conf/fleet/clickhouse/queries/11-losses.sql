-- Nodes that may have missed something in the last week, by kind of loss (docs/sight.md), and nodes whose spool dropped
-- records to make room.
SELECT node, loss, sum(lost) AS count, uniqExact(sequence) AS records, max(created) AS newest
FROM
(
    SELECT origin, node, sequence, pair.1 AS loss, pair.2 AS lost, created
    FROM tetherd.records FINAL
    ARRAY JOIN losses::Array(Tuple(String, UInt64)) AS pair
    WHERE created >= now() - INTERVAL 7 DAY
    UNION ALL
    SELECT origin, node, sequence, 'dropped records', dropped_count, created
    FROM tetherd.records FINAL
    WHERE created >= now() - INTERVAL 7 DAY AND dropped_count > 0
)
GROUP BY origin, node, loss
ORDER BY count DESC, node, loss
LIMIT 100;
