-- The change feed in SQL (0021 says what its order promises).

CREATE VIEW catalog.changes AS
SELECT o.event, o.at, o.kind, coalesce(b.name, p.name, o.payload->'bucket'->>'name') AS bucket,
       CASE WHEN o.payload ? 'bucket' THEN NULL ELSE o.key END AS key,
       o.payload->'result'->>'versionId' AS version_id,
       CASE WHEN o.kind = 'delete' THEN coalesce((o.payload->'result'->>'marker')::boolean, false) END AS deleted_marker,
       CASE WHEN o.kind = 'put' THEN coalesce((o.payload->>'size')::bigint, 0) END AS size,
       CASE WHEN o.kind = 'put' THEN o.payload->>'etag' END AS etag,
       o.payload->'bucket' AS bucket_record,
       o.tx AS transaction, o.id AS number, o.tx::text || '-' || o.id::text AS "position"
FROM antipode.outbox o
LEFT JOIN antipode.bucket b ON b.id = o.bucket_id
LEFT JOIN antipode.past_bucket p ON p.id = o.bucket_id
WHERE o.tx < pg_snapshot_xmin(pg_current_snapshot());

COMMENT ON VIEW catalog.changes IS
  'Every change of the namespace that is still kept, below the snapshot horizon; in order per key by (transaction, number)';
COMMENT ON COLUMN catalog.changes.event IS 'Id of the change, the same however often it is read';
COMMENT ON COLUMN catalog.changes.at IS 'When it was made, by the directory''s clock';
COMMENT ON COLUMN catalog.changes.kind IS
  'put, delete-marker, delete, tags, retention, legal-hold; bucket-created, bucket-changed, bucket-deleted, bucket-arrived, bucket-left';
COMMENT ON COLUMN catalog.changes.bucket IS 'The bucket, also one that is gone';
COMMENT ON COLUMN catalog.changes.key IS 'The key; null for a bucket''s own changes';
COMMENT ON COLUMN catalog.changes.version_id IS 'The version that came, went or was changed; a put of null takes the place of the null version before it';
COMMENT ON COLUMN catalog.changes.deleted_marker IS 'Of a delete: whether what was removed was a delete marker';
COMMENT ON COLUMN catalog.changes.size IS 'Of a put: bytes of the object';
COMMENT ON COLUMN catalog.changes.etag IS 'Of a put: its ETag, without quotes';
COMMENT ON COLUMN catalog.changes.bucket_record IS 'Of a bucket''s own change: the bucket after it, or before it went';
COMMENT ON COLUMN catalog.changes.transaction IS 'First half of the place in the feed';
COMMENT ON COLUMN catalog.changes.number IS 'Second half of the place in the feed; rises with every change of a key';
COMMENT ON COLUMN catalog.changes."position" IS 'Both halves, as antipode changes shows them for a directory';

GRANT SELECT ON catalog.changes TO antipode_reader, antipode_writer, antipode_app;
