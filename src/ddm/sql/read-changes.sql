-- One row for what is known of the feed and its consumer, and one for each change, all of one snapshot. Both conditions on
-- tx are the feed's promise (migrations/0021_feed.sql).
-- $1, $2 after which position (null: the consumer's), $3 changes at most, $4 consumer (or null).
SELECT s.horizon, s.trim_tx, s.trim_id,
       r.name AS reader, r.tx AS reader_tx, r.id AS reader_id, r.gap_event, r.gap_tx, r.gap_id, r.gap_rows,
       c.event, c.tx, c.id, c.at, c.kind, c.bucket_id, c.bucket, c.key, c.payload, c.cause
FROM (
  SELECT pg_snapshot_xmin(pg_current_snapshot()) AS horizon, t.tx AS trim_tx, t.id AS trim_id FROM antipode.outbox_trim t
) s
LEFT JOIN antipode.outbox_reader r ON r.name = $4::text
LEFT JOIN LATERAL (
  SELECT o.event, o.tx, o.id, o.at, o.kind, o.bucket_id, coalesce(b.name, p.name) AS bucket, o.key, o.payload, o.cause
  FROM antipode.outbox o
  LEFT JOIN antipode.bucket b ON b.id = o.bucket_id
  LEFT JOIN antipode.past_bucket p ON p.id = o.bucket_id
  WHERE (o.tx, o.id) > (coalesce(($1::text)::xid8, r.tx), coalesce($2::bigint, r.id)) AND o.tx < s.horizon
  ORDER BY o.tx, o.id
  LIMIT $3::integer
) c ON true
ORDER BY c.tx, c.id
