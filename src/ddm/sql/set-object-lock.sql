SELECT antipode.set_object_lock($1, $2) AS answer
