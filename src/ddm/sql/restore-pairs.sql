SELECT antipode.restore_pairs($1)
