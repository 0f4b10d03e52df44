SELECT root.raise_epoch($1, $2, $3) AS answer
