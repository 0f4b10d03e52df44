-- Each of $1 target, $2 bucket, $3 event may be null; $4 rows at most.
SELECT d.id, d.target, d.bucket_id, d.bucket, d.key, d.event, d.name, d.at, d.body, d.attempts, d.error, d.died_at
FROM antipode.dead_letter d
WHERE ($1::text IS NULL OR d.target = $1) AND ($2::text IS NULL OR d.bucket = $2) AND ($3::uuid IS NULL OR d.event = $3)
ORDER BY d.died_at DESC, d.id DESC
LIMIT $4::integer
