-- Above $1.
SELECT setval('root.name_change', greatest(coalesce(pg_sequence_last_value('root.name_change'::regclass), 0), $1::bigint) + 1) AS number
