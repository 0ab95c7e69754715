-- What was run after the entry, by its place in the order: 1 is the first command after the shell. The five most frequent
-- of each place, of the last 30 days.
WITH ran AS
(
    SELECT origin, node, unnest(list_transform(commands[2:9], lambda x, i: {'place': i, 'command': x.comm})) AS step
    FROM findings
    WHERE first_seen >= today() - 30
)
SELECT
    step.place AS place,
    step.command AS command,
    count(*) AS findings,
    count(DISTINCT (origin, node)) AS nodes
FROM ran
GROUP BY step.place, step.command
QUALIFY row_number() OVER (PARTITION BY place ORDER BY findings DESC, command) <= 5
ORDER BY place, findings DESC, command;
