-- young: no bucket was ever made in it, or it is being made from the nodes' records.
SELECT i.catalog, i.replaces::text[] AS replaces,
       i.rebuilding OR pg_sequence_last_value('root.bucket_name_bucket_id_seq'::regclass) IS NULL AS young
FROM antipode.identity i
