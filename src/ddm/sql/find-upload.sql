SELECT upload_id, bucket_id, key, initiated, owner, attributes, checksum_algorithm, checksum_type
FROM antipode.upload
WHERE upload_id = $1 AND bucket_id = $2 AND key = $3 AND state = 'open'
