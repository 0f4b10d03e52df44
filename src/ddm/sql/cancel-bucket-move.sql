SELECT root.cancel_bucket_move($1) AS answer
