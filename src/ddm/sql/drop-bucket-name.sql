DELETE FROM root.bucket_name WHERE bucket_id = $1
