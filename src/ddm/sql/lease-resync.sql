SELECT * FROM root.lease_resync($1, $2, $3, $4, $5)
