-- Keys of a bucket that were changed by what is not below the horizon $2, those after the key $3, $4 at most; with $2 null
-- none. The horizon by now, for the next time: what is not seen yet is not below it (migrations/0021_feed.sql). trimmed:
-- rows that were not below $2 are gone.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon,
       EXISTS (SELECT FROM antipode.outbox_trim t WHERE t.tx >= $2::xid8) AS trimmed,
       ARRAY(
         SELECT DISTINCT o.key FROM antipode.outbox o
         WHERE o.tx >= $2::xid8 AND o.bucket_id = $1 AND o.key > $3
         ORDER BY o.key LIMIT $4) AS keys
