SELECT antipode.purge_bucket($1, $2, $3, $4) AS answer
