SELECT antipode.restore_bucket($1)
