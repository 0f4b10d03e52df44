SELECT id, name, owner, region, created_at, versioning, object_lock, settings
FROM antipode.create_bucket($1, $2, $3, $4, $5, $6, $7)
