SELECT antipode.take_lifecycle($1, $2) AS answer
