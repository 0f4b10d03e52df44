SELECT id, name, owner, region, created_at, versioning, object_lock, settings FROM antipode.readable_buckets(ARRAY[$1]::bigint[])
