SELECT antipode.lease_notifications($1, $2, $3) AS answer
