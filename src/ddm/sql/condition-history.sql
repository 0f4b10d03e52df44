-- $1 below this id or null, $2 rows at most.
SELECT id, subject, state, epoch, at, why, decided_by
FROM root.condition_history
WHERE id < coalesce($1::bigint, 9223372036854775807)
ORDER BY id DESC
LIMIT $2
