-- Nodes that have fallen silent: no record of any kind for three hours, not even the heartbeat that a quiet node sends. With
-- what they had to say last: findings in the hour before, and those that still went on.
SELECT
    node,
    max(received) AS heard,
    dateDiff('minute', heard, now()) AS minutes,
    argMax(category, sequence) AS last_category,
    uniqExactIf(id, class = 'THREAT' AND created >= newest - INTERVAL 1 HOUR) AS findings_before,
    uniqExactIf(id, class = 'THREAT') - uniqExactIf(id, class = 'THREAT' AND state = 'INACTIVE') AS unfinished
FROM
(
    SELECT origin, node, received, category, class, state, id, sequence, created,
        max(created) OVER (PARTITION BY origin, node) AS newest
    FROM tetherd.records
    WHERE received >= now() - INTERVAL 30 DAY
        AND (origin, node) IN
        (
            SELECT origin, node FROM tetherd.records WHERE received >= now() - INTERVAL 30 DAY
            GROUP BY origin, node HAVING max(received) < now() - INTERVAL 3 HOUR
        )
)
GROUP BY origin, node
ORDER BY unfinished DESC, findings_before DESC, heard DESC, node
LIMIT 100;
