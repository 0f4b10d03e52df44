-- Who may do what with a version (acl), how its bytes are encrypted, and why a change was made: columns of their own, and
-- `amend`, which changes a version's ACL, encryption or storage class in place. Null: no ACL but the owner's, not encrypted.

ALTER TABLE antipode.version ADD COLUMN acl jsonb, ADD COLUMN encryption jsonb;
ALTER TABLE antipode.outbox
  ADD COLUMN cause jsonb,
  DROP CONSTRAINT outbox_kind_check,
  ADD CONSTRAINT outbox_kind_check CHECK (kind IN (
    'put', 'delete-marker', 'delete', 'tags', 'retention', 'legal-hold', 'acl', 'encryption', 'storage-class',
    'bucket-created', 'bucket-changed', 'bucket-deleted', 'bucket-arrived', 'bucket-left'));

-- As in 0023, and how the version is encrypted by now: its bytes may be others under the same ETag.
CREATE OR REPLACE FUNCTION antipode.failed_condition(op text, cond jsonb, subject antipode.version) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN cond IS NULL THEN NULL
    WHEN cond ? 'seen' AND antipode.has_changed(cond->'seen', subject) THEN 'changed'
    WHEN op = 'put' AND (subject.seq IS NULL OR subject.is_delete_marker)
      THEN CASE WHEN cond ? 'ifMatch' THEN 'no-such-key' END
    -- DELETE: a condition on what is not there holds (and nothing is done, see decide).
    WHEN subject.seq IS NULL THEN NULL
    WHEN cond->>'ifNoneMatch' IN ('*', subject.etag)
      OR cond->>'ifMatch' NOT IN ('*', subject.etag)
      OR cond ? 'ifEncryption' AND subject.encryption IS DISTINCT FROM nullif(cond->'ifEncryption', 'null')
      OR (cond->>'ifMatchSize')::bigint <> subject.size
      OR date_trunc('second', (cond->>'ifMatchLastModified')::timestamptz) <> date_trunc('second', subject.last_modified)
      THEN 'precondition-failed'
  END
$$;

