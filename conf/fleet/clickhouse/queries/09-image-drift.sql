-- Containers that are not what their image says. 'program': the main program was added to the container or changed in it.
-- 'digest': one image name stands for several digests in the fleet (a moved tag, or a node that pulled something else).
SELECT kind, image, what, uniqExact(origin, node) AS nodes, count() AS findings
FROM
(
    SELECT 'program' AS kind, image, concat(exe_origin, ' ', exe, ' ', sha256) AS what, origin, node
    FROM tetherd.findings FINAL
    WHERE day >= today() - 30 AND image != '' AND exe_origin IN ('added', 'changed')
    UNION ALL
    SELECT 'digest' AS kind, image, image_id AS what, origin, node
    FROM tetherd.findings FINAL
    WHERE day >= today() - 30
        AND image_id != ''
        AND image IN
        (
            SELECT image
            FROM tetherd.findings FINAL
            WHERE day >= today() - 30 AND image_id != ''
            GROUP BY image
            HAVING uniqExact(image_id) > 1
        )
)
GROUP BY kind, image, what
ORDER BY kind DESC, findings DESC, image, what
LIMIT 100;
