SELECT antipode.advance_reader($1, ($2::text)::xid8, $3) AS answer
