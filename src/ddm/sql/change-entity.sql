SELECT root.change_entity($1, $2, $3, $4) AS answer
