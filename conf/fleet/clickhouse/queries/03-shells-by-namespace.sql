-- Shells of the last week by the namespace that they ran in; findings on the host itself are under '(host)'.
SELECT
    multiIf(namespace != '', namespace, container_id != '', '(container)', '(host)') AS place,
    count() AS findings,
    countIf(severity = 'CRITICAL') AS critical,
    uniqExact(origin, node) AS nodes,
    uniqExactIf(pod_uid, pod_uid != '') AS pods,
    max(first_seen) AS newest
FROM tetherd.findings FINAL
WHERE day >= today() - 7
    AND match(exe, '/((ba|da|z|k|mk|c|tc|fi|ya|po)?sh|busybox)[-0-9.]*$')
GROUP BY place
ORDER BY critical DESC, findings DESC, place
LIMIT 100;
