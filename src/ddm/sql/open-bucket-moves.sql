SELECT * FROM root.bucket_move WHERE phase NOT IN ('done', 'cancelled') ORDER BY started_at
