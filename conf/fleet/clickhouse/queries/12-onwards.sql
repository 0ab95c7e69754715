-- From one node to the next: a finding whose peer is the address that an earlier finding, on another node, had itself.
SELECT
    a.node AS from_node,
    a.id AS from_id,
    b.node AS to_node,
    b.id AS to_id,
    b.peer AS address,
    dateDiff('second', a.first_seen, b.first_seen) AS seconds
FROM (SELECT * FROM tetherd.findings FINAL WHERE day >= today() - 8) AS a
INNER JOIN
(
    SELECT * FROM tetherd.findings FINAL
    WHERE day >= today() - 7 AND peer_scope = 'private' AND direction = 'inbound'
) AS b ON a.local = b.peer AND a.origin = b.origin
WHERE a.node != b.node AND b.first_seen BETWEEN a.first_seen AND a.first_seen + INTERVAL 1 DAY
ORDER BY seconds, from_id, to_id
LIMIT 100;
