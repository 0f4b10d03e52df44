-- Of a bucket, or of all that this directory has: as exact as a count, at the price of the usage rows.
SELECT coalesce(sum(u.objects), 0) AS objects
FROM antipode.bucket_usage(ARRAY(SELECT k.id FROM antipode.bucket k WHERE $1::bigint IS NULL OR k.id = $1)) u
