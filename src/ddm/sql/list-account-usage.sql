-- $1 owner or null. Accounts that have buckets or a quota in this directory.
SELECT coalesce(t.owner, q.owner) AS owner, coalesce(t.buckets, 0) AS buckets, coalesce(t.objects, 0) AS objects,
       coalesce(t.bytes, 0) AS bytes, coalesce(t.upload_bytes, 0) AS upload_bytes, q.bytes_max, q.objects_max
FROM (
  SELECT b.owner, count(*) AS buckets, sum(u.objects) AS objects, sum(u.bytes) AS bytes, sum(u.upload_bytes) AS upload_bytes
  FROM antipode.bucket_usage(ARRAY(SELECT k.id FROM antipode.bucket k WHERE $1::text IS NULL OR k.owner = $1)) u
  JOIN antipode.bucket b ON b.id = u.bucket_id
  GROUP BY b.owner
) t
FULL JOIN (
  SELECT substr(s.subject, 9) COLLATE "C" AS owner, s.bytes_max, s.objects_max
  FROM antipode.quota s
  WHERE starts_with(s.subject, 'account/') AND ($1::text IS NULL OR s.subject = 'account/' || $1)
) q ON q.owner = t.owner
