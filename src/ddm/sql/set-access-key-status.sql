UPDATE root.access_key SET status = $2 WHERE access_key_id = $1
