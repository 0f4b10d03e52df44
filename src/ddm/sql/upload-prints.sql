SELECT upload_id, print FROM antipode.upload_prints($1, $2, $3)