-- As in 0013, and: amend; what a change in SQL (`seen`) does not name stays as it is at that moment.
CREATE OR REPLACE FUNCTION antipode.decide(ops jsonb, intent_ms bigint) RETURNS antipode.decision[]
LANGUAGE plpgsql AS $$
BEGIN
  RETURN (WITH op AS (
    SELECT o.ord, o.doc, (o.doc->>'bucket')::bigint AS bucket_id, (o.doc->>'key') COLLATE "C" AS key,
           o.doc->>'op' AS op, o.doc->>'versionId' AS wanted, (o.doc->>'versionSeq')::bigint AS wanted_seq
    FROM jsonb_array_elements(ops) WITH ORDINALITY o(doc, ord)
  ), found AS (
    SELECT op.*, b.versioning, b.object_lock, b.default_retention, latest.v AS latest,
           CASE
             WHEN op.wanted IS NULL THEN latest.v
             WHEN op.wanted <> 'null' THEN named.v
             WHEN (latest.v).version_id = 'null' THEN latest.v
             ELSE nulls.v
           END AS subject,
           -- The null version that a write without versioning takes the place of, where it is not the latest.
           nulls.v AS nulls
    FROM op
    LEFT JOIN LATERAL (
      SELECT b.versioning, b.object_lock, CASE WHEN b.object_lock THEN b.settings->'defaultRetention' END AS default_retention
      FROM antipode.bucket b WHERE b.id = op.bucket_id OFFSET 0
    ) b ON true
    LEFT JOIN LATERAL (
      SELECT t AS v FROM antipode.version t
      WHERE t.bucket_id = op.bucket_id AND t.key = op.key ORDER BY t.seq DESC LIMIT 1
    ) latest ON true
    LEFT JOIN LATERAL (
      SELECT t AS v FROM antipode.version t
      WHERE t.bucket_id = op.bucket_id AND t.key = op.key AND t.version_id = 'null' AND NOT t.is_latest
        AND b.versioning <> 'unversioned' AND (latest.v).version_id <> 'null'
        AND (op.wanted = 'null' OR op.wanted IS NULL AND b.versioning = 'suspended')
      OFFSET 0
    ) nulls ON true
    LEFT JOIN LATERAL (
      SELECT t AS v FROM antipode.version t
      WHERE t.bucket_id = op.bucket_id AND t.key = op.key AND t.seq = op.wanted_seq AND t.version_id = op.wanted
        AND op.wanted <> 'null'
      OFFSET 0
    ) named ON true
  ), acted AS MATERIALIZED (
    SELECT f.*,
      CASE
        WHEN f.op IN ('tags', 'retention', 'legal-hold', 'amend') THEN f.op
        WHEN f.op = 'delete' AND (f.wanted IS NOT NULL OR f.versioning = 'unversioned')
          THEN CASE WHEN (f.subject).seq IS NULL THEN 'none' ELSE 'remove' END
        WHEN f.op = 'delete' AND f.doc ? 'condition' AND (f.subject).seq IS NULL THEN 'none'
        WHEN f.versioning <> 'enabled' AND (f.latest).version_id = 'null' THEN 'replace'
        ELSE 'insert'
      END AS action
    FROM found f
  ), ruled AS (
    SELECT a.*,
      -- The row that this operation takes away or replaces.
      CASE a.action WHEN 'remove' THEN a.subject WHEN 'replace' THEN a.latest WHEN 'insert' THEN a.nulls END AS old,
      CASE
        WHEN a.versioning IS NULL THEN 'bucket-gone'
        WHEN NOT a.object_lock
             AND (a.op IN ('retention', 'legal-hold') OR a.op = 'put' AND (a.doc ? 'retention' OR a.doc ? 'legalHold'))
          THEN 'no-object-lock'
        WHEN a.op IN ('tags', 'retention', 'legal-hold', 'amend') AND ((a.subject).seq IS NULL OR (a.subject).is_delete_marker)
          THEN CASE WHEN a.wanted IS NULL THEN 'no-such-key' ELSE 'no-such-version' END
        ELSE coalesce(
          antipode.failed_condition(a.op, a.doc->'condition', a.subject),
          CASE
            WHEN a.action = 'remove' AND antipode.is_locked(a.subject, coalesce((a.doc->>'bypass')::boolean, false))
              THEN 'locked'
            WHEN a.action = 'retention'
                 AND NOT antipode.may_retain(a.subject, a.doc->'retention', coalesce((a.doc->>'bypass')::boolean, false))
              THEN 'locked'
            WHEN (a.doc->>'intentAt')::bigint + intent_ms < extract(epoch FROM clock_timestamp()) * 1000
              THEN 'intent-expired'
            WHEN (a.doc->>'epoch')::bigint
                 < (SELECT e.epoch FROM antipode.pair_epoch e WHERE e.pair = a.doc->'blob'->>'pair')
              THEN 'stale-epoch'
          END)
      END AS reason,
      CASE WHEN a.action = 'insert' THEN nextval('antipode.version_seq')
           WHEN a.action = 'replace' THEN (a.latest).seq ELSE (a.subject).seq END AS seq
    FROM acted a
  )
  SELECT array_agg(ROW(
    r.ord,
    CASE WHEN r.default_retention IS NOT NULL AND r.op = 'put' AND NOT r.doc ? 'retention'
         THEN r.doc || jsonb_build_object('retention', r.default_retention) ELSE r.doc END
    || CASE WHEN r.op = 'put' AND r.doc->'condition' ? 'seen' THEN jsonb_strip_nulls(jsonb_build_object(
              'acl', (r.subject).acl, 'encryption', (r.subject).encryption, 'storageClass', (r.subject).storage_class))
       ELSE '{}' END,
    r.bucket_id, r.key, r.reason, r.action, r.seq,
    CASE WHEN r.action = 'insert' AND r.versioning = 'enabled' THEN antipode.new_version_id(r.seq)
         WHEN r.action IN ('insert', 'replace') THEN 'null' ELSE (r.subject).version_id END,
    CASE WHEN r.action IN ('insert', 'replace') THEN r.op = 'delete' ELSE (r.subject).is_delete_marker END,
    (r.old).seq, (r.old).blob_id, (r.old).manifest_id, coalesce((r.old).size, 0),
    CASE WHEN (r.old).seq IS NOT NULL AND NOT (r.old).is_delete_marker THEN 1 ELSE 0 END,
    CASE WHEN r.action = 'insert' THEN (r.latest).seq END,
    r.action = 'remove' AND (r.subject).is_latest
  )::antipode.decision ORDER BY r.ord)
  FROM ruled r);
