-- What is not where the map says: replicas off the map (handoffs), and repairs, which stand for replicas that members
-- of a blob's pair should have and do not have. Commits check the epoch of the pair they name and record both.

ALTER TABLE antipode.off_map_replica
  -- The member of the pair that it stands for; null: nobody in particular.
  ADD COLUMN home text COLLATE "C",
  -- No longer wanted: its bytes are to be dropped. No read is sent there, and a dying blob is still looked for there.
  ADD COLUMN surplus boolean NOT NULL DEFAULT false;
CREATE INDEX off_map_replica_surplus ON antipode.off_map_replica (blob_id) WHERE surplus;

-- A blob has repairs only while it lives: take_repairs removes those of one that is dying, forget_blobs what is left.
CREATE TABLE antipode.repair (
  blob_id    uuid NOT NULL,
  member     text COLLATE "C" NOT NULL,
  reason     text COLLATE "C" NOT NULL CHECK (reason IN ('handoff', 'lag', 'missing', 'corrupt', 'lost')),
  found_by   text COLLATE "C" NOT NULL,
  since      timestamptz NOT NULL DEFAULT clock_timestamp(),
  attempts   integer NOT NULL DEFAULT 0,
  -- When it is due: at once, when its lease ends, or when it is tried again.
  next_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  last_error text,
  PRIMARY KEY (blob_id, member)
);
-- Member by member: what waits for a member in failover is never walked through to find what is due for others.
CREATE INDEX repair_due ON antipode.repair (member, next_at);
CREATE INDEX repair_member ON antipode.repair (member, blob_id);
-- The tombstones of a pair, for a resync.
CREATE INDEX blob_dying_pair ON antipode.blob (pair, id) WHERE state = 'dying';

-- As in 0010, and the epoch of the blob's pair, where the document has one. A plain look without a lock, so a change of
-- the epoch may pass between it and the end of the transaction. That does no harm, as the commit then counts as one
-- made before the change: its replicas are durable where its row says, and what the map lacks has its repair.
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

