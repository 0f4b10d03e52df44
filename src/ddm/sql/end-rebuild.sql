UPDATE antipode.identity
SET rebuilding = false, replaces = ARRAY(SELECT DISTINCT x FROM unnest(replaces || $1::uuid[]) x ORDER BY x)
