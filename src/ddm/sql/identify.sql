-- young: no bucket was ever made in it.
SELECT i.catalog, pg_sequence_last_value('root.bucket_name_bucket_id_seq'::regclass) IS NULL AS young FROM antipode.identity i
