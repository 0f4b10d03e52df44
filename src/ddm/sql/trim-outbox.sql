SELECT antipode.trim_outbox($1, $2, $3) AS answer
