SELECT antipode.save_lifecycle($1, $2, $3, $4) AS answer
