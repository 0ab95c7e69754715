-- Nodes that have fallen silent: no record of any kind for three hours, not even the heartbeat that a quiet node sends. With
-- what they had to say last: findings in the hour before, and those that still went on.
WITH
    silent AS
    (
        SELECT origin, node, max(created) AS heard FROM records
        GROUP BY origin, node
        HAVING heard < now()::TIMESTAMP - INTERVAL 3 HOUR AND heard >= now()::TIMESTAMP - INTERVAL 30 DAY
    )
SELECT
    node,
    heard,
    date_diff('minute', heard, now()::TIMESTAMP) AS minutes,
    arg_max(category, sequence) AS last_category,
    count(DISTINCT id) FILTER (class = 'THREAT' AND created >= heard - INTERVAL 1 HOUR) AS findings_before,
    count(DISTINCT id) FILTER (class = 'THREAT')
        - count(DISTINCT id) FILTER (class = 'THREAT' AND state = 'INACTIVE') AS unfinished
FROM records
JOIN silent USING (origin, node)
GROUP BY origin, node, heard
ORDER BY unfinished DESC, findings_before DESC, heard DESC, node
LIMIT 100;
