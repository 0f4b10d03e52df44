SELECT id, name, owner, region, created_at, versioning, object_lock, settings
FROM antipode.readable_buckets(ARRAY(
  SELECT b.id FROM antipode.bucket b WHERE b.name = $1
  UNION ALL SELECT m.bucket_id FROM antipode.bucket_move m WHERE m.state = 'frozen' AND m.bucket->>'name' = $1))
