SELECT antipode.queue_notifications(($1::text)::xid8, $2, ($3::text)::xid8, $4, $5, $6) AS answer
