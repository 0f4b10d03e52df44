-- $1 ids, null for all.
SELECT b.id, jsonb_build_object('kind', 'bucket', 'bucket', to_jsonb(b) - 'counted')::text AS body
FROM antipode.bucket b WHERE $1::bigint[] IS NULL OR b.id = ANY ($1::bigint[]) ORDER BY b.id
