SELECT antipode.keep_bucket($1, $2, $3) AS answer
