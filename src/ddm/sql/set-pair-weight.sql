UPDATE root.pair SET weight = $2, weight_set_at = clock_timestamp() WHERE id = $1 AND kind = 'node'
