-- $1 target, $2 not these, $3 rows at most.
SELECT n.id, n.target, n.bucket_id, n.bucket, n.key, n.event, n.name, n.at, n.body, n.queued_at, n.attempts
FROM antipode.notification n
WHERE n.target = $1 AND n.due_at <= clock_timestamp() AND n.id <> ALL ($2::bigint[])
ORDER BY n.target, n.due_at, n.id
LIMIT $3::integer
