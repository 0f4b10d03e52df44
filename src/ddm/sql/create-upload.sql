SELECT antipode.create_upload($1) AS answer
