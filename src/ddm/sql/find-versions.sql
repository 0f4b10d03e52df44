-- Many lookups at once: $1 bucket ids, $2 keys, $3 version ids ('' for the latest), $4 the seq that an id names.
-- A row for every lookup, in no order: ord says which. gone: there is no such bucket (any more), whatever rows of it are
-- left; one that is frozen by a move is still read here.
SELECT o.ord,
       NOT EXISTS (SELECT FROM antipode.bucket k WHERE k.id = o.bucket_id)
         AND NOT EXISTS (SELECT FROM antipode.bucket_move m WHERE m.bucket_id = o.bucket_id AND m.state = 'frozen') AS gone,
       v.bucket_id, v.key, v.version_id, v.is_latest, v.is_delete_marker, v.size, v.part_count, v.blob_id, v.manifest_id,
       v.last_modified, v.etag, v.owner, v.storage_class, v.checksum_algorithm, v.checksum_type, v.checksum_value,
       v.retention_mode, v.retention_until, v.legal_hold, v.system_metadata, v.user_metadata, v.tags,
       v.acl, v.encryption,
       b.pair AS blob_pair, b.size AS blob_size, b.root AS blob_root, b.off_map AS blob_off_map
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[]) WITH ORDINALITY o(bucket_id, key, version_id, seq, ord)
LEFT JOIN LATERAL (
  (SELECT l.* FROM antipode.version l
   WHERE o.version_id = '' AND l.bucket_id = o.bucket_id AND l.key = o.key ORDER BY l.seq DESC LIMIT 1)
  UNION ALL
  (SELECT n.* FROM antipode.version n
   WHERE o.version_id NOT IN ('', 'null') AND n.bucket_id = o.bucket_id AND n.key = o.key AND n.seq = o.seq
     AND n.version_id = o.version_id)
  UNION ALL
  (SELECT u.* FROM antipode.version u
   WHERE o.version_id = 'null' AND u.bucket_id = o.bucket_id AND u.key = o.key AND u.version_id = 'null' AND NOT u.is_latest)
  UNION ALL
  (SELECT f.* FROM (
     SELECT l.* FROM antipode.version l
     WHERE o.version_id = 'null' AND l.bucket_id = o.bucket_id AND l.key = o.key ORDER BY l.seq DESC LIMIT 1
   ) f WHERE f.version_id = 'null')
  LIMIT 1
) v ON true
LEFT JOIN LATERAL (
  SELECT s.pair, s.size, s.root,
         ARRAY(SELECT ARRAY[r.member, r.home] FROM antipode.off_map_replica r
               WHERE r.blob_id = s.id AND NOT r.surplus ORDER BY r.home NULLS LAST, r.member) AS off_map
  FROM antipode.blob s WHERE s.id = v.blob_id OFFSET 0
) b ON true
