-- Nodes that have fallen silent: no record of any kind for three of their own heartbeats' periods (an hour where none was ever
-- told). With what they had to say last: findings in the hour before, and those that still went on. A last_category of
-- 'Tetherd: Stopped' is a daemon that was stopped in order.
SELECT
    node,
    max(received) AS heard,
    dateDiff('minute', heard, now()) AS minutes,
    argMaxIf(category, sequence, category != 'Tetherd: Checkpoint') AS last_category,
    uniqExactIf(id, class = 'THREAT' AND created >= newest - INTERVAL 1 HOUR) AS findings_before,
    uniqExactIf(id, class = 'THREAT') - uniqExactIf(id, class = 'THREAT' AND state = 'INACTIVE') AS unfinished,
    any(period) AS heartbeat_minutes
FROM
(
    SELECT origin, node, received, category, class, state, id, sequence, created,
        max(created) OVER (PARTITION BY origin, node) AS newest, period
    FROM tetherd.records
    INNER JOIN
    (
        SELECT origin, node, argMaxIf(heartbeat, sequence, heartbeat > 0) AS told, if(told > 0, told, 60) AS period
        FROM tetherd.records WHERE received >= now() - INTERVAL 30 DAY
        GROUP BY origin, node HAVING max(received) < now() - toIntervalMinute(3 * period)
    ) AS silent USING (origin, node)
    WHERE received >= now() - INTERVAL 30 DAY
)
GROUP BY origin, node
ORDER BY unfinished DESC, findings_before DESC, heard DESC, node
LIMIT 100;
