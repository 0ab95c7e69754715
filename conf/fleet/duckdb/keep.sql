-- Loads what the views of views.sql read into tables of their own, once: for many questions, and for a file to keep or hand
-- on (duckdb fleet.duckdb). The lines themselves stay in the segments; their hashes are here.
CREATE OR REPLACE TABLE kept_records AS SELECT * EXCLUDE (line) FROM records ORDER BY origin, node, sequence;
CREATE OR REPLACE TABLE kept_rejects AS SELECT * FROM rejects;
CREATE OR REPLACE TEMP VIEW records AS SELECT * FROM kept_records;
CREATE OR REPLACE TEMP VIEW rejects AS SELECT * FROM kept_rejects;
CREATE OR REPLACE TABLE kept_findings AS
SELECT * EXCLUDE (line_sha256, previous_sha256, class, category, created, losses, dropped_first, dropped_last,
                  dropped_count, heartbeat)
FROM kept_records
WHERE class = 'THREAT'
QUALIFY row_number() OVER (PARTITION BY origin, node, id ORDER BY sequence DESC) = 1;
CREATE OR REPLACE TEMP VIEW findings AS SELECT * FROM kept_findings;
