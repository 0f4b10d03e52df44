SELECT antipode.complete_upload($1, $2) AS answer