END
$$;

CREATE OR REPLACE FUNCTION antipode.insert_versions(plan antipode.decision[], now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO antipode.version (
    bucket_id, key, seq, version_id, is_latest, is_delete_marker, size, part_count, blob_id, manifest_id, write_id,
    last_modified, etag, owner, storage_class, checksum_algorithm, checksum_type, checksum_value,
    retention_mode, retention_until, legal_hold, system_metadata, user_metadata, tags, acl, encryption)
  SELECT p.bucket_id, p.key, p.seq, p.version_id, true, p.marker,
         coalesce((p.doc->>'size')::bigint, 0), (p.doc->>'partCount')::integer,
         (p.doc->'blob'->>'id')::uuid, (p.doc->>'manifest')::bigint, (p.doc->>'writeId')::uuid,
         now, coalesce(p.doc->>'etag', ''), p.doc->>'owner', coalesce(p.doc->>'storageClass', 'STANDARD'),
         p.doc->'checksum'->>'algorithm', p.doc->'checksum'->>'type', p.doc->'checksum'->>'value',
         p.doc->'retention'->>'mode', antipode.retained_until(p.doc->'retention', now),
         (p.doc->>'legalHold')::boolean,
         coalesce(p.doc->'system', '{}'), coalesce(p.doc->'user', '{}'), coalesce(p.doc->'tags', '{}'),
         nullif(p.doc->'acl', 'null'), nullif(p.doc->'encryption', 'null')
  FROM unnest(plan) p WHERE p.reason IS NULL AND p.action = 'insert';
END
$$;

CREATE OR REPLACE FUNCTION antipode.replace_versions(plan antipode.decision[], now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE antipode.version v
  SET is_delete_marker = p.marker,
      size = coalesce((p.doc->>'size')::bigint, 0), part_count = (p.doc->>'partCount')::integer,
      blob_id = (p.doc->'blob'->>'id')::uuid, manifest_id = (p.doc->>'manifest')::bigint,
      write_id = (p.doc->>'writeId')::uuid,
      last_modified = now, etag = coalesce(p.doc->>'etag', ''), owner = p.doc->>'owner',
      storage_class = coalesce(p.doc->>'storageClass', 'STANDARD'),
      checksum_algorithm = p.doc->'checksum'->>'algorithm', checksum_type = p.doc->'checksum'->>'type',
      checksum_value = p.doc->'checksum'->>'value',
      retention_mode = p.doc->'retention'->>'mode', retention_until = antipode.retained_until(p.doc->'retention', now),
      legal_hold = (p.doc->>'legalHold')::boolean,
      system_metadata = coalesce(p.doc->'system', '{}'), user_metadata = coalesce(p.doc->'user', '{}'),
      tags = coalesce(p.doc->'tags', '{}'),
      acl = nullif(p.doc->'acl', 'null'), encryption = nullif(p.doc->'encryption', 'null')
  FROM unnest(plan) p
  WHERE p.reason IS NULL AND p.action = 'replace'
    AND v.bucket_id = p.bucket_id AND v.key = p.key AND v.seq = p.seq;
END
$$;

-- What changes in place.
CREATE OR REPLACE FUNCTION antipode.change_versions(plan antipode.decision[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE antipode.version v
  SET tags = CASE WHEN p.action = 'tags' THEN p.doc->'tags' ELSE v.tags END,
      retention_mode = CASE WHEN p.action = 'retention' THEN p.doc->'retention'->>'mode' ELSE v.retention_mode END,
      retention_until = CASE WHEN p.action = 'retention' THEN (p.doc->'retention'->>'until')::timestamptz
                             ELSE v.retention_until END,
      legal_hold = CASE WHEN p.action = 'legal-hold' THEN (p.doc->>'legalHold')::boolean ELSE v.legal_hold END,
      acl = CASE WHEN p.action = 'amend' AND p.doc ? 'acl' THEN nullif(p.doc->'acl', 'null') ELSE v.acl END,
      encryption = CASE WHEN p.action = 'amend' AND p.doc ? 'encryption' THEN nullif(p.doc->'encryption', 'null')
                        ELSE v.encryption END,
      storage_class = CASE WHEN p.action = 'amend' AND p.doc ? 'storageClass' THEN p.doc->>'storageClass'
                           ELSE v.storage_class END
  FROM unnest(plan) p
  WHERE p.reason IS NULL AND p.action IN ('tags', 'retention', 'legal-hold', 'amend')
    AND v.bucket_id = p.bucket_id AND v.key = p.key AND v.seq = p.seq;
END
$$;

CREATE OR REPLACE FUNCTION antipode.record_changes(plan antipode.decision[], now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO antipode.usage_delta (bucket_id, versions, bytes)
  SELECT d.bucket_id, d.versions, d.bytes
  FROM (
    SELECT p.bucket_id,
           sum(CASE WHEN p.action IN ('insert', 'replace') AND NOT p.marker THEN 1 ELSE 0 END - p.old_versions) AS versions,
           sum(CASE WHEN p.action IN ('insert', 'replace') THEN coalesce((p.doc->>'size')::bigint, 0) ELSE 0 END
               - p.old_bytes) AS bytes
    FROM unnest(plan) p
    WHERE p.reason IS NULL AND p.action IN ('insert', 'replace', 'remove')
    GROUP BY p.bucket_id
  ) d
  WHERE d.versions <> 0 OR d.bytes <> 0;
  INSERT INTO antipode.outbox (event, bucket_id, key, kind, payload, at, cause)
  SELECT (p.doc->>'writeId')::uuid, p.bucket_id, p.key,
         CASE WHEN p.action = 'remove' THEN 'delete'
              WHEN p.action = 'amend' THEN CASE WHEN p.doc ? 'acl' THEN 'acl' WHEN p.doc ? 'encryption' THEN 'encryption'
                                                ELSE 'storage-class' END
              WHEN p.action NOT IN ('insert', 'replace') THEN p.action
              WHEN p.marker THEN 'delete-marker' ELSE 'put' END,
         jsonb_build_object('result', antipode.result_of(p, now), 'size', p.doc->'size', 'etag', p.doc->'etag'), now,
         nullif(p.doc->'cause', 'null')
  FROM unnest(plan) p WHERE p.reason IS NULL AND p.action <> 'none'
  ORDER BY p.ord;
END
$$;

CREATE OR REPLACE FUNCTION antipode.apply_batch(ops jsonb, intent_ms bigint) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  plan antipode.decision[] := antipode.decide(ops, intent_ms);
  now timestamptz := date_trunc('milliseconds', clock_timestamp());
  quotas antipode.quota[];
  counted boolean;
  shares boolean;
  inserts boolean;
  replaces boolean;
  retires boolean;
  changes boolean;
  parks boolean;
BEGIN
  SELECT bool_or(p.old_blob IS NOT NULL OR p.old_manifest IS NOT NULL OR p.doc->>'content' LIKE 'share-%'),
         bool_or(p.action = 'insert'), bool_or(p.action = 'replace'),
         bool_or(p.promote OR p.demote_seq IS NOT NULL OR p.action IN ('insert', 'remove') AND p.old_seq IS NOT NULL),
         bool_or(p.action IN ('tags', 'retention', 'legal-hold', 'amend')),
         bool_or(p.doc->>'content' = 'blob' AND (p.doc->'blob' ? 'offMap' OR p.doc ? 'lagging')),
         EXISTS (SELECT FROM antipode.bucket b
                 WHERE b.id = ANY (ARRAY(SELECT DISTINCT d.bucket_id FROM unnest(plan) d)) AND b.counted)
  INTO shares, inserts, replaces, retires, changes, parks, counted
  FROM unnest(plan) p WHERE p.reason IS NULL;
  IF counted THEN quotas := antipode.lock_quotas(ARRAY(SELECT p.bucket_id FROM unnest(plan) p)); END IF;
  IF shares THEN plan := antipode.lock_content(plan); END IF;
  IF counted THEN plan := antipode.charge_quotas(plan, quotas); END IF;
  IF inserts OR replaces THEN PERFORM antipode.insert_blobs(plan); END IF;
  IF parks THEN
    PERFORM antipode.park_blobs(ARRAY(
      SELECT p.doc FROM unnest(plan) p
      WHERE p.reason IS NULL AND p.doc->>'content' = 'blob' AND (p.doc->'blob' ? 'offMap' OR p.doc ? 'lagging')));
  END IF;
  IF retires THEN PERFORM antipode.retire_versions(plan); END IF;
  IF inserts THEN PERFORM antipode.insert_versions(plan, now); END IF;
  IF replaces THEN PERFORM antipode.replace_versions(plan, now); END IF;
  IF changes THEN PERFORM antipode.change_versions(plan); END IF;
  IF shares THEN PERFORM antipode.count_references(plan); END IF;
  PERFORM antipode.record_changes(plan, now);
  RETURN (SELECT jsonb_agg(antipode.result_of(p, now) ORDER BY p.ord) FROM unnest(plan) p);
END
$$;

-- As in 0015, and the cause.
CREATE OR REPLACE FUNCTION antipode.complete_upload(c jsonb, intent_ms bigint) RETURNS jsonb
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  v_upload antipode.upload;
  v_manifest bigint;
  v_count integer := jsonb_array_length(c->'parts');
  v_size bigint;
  v_matched integer;
  v_part_bytes bigint;
  v_result jsonb;
BEGIN
  PERFORM antipode.lock_bucket_shared((c->>'bucket')::bigint);
  PERFORM antipode.lock_upload(c->>'uploadId');
  IF NOT EXISTS (SELECT FROM antipode.bucket b WHERE b.id = (c->>'bucket')::bigint) THEN
    RETURN jsonb_build_object('reason', 'bucket-gone');
  END IF;
  SELECT * INTO v_upload FROM antipode.upload u
  WHERE u.upload_id = c->>'uploadId' AND u.bucket_id = (c->>'bucket')::bigint AND u.key = c->>'key';
  IF NOT FOUND THEN RETURN jsonb_build_object('reason', 'no-such-upload'); END IF;
  IF v_upload.state = 'completed' THEN
    RETURN CASE WHEN v_upload.completed_parts = md5((c->'parts')::text) THEN v_upload.result
                ELSE jsonb_build_object('reason', 'no-such-upload') END;
  END IF;
  SELECT count(*), coalesce(sum(p.size), 0) INTO v_matched, v_size
  FROM jsonb_array_elements(c->'parts') x
  JOIN antipode.upload_part p
    ON p.upload_id = v_upload.upload_id AND p.part_number = (x->>'partNumber')::integer AND p.etag = x->>'etag';
  IF v_matched <> v_count OR v_count = 0 OR v_size <> (c->>'size')::bigint
     OR v_count <> (SELECT count(DISTINCT x->>'partNumber') FROM jsonb_array_elements(c->'parts') x) THEN
    RETURN jsonb_build_object('reason', 'invalid-part');
  END IF;
  SELECT sum(p.size) INTO v_part_bytes FROM antipode.upload_part p WHERE p.upload_id = v_upload.upload_id;
  PERFORM antipode.lock_keys(jsonb_build_array(c));
  v_manifest := nextval(pg_get_serial_sequence('antipode.manifest', 'id'));
  v_result := antipode.apply_batch(jsonb_build_array(
    v_upload.attributes || jsonb_strip_nulls(jsonb_build_object(
      'op', 'put', 'writeId', c->'writeId', 'bucket', c->'bucket', 'key', c->'key', 'owner', v_upload.owner,
      'size', c->'size', 'etag', c->'etag', 'checksum', c->'checksum', 'condition', c->'condition',
      'content', 'manifest', 'manifest', v_manifest, 'partCount', v_count,
      'partBytes', v_part_bytes, 'cause', c->'cause'))), intent_ms)->0;
  IF v_result ? 'reason' THEN RETURN v_result; END IF;
  -- The quotas know: the decision had partBytes.
  INSERT INTO antipode.usage_delta (bucket_id, versions, bytes, upload_bytes)
  SELECT v_upload.bucket_id, 0, 0, -v_part_bytes WHERE v_part_bytes <> 0;
  v_result := v_result || jsonb_build_object('etag', c->'etag');
  PERFORM antipode.build_manifest(v_manifest, v_upload.upload_id, c->'parts');
  UPDATE antipode.upload u
  SET state = 'completed', completed_at = clock_timestamp(), completed_parts = md5((c->'parts')::text), result = v_result
  WHERE u.upload_id = v_upload.upload_id;
  RETURN v_result;
END
$$;

CREATE OR REPLACE VIEW catalog.changes AS
SELECT o.event, o.at, o.kind, coalesce(b.name, p.name, o.payload->'bucket'->>'name') AS bucket,
       CASE WHEN o.payload ? 'bucket' THEN NULL ELSE o.key END AS key,
       o.payload->'result'->>'versionId' AS version_id,
       CASE WHEN o.kind = 'delete' THEN coalesce((o.payload->'result'->>'marker')::boolean, false) END AS deleted_marker,
       CASE WHEN o.kind = 'put' THEN coalesce((o.payload->>'size')::bigint, 0) END AS size,
       CASE WHEN o.kind = 'put' THEN o.payload->>'etag' END AS etag,
       o.payload->'bucket' AS bucket_record,
       o.tx AS transaction, o.id AS number, o.tx::text || '-' || o.id::text AS "position",
       o.cause
FROM antipode.outbox o
LEFT JOIN antipode.bucket b ON b.id = o.bucket_id
LEFT JOIN antipode.past_bucket p ON p.id = o.bucket_id
WHERE o.tx < pg_snapshot_xmin(pg_current_snapshot());

COMMENT ON COLUMN catalog.changes.kind IS
  'put, delete-marker, delete, tags, retention, legal-hold, acl, encryption, storage-class; bucket-created, bucket-changed, bucket-deleted, bucket-arrived, bucket-left';
COMMENT ON COLUMN catalog.changes.cause IS 'By what request or job it was made (via) and by whom, where that is known';
COMMENT ON COLUMN catalog.objects.revision IS 'Another one after each write of this row''s content: tags, locks, ACLs and storage classes do not change it';
COMMENT ON COLUMN catalog.object_versions.revision IS 'Another one after each write of this row''s content: tags, locks, ACLs and storage classes do not change it';

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode TO antipode_app;
