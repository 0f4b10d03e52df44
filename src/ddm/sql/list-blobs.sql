SELECT l.id AS blob_id, l.pair AS blob_pair, l.size AS blob_size, l.root AS blob_root, l.seen, l.reached,
       CASE WHEN l.id IS NOT NULL THEN antipode.off_map(l.id) END AS blob_off_map
FROM antipode.list_blobs($1, $2, $3, $4) l
ORDER BY l.id
