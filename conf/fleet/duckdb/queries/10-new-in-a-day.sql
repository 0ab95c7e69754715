-- What findings of the last day have that those of the 30 days before had not: programs by digest, images, namespaces,
-- commands.
WITH
    bounds AS (SELECT now()::TIMESTAMP - INTERVAL 1 DAY AS since),
    pairs AS
    (
        SELECT origin, node, first_seen, since, unnest(list_distinct(list_concat(
            [{'kind': 'image', 'value': image_id}, {'kind': 'namespace', 'value': namespace}],
            list_transform(programs, lambda x: {'kind': 'program', 'value': x.sha256}),
            list_transform(commands, lambda x: {'kind': 'command', 'value': x.comm})))) AS pair
        FROM findings, bounds
        WHERE first_seen >= since - INTERVAL 30 DAY
    )
SELECT
    pair.kind AS kind,
    pair.value AS value,
    count(*) FILTER (first_seen >= since) AS findings,
    count(DISTINCT (origin, node)) FILTER (first_seen >= since) AS nodes
FROM pairs
WHERE pair.value != ''
GROUP BY kind, value
HAVING count(*) FILTER (first_seen < since) = 0
ORDER BY nodes DESC, findings DESC, kind, value
LIMIT 100;
