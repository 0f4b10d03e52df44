SELECT blob_id, member FROM antipode.off_map_replica WHERE surplus ORDER BY blob_id, member LIMIT $1
