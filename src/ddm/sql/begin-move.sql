SELECT antipode.begin_move($1, $2, $3, $4, $5) AS answer
