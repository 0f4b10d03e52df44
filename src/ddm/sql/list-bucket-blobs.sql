SELECT b.id AS blob_id, b.pair AS blob_pair, b.size AS blob_size, b.root AS blob_root, antipode.off_map(b.id) AS blob_off_map
FROM antipode.list_bucket_blobs($1, $2, $3, $4) b
ORDER BY b.id
