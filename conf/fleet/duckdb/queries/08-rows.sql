-- Findings of the last 30 days by the row of the table of findings (README), the tether, and severity.
SELECT
    row,
    tether_kind,
    direction,
    severity,
    count(*) AS findings,
    count(DISTINCT (origin, node)) AS nodes,
    sum(process_count)::UBIGINT AS commands
FROM findings
WHERE first_seen >= today() - 30
GROUP BY ALL
ORDER BY row, tether_kind, direction, severity;
