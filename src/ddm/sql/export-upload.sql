SELECT antipode.export_upload($1, $2) AS doc
