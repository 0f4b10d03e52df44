SELECT * FROM root.lease_bucket_move($1, $2, $3, $4, $5)
