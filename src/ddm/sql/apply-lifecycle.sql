SELECT antipode.apply_lifecycle($1, $2, $3::jsonb->'actions') AS answer