-- As in 0004, without what is off the map (park_blobs).
CREATE OR REPLACE FUNCTION antipode.insert_blobs(plan antipode.decision[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO antipode.blob (id, pair, size, root)
  SELECT (p.doc->'blob'->>'id')::uuid, p.doc->'blob'->>'pair', (p.doc->'blob'->>'size')::bigint,
         decode(p.doc->'blob'->>'root', 'hex')
  FROM unnest(plan) p WHERE p.reason IS NULL AND p.doc->>'content' = 'blob';
END
$$;

-- Records where new blobs are off the map, and a repair for each member that lacks one. docs: those of puts whose blob
-- has offMap (offMap[i] stands for absent[i]) or that have lagging.
CREATE FUNCTION antipode.park_blobs(docs jsonb[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO antipode.off_map_replica (blob_id, member, home)
  SELECT (d->'blob'->>'id')::uuid, m.member, d->'blob'->'absent'->>(m.ord - 1)::integer
  FROM unnest(docs) d
  CROSS JOIN LATERAL jsonb_array_elements_text(d->'blob'->'offMap') WITH ORDINALITY m(member, ord)
  ON CONFLICT DO NOTHING;
  INSERT INTO antipode.repair (blob_id, member, reason, found_by)
  SELECT (d->'blob'->>'id')::uuid, r.member, r.reason, 'write'
  FROM unnest(docs) d
  CROSS JOIN LATERAL (
    SELECT a.member, 'handoff' AS reason FROM jsonb_array_elements_text(d->'blob'->'absent') a(member)
    UNION ALL
    SELECT l.member, 'lag' FROM jsonb_array_elements_text(d->'lagging') l(member)
  ) r
  ON CONFLICT DO NOTHING;
END
$$;

-- As in 0011, and what is parked off the map.
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
         bool_or(p.action IN ('tags', 'retention', 'legal-hold')),
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

-- As in 0011, and the pair's epoch, and what is parked off the map.
CREATE OR REPLACE FUNCTION antipode.put_part(p jsonb, intent_ms bigint) RETURNS jsonb
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  now timestamptz;
  v_upload text := p->>'uploadId';
  v_number integer := (p->>'partNumber')::integer;
  v_blob uuid := (p->'blob'->>'id')::uuid;
  v_old uuid;
  v_old_size bigint;
BEGIN
  PERFORM antipode.lock_bucket_shared((p->>'bucket')::bigint);
  PERFORM pg_advisory_xact_lock_shared(2, hashtext(v_upload));
  PERFORM pg_advisory_xact_lock(hashtextextended(v_upload, v_number));
  IF NOT EXISTS (SELECT FROM antipode.bucket b WHERE b.id = (p->>'bucket')::bigint) THEN
    RETURN jsonb_build_object('reason', 'bucket-gone');
  END IF;
  IF NOT EXISTS (SELECT FROM antipode.upload u WHERE u.upload_id = v_upload AND u.bucket_id = (p->>'bucket')::bigint
                 AND u.state = 'open') THEN
    RETURN jsonb_build_object('reason', 'no-such-upload');
  END IF;
  IF (p->>'intentAt')::bigint + intent_ms < extract(epoch FROM clock_timestamp()) * 1000 THEN
    RETURN jsonb_build_object('reason', 'intent-expired');
  END IF;
  IF (p->>'epoch')::bigint
     < (SELECT e.epoch FROM antipode.pair_epoch e WHERE e.pair = p->'blob'->>'pair') THEN
    RETURN jsonb_build_object('reason', 'stale-epoch');
  END IF;
  SELECT o.blob_id, o.size INTO v_old, v_old_size
  FROM antipode.upload_part o WHERE o.upload_id = v_upload AND o.part_number = v_number;
  PERFORM antipode.lock_quotas(ARRAY[(p->>'bucket')::bigint]);
  PERFORM 1 FROM antipode.blob b WHERE b.id IN (v_old, v_blob) ORDER BY b.id FOR UPDATE;
  IF p->>'content' = 'share-blob'
     AND NOT EXISTS (SELECT FROM antipode.blob b WHERE b.id = v_blob AND b.state = 'live') THEN
    RETURN jsonb_build_object('reason', 'blob-dying');
  END IF;
  IF NOT antipode.charge_parts((p->>'bucket')::bigint, (p->>'size')::bigint - coalesce(v_old_size, 0)) THEN
    RETURN jsonb_build_object('reason', 'over-quota');
  END IF;
  IF p->>'content' = 'share-blob' THEN
    UPDATE antipode.blob b SET ref_count = b.ref_count + 1 WHERE b.id = v_blob;
  ELSIF v_blob IS NOT NULL THEN
    INSERT INTO antipode.blob (id, pair, size, root)
    VALUES (v_blob, p->'blob'->>'pair', (p->'blob'->>'size')::bigint, decode(p->'blob'->>'root', 'hex'));
    IF p->'blob' ? 'offMap' OR p ? 'lagging' THEN PERFORM antipode.park_blobs(ARRAY[p]); END IF;
  END IF;
  now := date_trunc('milliseconds', clock_timestamp());
  INSERT INTO antipode.upload_part (upload_id, part_number, size, etag, checksum, blob_id, last_modified, write_id)
  VALUES (v_upload, v_number, (p->>'size')::bigint, p->>'etag', p->>'checksum', v_blob, now, (p->>'writeId')::uuid)
  ON CONFLICT (upload_id, part_number) DO UPDATE
  SET size = excluded.size, etag = excluded.etag, checksum = excluded.checksum, blob_id = excluded.blob_id,
      last_modified = excluded.last_modified, write_id = excluded.write_id;
  IF v_old IS NOT NULL THEN PERFORM antipode.release_blobs(ARRAY[v_old]); END IF;
  RETURN jsonb_build_object('lastModifiedMs', (extract(epoch FROM now) * 1000)::bigint);
END
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON antipode.repair TO antipode_app;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA antipode FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA antipode TO antipode_app;
