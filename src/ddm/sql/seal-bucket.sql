SELECT antipode.seal_bucket($1, $2, $3, $4) AS answer
