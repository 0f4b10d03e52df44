DELETE FROM antipode.outbox_reader WHERE name = $1
