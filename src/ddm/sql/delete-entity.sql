SELECT root.delete_entity($1, $2, $3) AS answer
