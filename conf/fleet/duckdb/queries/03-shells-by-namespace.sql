-- Shells of the last week by the namespace that they ran in; findings on the host itself are under '(host)'.
SELECT
    CASE WHEN namespace != '' THEN namespace WHEN container_id != '' THEN '(container)' ELSE '(host)' END AS place,
    count(*) AS findings,
    count(*) FILTER (severity = 'CRITICAL') AS critical,
    count(DISTINCT (origin, node)) AS nodes,
    count(DISTINCT nullif(pod_uid, '')) AS pods,
    max(first_seen) AS newest
FROM findings
WHERE first_seen >= today() - 7
    AND regexp_matches(exe, '/((ba|da|z|k|mk|c|tc|fi|ya|po)?sh|busybox)[-0-9.]*$')
GROUP BY place
ORDER BY critical DESC, findings DESC, place
LIMIT 100;
