-- Object lock, in the commit itself: a bucket's default retention is given to each new version by the directory's clock,
-- retention is changed under the key's lock by one rule, and what locks a version can only be said in a bucket with
-- object lock. No bucket loses object lock, and its versioning stays on (antipode.bucket's CHECK, set_versioning).

-- A legal hold that was never placed (null) is told from one that was lifted (false), as S3 does.
ALTER TABLE antipode.version
  ALTER COLUMN legal_hold DROP NOT NULL,
  ALTER COLUMN legal_hold DROP DEFAULT,
  ALTER COLUMN legal_hold TYPE boolean USING nullif(legal_hold, false);

ALTER TABLE antipode.outbox DROP CONSTRAINT outbox_kind_check;
ALTER TABLE antipode.outbox ADD CONSTRAINT outbox_kind_check
  CHECK (kind IN ('put', 'delete-marker', 'delete', 'tags', 'retention', 'legal-hold'));

-- Turns object lock on, which is for good, and sets the default retention: { mode, days } or { mode, years }; null for
-- none. 'done', 'no-such-bucket' or 'not-versioned'.
CREATE FUNCTION antipode.set_object_lock(p_id bigint, p_default jsonb) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM antipode.lock_bucket(p_id);
  IF EXISTS (SELECT FROM antipode.bucket b WHERE b.id = p_id AND b.versioning <> 'enabled') THEN
    RETURN 'not-versioned';
  END IF;
  UPDATE antipode.bucket b
  SET object_lock = true,
      settings = CASE WHEN p_default IS NULL THEN b.settings - 'defaultRetention'
                      ELSE b.settings || jsonb_build_object('defaultRetention', p_default) END
  WHERE b.id = p_id;
  RETURN CASE WHEN FOUND THEN 'done' ELSE 'no-such-bucket' END;
END
$$;

-- Whether object lock forbids removing the row. The bypass is for GOVERNANCE alone.
CREATE OR REPLACE FUNCTION antipode.is_locked(v antipode.version, bypass boolean) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT coalesce(v.legal_hold, false)
      OR coalesce(v.retention_until > clock_timestamp() AND NOT (v.retention_mode = 'GOVERNANCE' AND bypass), false)
$$;

-- Whether the row's retention may become this one (JSON null: none at all). While a retention holds it can be made
-- longer; anything else needs the bypass, and with COMPLIANCE nothing else is possible.
CREATE FUNCTION antipode.may_retain(v antipode.version, retention jsonb, bypass boolean) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT coalesce(v.retention_until <= clock_timestamp(), true)
      OR v.retention_mode = 'GOVERNANCE' AND bypass
      OR coalesce(retention->>'mode' = v.retention_mode
                  AND (retention->>'until')::timestamptz >= v.retention_until, false)
$$;

-- When a retention ends: at its date, or, for a bucket's default, a period after the version was made. Days have 24
-- hours and years are those of the calendar, whatever the session's time zone.
CREATE FUNCTION antipode.retained_until(retention jsonb, now timestamptz) RETURNS timestamptz
LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN retention ? 'days' THEN now + make_interval(hours => 24 * (retention->>'days')::integer)
    WHEN retention ? 'years'
      THEN (now AT TIME ZONE 'UTC' + make_interval(years => (retention->>'years')::integer)) AT TIME ZONE 'UTC'
    ELSE (retention->>'until')::timestamptz
  END
$$;

-- As in 0003, and: retention and legal holds; a bucket's default retention goes into the documents of its puts.
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
        WHEN f.op IN ('tags', 'retention', 'legal-hold') THEN f.op
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
        WHEN a.op IN ('tags', 'retention', 'legal-hold') AND ((a.subject).seq IS NULL OR (a.subject).is_delete_marker)
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
          END)
      END AS reason,
      CASE WHEN a.action = 'insert' THEN nextval('antipode.version_seq')
           WHEN a.action = 'replace' THEN (a.latest).seq ELSE (a.subject).seq END AS seq
    FROM acted a
  )
  SELECT array_agg(ROW(
    r.ord,
    CASE WHEN r.default_retention IS NOT NULL AND r.op = 'put' AND NOT r.doc ? 'retention'
         THEN r.doc || jsonb_build_object('retention', r.default_retention) ELSE r.doc END,
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
    retention_mode, retention_until, legal_hold, system_metadata, user_metadata, tags)
  SELECT p.bucket_id, p.key, p.seq, p.version_id, true, p.marker,
         coalesce((p.doc->>'size')::bigint, 0), (p.doc->>'partCount')::integer,
         (p.doc->'blob'->>'id')::uuid, (p.doc->>'manifest')::bigint, (p.doc->>'writeId')::uuid,
         now, coalesce(p.doc->>'etag', ''), p.doc->>'owner', coalesce(p.doc->>'storageClass', 'STANDARD'),
         p.doc->'checksum'->>'algorithm', p.doc->'checksum'->>'type', p.doc->'checksum'->>'value',
         p.doc->'retention'->>'mode', antipode.retained_until(p.doc->'retention', now),
         (p.doc->>'legalHold')::boolean,
         coalesce(p.doc->'system', '{}'), coalesce(p.doc->'user', '{}'), coalesce(p.doc->'tags', '{}')
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
      tags = coalesce(p.doc->'tags', '{}')
  FROM unnest(plan) p
  WHERE p.reason IS NULL AND p.action = 'replace'
    AND v.bucket_id = p.bucket_id AND v.key = p.key AND v.seq = p.seq;
END
$$;

-- What changes in place: tags, retention, legal hold.
DROP FUNCTION antipode.replace_tags(antipode.decision[]);
CREATE FUNCTION antipode.change_versions(plan antipode.decision[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE antipode.version v
  SET tags = CASE WHEN p.action = 'tags' THEN p.doc->'tags' ELSE v.tags END,
      retention_mode = CASE WHEN p.action = 'retention' THEN p.doc->'retention'->>'mode' ELSE v.retention_mode END,
      retention_until = CASE WHEN p.action = 'retention' THEN (p.doc->'retention'->>'until')::timestamptz
                             ELSE v.retention_until END,
      legal_hold = CASE WHEN p.action = 'legal-hold' THEN (p.doc->>'legalHold')::boolean ELSE v.legal_hold END
  FROM unnest(plan) p
  WHERE p.reason IS NULL AND p.action IN ('tags', 'retention', 'legal-hold')
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
  INSERT INTO antipode.outbox (event, bucket_id, key, kind, payload, at)
  SELECT (p.doc->>'writeId')::uuid, p.bucket_id, p.key,
         CASE WHEN p.action = 'remove' THEN 'delete' WHEN p.action NOT IN ('insert', 'replace') THEN p.action
              WHEN p.marker THEN 'delete-marker' ELSE 'put' END,
         jsonb_build_object('result', antipode.result_of(p, now), 'size', p.doc->'size', 'etag', p.doc->'etag'), now
  FROM unnest(plan) p WHERE p.reason IS NULL AND p.action <> 'none'
  ORDER BY p.ord;
END
$$;

CREATE OR REPLACE FUNCTION antipode.apply_batch(ops jsonb, intent_ms bigint) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  plan antipode.decision[] := antipode.decide(ops, intent_ms);
  now timestamptz := date_trunc('milliseconds', clock_timestamp());
  shares boolean;
  inserts boolean;
  replaces boolean;
  retires boolean;
  changes boolean;
BEGIN
  SELECT bool_or(p.old_blob IS NOT NULL OR p.old_manifest IS NOT NULL OR p.doc->>'content' LIKE 'share-%'),
         bool_or(p.action = 'insert'), bool_or(p.action = 'replace'),
         bool_or(p.promote OR p.demote_seq IS NOT NULL OR p.action IN ('insert', 'remove') AND p.old_seq IS NOT NULL),
         bool_or(p.action IN ('tags', 'retention', 'legal-hold'))
  INTO shares, inserts, replaces, retires, changes
  FROM unnest(plan) p WHERE p.reason IS NULL;
  IF shares THEN plan := antipode.lock_content(plan); END IF;
  IF inserts OR replaces THEN PERFORM antipode.insert_blobs(plan); END IF;
  IF retires THEN PERFORM antipode.retire_versions(plan); END IF;
  IF inserts THEN PERFORM antipode.insert_versions(plan, now); END IF;
  IF replaces THEN PERFORM antipode.replace_versions(plan, now); END IF;
  IF changes THEN PERFORM antipode.change_versions(plan); END IF;
  IF shares THEN PERFORM antipode.count_references(plan); END IF;
  PERFORM antipode.record_changes(plan, now);
  RETURN (SELECT jsonb_agg(antipode.result_of(p, now) ORDER BY p.ord) FROM unnest(plan) p);
END
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA antipode FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA antipode TO antipode_app;
