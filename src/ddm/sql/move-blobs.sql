SELECT id FROM antipode.move_blobs_unless($1) m(id)
