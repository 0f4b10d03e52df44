SELECT root.create_access_key($1, $2, $3, $4, $5) AS answer
