-- What findings of the last day have that those of the 30 days before had not: programs by digest, images, namespaces,
-- commands.
WITH
    now() - INTERVAL 1 DAY AS since,
    since - INTERVAL 30 DAY AS before
SELECT
    pair.1 AS kind,
    pair.2 AS value,
    countIf(first_seen >= since) AS findings,
    uniqExactIf((origin, node), first_seen >= since) AS nodes
FROM tetherd.findings FINAL
ARRAY JOIN arrayDistinct(arrayConcat(
    [('image', toString(image_id)), ('namespace', toString(namespace))],
    arrayMap(x -> ('program', x), programs.sha256),
    arrayMap(x -> ('command', x), commands.comm))) AS pair
WHERE day >= toDate(before) AND first_seen >= before AND value != ''
GROUP BY kind, value
HAVING countIf(first_seen < since) = 0
ORDER BY nodes DESC, findings DESC, kind, value
LIMIT 100;
