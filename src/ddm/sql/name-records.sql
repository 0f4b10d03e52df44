-- $1 bucket ids, $2 keys, $3 version ids, $4 the seq that an id names (-1 for the null version). A row for each, in order;
-- no body: there is no such version.
SELECT o.ord, CASE WHEN (w.v).seq IS NOT NULL THEN antipode.version_record(w.v)::text END AS body
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::bigint[]) WITH ORDINALITY o(bucket_id, key, version_id, seq, ord)
LEFT JOIN LATERAL (
  (SELECT n AS v FROM antipode.version n
   WHERE o.version_id <> 'null' AND n.bucket_id = o.bucket_id AND n.key = o.key AND n.seq = o.seq AND n.version_id = o.version_id)
  UNION ALL
  (SELECT u AS v FROM antipode.version u
   WHERE o.version_id = 'null' AND u.bucket_id = o.bucket_id AND u.key = o.key AND u.version_id = 'null' AND NOT u.is_latest)
  UNION ALL
  (SELECT f.v FROM (
     SELECT l AS v FROM antipode.version l
     WHERE o.version_id = 'null' AND l.bucket_id = o.bucket_id AND l.key = o.key ORDER BY l.seq DESC LIMIT 1
   ) f WHERE (f.v).version_id = 'null')
  LIMIT 1
) w ON true
ORDER BY o.ord
