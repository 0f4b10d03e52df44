-- $1 repairs at most, $2 how long they are leased, $3 member or null, $4 members to leave out.
SELECT r.member, r.reason, r.since, r.attempts, r.last_error,
       b.id AS blob_id, b.pair AS blob_pair, b.size AS blob_size, b.root AS blob_root, antipode.off_map(b.id) AS blob_off_map
FROM antipode.take_repairs($1, $2, $3, $4) r
JOIN antipode.blob b ON b.id = r.blob_id
ORDER BY r.since, r.blob_id, r.member
