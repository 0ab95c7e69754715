-- Programs that are neither from an image nor from a host's own files, on more than one node: the same tool, brought along.
SELECT
    sha256,
    count(DISTINCT (origin, node)) AS nodes,
    count(*) AS findings,
    list_sort(list(DISTINCT exe))[:5] AS paths,
    min(first_seen) AS first,
    max(last_seen) AS last
FROM findings
WHERE first_seen >= today() - 30
    AND sha256 != ''
    AND exe_origin NOT IN ('image', 'host')
GROUP BY sha256
HAVING nodes > 1
ORDER BY nodes DESC, findings DESC, sha256
LIMIT 100;
