SELECT v.bucket_id, v.key, v.seq, v.version_id, antipode.version_record(v)::text AS body, b.name AS bucket
FROM antipode.walk_versions($1, $2, $3, $4) v LEFT JOIN antipode.bucket b ON b.id = v.bucket_id
ORDER BY v.bucket_id, v.key, v.seq DESC
