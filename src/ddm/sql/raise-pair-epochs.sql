SELECT antipode.raise_pair_epochs($1)
