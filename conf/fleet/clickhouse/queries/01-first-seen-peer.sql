-- Peers of the last day that no node had ever had before.
-- "Ever" is what `sightings` remembers, which outlives the findings.
WITH now() - INTERVAL 1 DAY AS since
SELECT
    peer,
    count() AS findings,
    uniqExact(origin, node) AS nodes,
    min(first_seen) AS first,
    arraySort(groupUniqArray(5)(exe)) AS programs
FROM tetherd.findings FINAL
WHERE day >= toDate(since)
    AND first_seen >= since
    AND peer IN (SELECT value FROM tetherd.sightings WHERE kind = 'peer' GROUP BY value HAVING min(first) >= since)
GROUP BY peer
ORDER BY nodes DESC, findings DESC, peer
LIMIT 100;
