UPDATE antipode.barrier SET at = clock_timestamp()
