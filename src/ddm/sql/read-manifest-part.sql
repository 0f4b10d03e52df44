SELECT p.part_number, p."offset", p.size, p.etag, p.checksum, p.blob_id,
       b.pair AS blob_pair, b.size AS blob_size, b.root AS blob_root, b.off_map AS blob_off_map
FROM antipode.manifest_part p
LEFT JOIN LATERAL (
  SELECT s.pair, s.size, s.root,
         ARRAY(SELECT ARRAY[r.member, r.home] FROM antipode.off_map_replica r
               WHERE r.blob_id = s.id AND NOT r.surplus ORDER BY r.home NULLS LAST, r.member) AS off_map
  FROM antipode.blob s WHERE s.id = p.blob_id OFFSET 0
) b ON true
WHERE p.manifest_id = $1 AND p.part_number = $2
