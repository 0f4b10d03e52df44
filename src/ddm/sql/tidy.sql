SELECT antipode.tidy($1, $2) AS answer
