SELECT antipode.export_versions($1, $2, $3, $4, $5, $6) AS page
