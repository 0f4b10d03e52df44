SELECT t.id AS blob_id, t.pair AS blob_pair, t.size AS blob_size, t.root AS blob_root,
       ARRAY(SELECT ARRAY[r.member, r.home] FROM antipode.off_map_replica r
             WHERE r.blob_id = t.id ORDER BY r.home NULLS LAST, r.member) AS blob_off_map
FROM antipode.take_dying_blobs($1, $2, $3) t
