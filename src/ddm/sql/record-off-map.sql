SELECT antipode.record_off_map($1, $2, $3)
