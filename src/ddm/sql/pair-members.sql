SELECT id, pair_id FROM root.member WHERE pair_id = ANY ($1::text[]) ORDER BY id
