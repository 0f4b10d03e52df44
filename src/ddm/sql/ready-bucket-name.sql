UPDATE root.bucket_name SET state = 'ready' WHERE name = $1 AND bucket_id = $2
