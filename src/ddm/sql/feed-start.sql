SELECT pg_snapshot_xmin(pg_current_snapshot()) AS now_tx, tx, id FROM antipode.outbox_trim
