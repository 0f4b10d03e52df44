SELECT id, name, owner, region, created_at, versioning, object_lock, settings FROM antipode.bucket WHERE name = $1
