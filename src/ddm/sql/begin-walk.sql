SELECT antipode.begin_walk($1) AS answer
