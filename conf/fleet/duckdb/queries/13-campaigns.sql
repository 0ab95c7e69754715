-- One peer, many nodes: peers that three nodes or more had within the same hour, in the last 30 days.
SELECT
    peer,
    date_trunc('hour', first_seen) AS hour,
    count(DISTINCT (origin, node)) AS nodes,
    count(*) AS findings,
    list_sort(list(DISTINCT namespace))[:5] AS namespaces
FROM findings
WHERE first_seen >= today() - 30 AND peer != '' AND peer_scope != 'loopback'
GROUP BY peer, hour
HAVING nodes >= 3
ORDER BY nodes DESC, findings DESC, peer, hour
LIMIT 100;
