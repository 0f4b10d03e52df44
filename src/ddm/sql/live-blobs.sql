SELECT id FROM antipode.live_blobs($1) l(id)
