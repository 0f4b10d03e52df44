SELECT antipode.take_dead_letters($1, $2, $3::uuid, $4, $5) AS answer
