SELECT bytes_max, objects_max FROM root.account_quota WHERE account = $1 AND (bytes_max IS NOT NULL OR objects_max IS NOT NULL)
