-- $1 before this time (as it was answered) or null, $2 rows at most. A promotion stands in both tables.
SELECT e.at, to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS cursor,
       e.member, e.state, e.timeline, e.why, e.decided_by
FROM (
  SELECT t.at, t.member, 'primary' AS state, t.timeline, t.why, t.decided_by FROM antipode.timeline t
  UNION ALL
  SELECT d.at, d.member, CASE d.what WHEN 'left-out' THEN 'failed-over' WHEN 'returned' THEN 'serving' ELSE d.what END,
         d.timeline, d.why, d.decided_by
  FROM antipode.directory_decision d WHERE d.what <> 'promoted'
) e
WHERE e.at < coalesce($1::timestamptz, 'infinity')
ORDER BY e.at DESC, e.member
LIMIT $2
