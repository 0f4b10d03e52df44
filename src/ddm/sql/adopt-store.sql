UPDATE root.condition SET store_id = $2 WHERE subject = $1 AND state = 'serving' AND store_id IS NULL
