DELETE FROM root.access_key WHERE access_key_id = $1
