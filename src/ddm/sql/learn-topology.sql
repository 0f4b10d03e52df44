SELECT antipode.learn_topology($1)
