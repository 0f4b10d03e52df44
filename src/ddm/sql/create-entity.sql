SELECT root.create_entity($1, $2) AS answer
