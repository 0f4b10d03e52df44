UPDATE antipode.name_walk SET bucket_id = $2, key = $3, seq = $4, done = $5 WHERE floor = $1
