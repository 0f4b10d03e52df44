-- Not while a move has the bucket in no directory: then the row is only on its way.
DELETE FROM root.bucket_name
WHERE bucket_id = $1
  AND NOT EXISTS (SELECT FROM root.bucket_move m WHERE m.bucket_id = $1 AND m.phase IN ('frozen', 'switched'))
