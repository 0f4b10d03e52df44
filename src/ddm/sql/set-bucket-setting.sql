SELECT antipode.set_bucket_setting($1, $2, $3) AS answer
