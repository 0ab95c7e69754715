-- Nodes whose clock cannot be believed: it went back by more than a minute between two records, or is more than a day
-- ahead of this machine's. The other queries go by the nodes' clocks.
SELECT
    node,
    count(*) FILTER (created < before - INTERVAL 1 MINUTE) AS steps_back,
    max(CASE WHEN created < before THEN date_diff('second', created, before) ELSE 0 END) AS seconds_back,
    count(*) FILTER (created > now()::TIMESTAMP + INTERVAL 1 DAY) AS far_off,
    min(created) AS lowest
FROM
(
    SELECT origin, node, created,
        lag(created, 1, created) OVER (PARTITION BY origin, node ORDER BY sequence, line_sha256) AS before
    FROM records
)
GROUP BY origin, node
HAVING steps_back > 0 OR far_off > 0
ORDER BY steps_back DESC, far_off DESC, node
LIMIT 100;
