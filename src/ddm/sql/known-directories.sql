-- The pairs of directories that any gateway has registered.
SELECT p.id, p.weight,
       jsonb_agg(jsonb_build_object('id', m.id, 'center', m.center, 'address', m.address, 'port', m.port) ORDER BY m.id) AS members
FROM root.pair p
JOIN root.member m ON m.pair_id = p.id
WHERE p.kind = 'directory'
GROUP BY p.id
ORDER BY p.id
