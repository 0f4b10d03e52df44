SELECT root.allow_return($1) AS answer
