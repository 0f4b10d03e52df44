SELECT antipode.postpone_repairs($1)
