-- $1 bucket, $2 prefix, $3 delimiter, $4 key marker, $5 version id marker or null, $6 the seq it names, $7 entries at most.
SELECT e.name, e.is_prefix,
       v.bucket_id, v.key, v.version_id, v.is_latest, v.is_delete_marker, v.size, v.part_count, v.blob_id, v.manifest_id,
       v.last_modified, v.etag, v.owner, v.storage_class, v.checksum_algorithm, v.checksum_type, v.checksum_value,
       v.retention_mode, v.retention_until, v.legal_hold, v.system_metadata, v.user_metadata, v.tags,
       b.pair AS blob_pair, b.size AS blob_size, b.root AS blob_root, b.off_map AS blob_off_map
FROM antipode.list_versions($1, $2, $3, $4, antipode.marker_seq($1, $4, $5, $6), $7)
  WITH ORDINALITY e(name, is_prefix, seq, ord)
LEFT JOIN LATERAL (
  SELECT t.* FROM antipode.version t WHERE t.bucket_id = $1 AND t.key = e.name AND t.seq = e.seq OFFSET 0
) v ON true
LEFT JOIN LATERAL (
  SELECT s.pair, s.size, s.root,
         ARRAY(SELECT r.member FROM antipode.off_map_replica r WHERE r.blob_id = s.id ORDER BY r.member) AS off_map
  FROM antipode.blob s WHERE s.id = v.blob_id OFFSET 0
) b ON true
ORDER BY e.ord
