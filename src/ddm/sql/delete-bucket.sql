SELECT antipode.delete_bucket($1) AS answer
