-- $1 manifest, bytes $2 to $3. Parts lie end to end, so the first one that overlaps is the last one that begins at or
-- before $2 (parts without bytes aside).
SELECT p.part_number, p."offset", p.size, p.etag, p.checksum, p.blob_id,
       b.pair AS blob_pair, b.size AS blob_size, b.root AS blob_root, b.off_map AS blob_off_map
FROM antipode.manifest_part p
LEFT JOIN LATERAL (
  SELECT s.pair, s.size, s.root,
         ARRAY(SELECT ARRAY[r.member, r.home] FROM antipode.off_map_replica r
               WHERE r.blob_id = s.id AND NOT r.surplus ORDER BY r.home NULLS LAST, r.member) AS off_map
  FROM antipode.blob s WHERE s.id = p.blob_id OFFSET 0
) b ON true
WHERE p.manifest_id = $1 AND p."offset" <= $3 AND p."offset" + p.size > $2
  AND p."offset" >= coalesce((
    SELECT f."offset" FROM antipode.manifest_part f
    WHERE f.manifest_id = $1 AND f."offset" <= $2 AND f.size > 0 ORDER BY f."offset" DESC LIMIT 1), 0)
ORDER BY p.part_number
