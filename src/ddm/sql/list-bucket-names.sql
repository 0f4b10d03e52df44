SELECT name, bucket_id, directory
FROM root.bucket_name
WHERE state = 'ready' AND ($1::text IS NULL OR owner = $1) AND name > $2 AND starts_with(name, $3)
ORDER BY name
LIMIT $4
