DELETE FROM antipode.off_map_replica o
USING unnest($1::uuid[], $2::text[]) f(blob_id, member)
WHERE o.blob_id = f.blob_id AND o.member = f.member AND o.surplus
