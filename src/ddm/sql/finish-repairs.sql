SELECT blob_id, member FROM antipode.finish_repairs($1)
