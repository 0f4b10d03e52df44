SELECT * FROM root.bucket_move WHERE ($1::text IS NULL OR name = $1) ORDER BY started_at DESC, epoch DESC LIMIT $2
