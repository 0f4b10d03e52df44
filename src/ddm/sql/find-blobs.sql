SELECT b.id AS blob_id, b.pair AS blob_pair, b.size AS blob_size, b.root AS blob_root, antipode.off_map(b.id) AS blob_off_map
FROM antipode.blob b
WHERE b.id = ANY ($1::uuid[]) AND b.state = 'live'
ORDER BY b.id
