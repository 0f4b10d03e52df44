SELECT antipode.import_upload($1, $2, $3, $4, $5) AS answer
