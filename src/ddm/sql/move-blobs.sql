SELECT id FROM antipode.move_blobs($1) m(id)
