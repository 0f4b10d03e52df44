SELECT antipode.trim_dead_letters($1, $2) AS answer
