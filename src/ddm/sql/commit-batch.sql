SELECT antipode.commit_batch($1, $2) AS answer
