-- $1 bucket, $2 prefix, $3 delimiter (not empty), $4 after, $5 entries at most.
SELECT e.name, e.is_prefix,
       v.bucket_id, v.key, v.version_id, v.is_latest, v.is_delete_marker, v.size, v.last_modified, v.etag, v.owner,
       v.storage_class, v.checksum_algorithm, v.checksum_type, v.checksum_value
FROM antipode.list_objects($1, $2, $3, $4, $5) WITH ORDINALITY e(name, is_prefix, seq, ord)
LEFT JOIN LATERAL (
  SELECT t.* FROM antipode.version t WHERE t.bucket_id = $1 AND t.key = e.name AND t.seq = e.seq OFFSET 0
) v ON true
ORDER BY e.ord
