SELECT antipode.learn_conditions($1)
