-- No row: another gateway has it.
UPDATE root.name_feed f SET owner = $1, leased_until = clock_timestamp() + $2::bigint * interval '1 millisecond'
WHERE f.owner = $1 OR f.leased_until < clock_timestamp()
RETURNING f.floor, f.trimmed, f.restored, f.layout, f.told, f.marks,
  coalesce(pg_sequence_last_value('root.name_change'::regclass), 0) AS highest
