SELECT antipode.put_part($1, $2) AS answer
