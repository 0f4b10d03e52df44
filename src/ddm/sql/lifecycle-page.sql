-- $1 bucket, $2 prefix, $3 and $4 the place to go on from, $5 rows at most, $6 up to how many newer versions count.
SELECT * FROM antipode.lifecycle_page($1, $2, $3, $4, $5, $6)
