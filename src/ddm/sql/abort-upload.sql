SELECT antipode.abort_upload($1, $2, $3) AS answer
