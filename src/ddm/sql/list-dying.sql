SELECT id FROM antipode.blob WHERE state = 'dying' AND pair = $1 AND id > $2::uuid ORDER BY id LIMIT $3
