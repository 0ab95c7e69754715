-- Findings of the last 30 days by the row of the table of findings (README), the tether, and severity.
SELECT
    row,
    tether_kind,
    direction,
    severity,
    count() AS findings,
    uniqExact(origin, node) AS nodes,
    sum(process_count) AS commands
FROM tetherd.findings FINAL
WHERE day >= today() - 30
GROUP BY row, tether_kind, direction, severity
ORDER BY row, tether_kind, direction, severity;
