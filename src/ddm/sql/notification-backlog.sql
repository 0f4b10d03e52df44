-- $1: counted up to so many.
SELECT t.name AS target,
       (SELECT count(*) FROM (SELECT 1 FROM antipode.notification n WHERE n.target = t.name LIMIT $1::integer) c) AS queued,
       (SELECT min(n.queued_at) FROM antipode.notification n WHERE n.id = (
          SELECT o.id FROM antipode.notification o WHERE o.target = t.name AND o.due_at IS NOT NULL
          ORDER BY o.target, o.due_at, o.id LIMIT 1)) AS oldest_at,
       (SELECT count(*) FROM (SELECT 1 FROM antipode.dead_letter d WHERE d.target = t.name LIMIT $1::integer) c) AS dead
FROM antipode.notification_target t
WHERE t.name <> ''
ORDER BY t.name
