-- What the document has, under the owner's lease alone.
UPDATE root.name_feed f
SET floor = coalesce(($2::jsonb->>'floor')::bigint, f.floor), trimmed = coalesce(($2::jsonb->>'trimmed')::boolean, f.trimmed),
    restored = coalesce(($2::jsonb->>'restored')::boolean, f.restored), layout = coalesce($2::jsonb->>'layout', f.layout), told = coalesce($2::jsonb->'told', f.told),
    marks = coalesce($2::jsonb->'marks', f.marks)
WHERE f.owner = $1 AND f.leased_until >= clock_timestamp()
