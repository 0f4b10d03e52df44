SELECT antipode.set_share($1, $2, $3) AS answer
