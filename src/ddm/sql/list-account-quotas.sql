SELECT account, bytes_max, objects_max FROM root.account_quota WHERE ($1::text IS NULL OR account = $1) AND (bytes_max IS NOT NULL OR objects_max IS NOT NULL)
