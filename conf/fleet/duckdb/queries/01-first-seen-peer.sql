-- Peers of the last day that no node had ever had before, as far back as the files go.
SELECT
    peer,
    count(*) AS findings,
    count(DISTINCT (origin, node)) AS nodes,
    min(first_seen) AS first,
    list_sort(list(DISTINCT exe))[:5] AS programs
FROM findings
WHERE peer != '' AND peer_scope != 'loopback'
GROUP BY peer
HAVING min(first_seen) >= now()::TIMESTAMP - INTERVAL 1 DAY
ORDER BY nodes DESC, findings DESC, peer
LIMIT 100;
