SELECT antipode.set_bucket_quota($1, $2) AS answer
