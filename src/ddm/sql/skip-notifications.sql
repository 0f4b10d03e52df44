SELECT antipode.skip_notifications(($1::text)::xid8, $2) AS answer
