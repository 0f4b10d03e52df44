SELECT antipode.restore_versions($1)
