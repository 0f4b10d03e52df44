SELECT antipode.add_repairs($1)
