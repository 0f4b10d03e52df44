SELECT store_id FROM root.condition WHERE subject = $1
