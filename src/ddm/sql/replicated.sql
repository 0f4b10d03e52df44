-- A commit that changes nothing and yet waits for the twin as every commit does.
SELECT pg_logical_emit_message(true, 'antipode', 'replicated')
