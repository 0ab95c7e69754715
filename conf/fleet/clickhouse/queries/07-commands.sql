-- What was run after the entry, by its place in the order: 1 is the first command after the shell. The five most frequent
-- of each place, of the last 30 days.
SELECT
    place,
    command,
    count() AS findings,
    uniqExact(origin, node) AS nodes
FROM tetherd.findings FINAL
ARRAY JOIN
    arraySlice(commands.comm, 2, 8) AS command,
    arrayEnumerate(arraySlice(commands.comm, 2, 8)) AS place
WHERE day >= today() - 30
GROUP BY place, command
ORDER BY place, findings DESC, command
LIMIT 5 BY place;
