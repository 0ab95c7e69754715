-- Containers that are not what their image says. 'program': the main program was added to the container or changed in it.
-- 'digest': one image name stands for several digests (a moved tag, or a node that pulled something else).
WITH recent AS (FROM findings WHERE first_seen >= today() - 30 AND image != '')
SELECT kind, image, what, count(DISTINCT (origin, node)) AS nodes, count(*) AS findings
FROM
(
    SELECT 'program' AS kind, image, exe_origin || ' ' || exe || ' ' || sha256 AS what, origin, node
    FROM recent
    WHERE exe_origin IN ('added', 'changed')
    UNION ALL
    SELECT 'digest', image, image_id, origin, node
    FROM recent
    WHERE image_id != ''
        AND image IN (SELECT image FROM recent WHERE image_id != '' GROUP BY image HAVING count(DISTINCT image_id) > 1)
)
GROUP BY ALL
ORDER BY kind DESC, findings DESC, image, what
LIMIT 100;
