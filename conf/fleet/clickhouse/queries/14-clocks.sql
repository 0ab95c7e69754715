-- Nodes whose clock cannot be believed: it went back by more than a minute between two records, or stands more than a day
-- from the collector's. The other queries go by the nodes' clocks.
SELECT
    node,
    countIf(created < before - INTERVAL 1 MINUTE) AS steps_back,
    max(if(created < before, dateDiff('second', created, before), 0)) AS seconds_back,
    countIf(abs(dateDiff('second', created, received)) > 86400) AS far_off,
    min(created) AS lowest
FROM
(
    SELECT origin, node, created, received,
        lagInFrame(created, 1, created) OVER (PARTITION BY origin, node ORDER BY sequence, line_sha256
                                              ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS before
    FROM tetherd.records FINAL
    WHERE received >= now() - INTERVAL 30 DAY
)
GROUP BY origin, node
HAVING steps_back > 0 OR far_off > 0
ORDER BY steps_back DESC, far_off DESC, node
LIMIT 100;
