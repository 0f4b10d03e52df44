-- $1 name or null, $2 owner or null, $3 after, $4 buckets at most.
SELECT b.name, b.owner, u.objects, u.bytes, u.upload_bytes, q.bytes_max, q.objects_max
FROM (
  SELECT array_agg(p.id) AS ids
  FROM (
    SELECT k.id FROM antipode.bucket k
    WHERE ($1::text IS NULL OR k.name = $1) AND ($2::text IS NULL OR k.owner = $2) AND k.name > $3
    ORDER BY k.name LIMIT $4
  ) p
) page
CROSS JOIN LATERAL antipode.bucket_usage(page.ids) u
JOIN antipode.bucket b ON b.id = u.bucket_id
LEFT JOIN antipode.quota q ON q.subject = 'bucket/' || b.id
ORDER BY b.name
