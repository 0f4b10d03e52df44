SELECT root.switch_bucket($1, $2, $3) AS answer
