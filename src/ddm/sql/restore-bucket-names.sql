SELECT root.restore_bucket_names($1)
