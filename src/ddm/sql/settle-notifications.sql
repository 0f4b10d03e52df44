SELECT antipode.settle_notifications($1, $2, $3::bigint[], $4, $5) AS answer
