SELECT made, too_many, bucket_id, owner, directory, state, created_at FROM root.take_bucket_name($1, $2, $3, $4)
