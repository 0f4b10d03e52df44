SELECT root.start_bucket_move($1, $2, $3) AS answer
