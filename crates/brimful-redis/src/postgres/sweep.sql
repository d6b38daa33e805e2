-- Looks at the next rows in the order of the index, and deletes those that have expired. Rows that another session has
-- locked are passed over, so no sweep waits. Returns the last row that it looked at, if there may be more rows behind it,
-- and the number of deleted rows.
WITH clock AS MATERIALIZED (
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now
), looked AS MATERIALIZED (
    SELECT key, id, expires FROM brimful_buckets_v1 WHERE (key, id) > ($1, $2) ORDER BY key, id LIMIT $3
), expired AS MATERIALIZED (
    SELECT b.key, b.id FROM brimful_buckets_v1 b JOIN looked USING (key, id)
    WHERE looked.expires <= (SELECT now FROM clock) AND b.expires <= (SELECT now FROM clock)
    FOR UPDATE OF b SKIP LOCKED
), deleted AS (
    DELETE FROM brimful_buckets_v1 b USING expired WHERE b.key = expired.key AND b.id = expired.id RETURNING 1
)
SELECT key, id, (SELECT count(*) FROM deleted), (SELECT count(*) FROM looked) = $3
FROM looked ORDER BY key DESC, id DESC LIMIT 1
