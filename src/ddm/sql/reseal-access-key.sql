UPDATE root.access_key SET sealed_secret = $3 WHERE access_key_id = $1 AND sealed_secret = $2
