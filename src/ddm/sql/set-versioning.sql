SELECT antipode.set_versioning($1, $2) AS answer
