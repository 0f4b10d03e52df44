-- Without a delimiter a listing is one range of an index: a page of 1,000 costs 1.4 ms, by the walk 6 ms.
-- The end of an endless range is a text above every key: 257 times the last character has more than 1,024 bytes.
-- $1 bucket, $2 prefix, $3 delimiter (empty), $4 after, $5 entries at most.
SELECT v.key AS name, false AS is_prefix,
       v.bucket_id, v.key, v.version_id, v.is_latest, v.is_delete_marker, v.size, v.last_modified, v.etag, v.owner,
       v.storage_class, v.checksum_algorithm, v.checksum_type, v.checksum_value
FROM antipode.version v
WHERE v.bucket_id = $1 AND v.is_latest AND NOT v.is_delete_marker
  AND v.key >= CASE WHEN $4 = '' THEN $2 ELSE antipode.walk_start($2, $3, $4) END
  AND v.key < coalesce(antipode.text_after($2), repeat(chr(1114111), 257))
ORDER BY v.key
LIMIT $5
