SELECT bucket_id, owner, directory, state, created_at FROM root.bucket_name WHERE name = $1
