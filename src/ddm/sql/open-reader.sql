SELECT tx, id FROM antipode.open_reader($1, $2, ($3::text)::xid8, $4)
