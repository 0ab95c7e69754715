-- The incidents of the last 30 days that went on for longest. One that is ACTIVE goes on, as far as its node has said.
SELECT
    node,
    id,
    state,
    severity,
    exe,
    peer,
    peer_port,
    process_count AS commands,
    dateDiff('second', first_seen, last_seen) AS seconds
FROM tetherd.findings FINAL
WHERE day >= today() - 30
ORDER BY seconds DESC, node, id
LIMIT 50;
