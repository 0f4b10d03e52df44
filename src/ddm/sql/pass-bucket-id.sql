SELECT root.pass_bucket_id($1)
