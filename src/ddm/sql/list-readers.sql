-- How many changes a consumer has before it is counted up to $1.
SELECT r.name, r.tx, r.id, r.created_at, r.advanced_at, r.gap_rows, u.since AS unread_since, n.unread
FROM antipode.outbox_reader r
LEFT JOIN LATERAL (
  SELECT o.at AS since FROM antipode.outbox o WHERE (o.tx, o.id) > (r.tx, r.id) ORDER BY o.tx, o.id LIMIT 1
) u ON true
CROSS JOIN LATERAL (
  SELECT count(*) AS unread FROM (
    SELECT 1 FROM antipode.outbox o WHERE (o.tx, o.id) > (r.tx, r.id) ORDER BY o.tx, o.id LIMIT $1::integer) x
) n
ORDER BY r.name
