SELECT antipode.tidy($1)
