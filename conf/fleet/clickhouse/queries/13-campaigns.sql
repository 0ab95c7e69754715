-- One peer, many nodes: peers that three nodes or more had within the same hour, in the last 30 days.
SELECT
    peer,
    toStartOfHour(first_seen) AS hour,
    uniqExact(origin, node) AS nodes,
    count() AS findings,
    arraySort(groupUniqArray(5)(namespace)) AS namespaces
FROM tetherd.findings FINAL
WHERE day >= today() - 30 AND peer != '' AND peer_scope != 'loopback'
GROUP BY peer, hour
HAVING nodes >= 3
ORDER BY nodes DESC, findings DESC, peer, hour
LIMIT 100;
