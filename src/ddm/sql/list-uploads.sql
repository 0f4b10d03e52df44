-- $1 bucket, $2 prefix, $3 delimiter, $4 key marker, $5 upload id marker or null, $6 entries at most.
SELECT e.name, e.is_prefix, u.upload_id, u.bucket_id, u.key, u.initiated, u.owner, u.attributes, u.checksum_algorithm, u.checksum_type
FROM antipode.list_uploads($1, $2, $3, $4, $5, $6) WITH ORDINALITY e(name, is_prefix, upload_id, ord)
LEFT JOIN LATERAL (SELECT t.* FROM antipode.upload t WHERE t.upload_id = e.upload_id OFFSET 0) u ON true
ORDER BY e.ord
