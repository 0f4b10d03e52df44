-- Of the members up to $1, after ($2 member, $3 blob), $4 at most.
SELECT r.member, r.reason, r.since, r.attempts, r.last_error,
       b.id AS blob_id, b.pair AS blob_pair, b.size AS blob_size, b.root AS blob_root, antipode.off_map(b.id) AS blob_off_map
FROM antipode.repair r
JOIN antipode.blob b ON b.id = r.blob_id AND b.state = 'live'
WHERE r.member <= $1 AND (r.member, r.blob_id) > ($2, $3::uuid)
ORDER BY r.member, r.blob_id
LIMIT $4
