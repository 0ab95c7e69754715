-- From one node to the next: a finding whose peer is the address that an earlier finding, on another node, had itself.
SELECT
    a.node AS from_node,
    a.id AS from_id,
    b.node AS to_node,
    b.id AS to_id,
    b.peer AS address,
    date_diff('second', a.first_seen, b.first_seen) AS seconds
FROM findings AS a
JOIN findings AS b ON a.local = b.peer AND a.origin = b.origin
WHERE a.first_seen >= today() - 8
    AND b.first_seen >= today() - 7 AND b.peer_scope = 'private' AND b.direction = 'inbound'
    AND a.node != b.node AND b.first_seen BETWEEN a.first_seen AND a.first_seen + INTERVAL 1 DAY
ORDER BY seconds, from_id, to_id
LIMIT 100;
