-- Nodes that have fallen silent: no record of any kind for three of their own heartbeats' periods (an hour where none was ever
-- told). With what they had to say last: findings in the hour before, and those that still went on. A last_category of
-- 'Tetherd: Stopped' is a daemon that was stopped in order.
WITH
    nodes AS
    (
        SELECT origin, node, max(created) AS heard,
            coalesce(arg_max(heartbeat, sequence) FILTER (heartbeat > 0), 60)::INTEGER AS period
        FROM records
        GROUP BY origin, node
    ),
    silent AS
    (
        FROM nodes
        WHERE heard < now()::TIMESTAMP - to_minutes(3 * period) AND heard >= now()::TIMESTAMP - INTERVAL 30 DAY
    )
SELECT
    node,
    heard,
    date_diff('minute', heard, now()::TIMESTAMP) AS minutes,
    arg_max(category, sequence) FILTER (category != 'Tetherd: Checkpoint') AS last_category,
    count(DISTINCT id) FILTER (class = 'THREAT' AND created >= heard - INTERVAL 1 HOUR) AS findings_before,
    count(DISTINCT id) FILTER (class = 'THREAT')
        - count(DISTINCT id) FILTER (class = 'THREAT' AND state = 'INACTIVE') AS unfinished,
    period AS heartbeat_minutes
FROM records
JOIN silent USING (origin, node)
GROUP BY origin, node, heard, period
ORDER BY unfinished DESC, findings_before DESC, heard DESC, node
LIMIT 100;
