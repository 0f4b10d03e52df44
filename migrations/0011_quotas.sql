-- Quotas and exact usage. Every commit appends what it changes to antipode.usage_delta, as before; only where a quota
-- counts a bucket does a commit lock a row (of antipode.quota, which keeps the exact usage), after its keys' locks and
-- before those of manifests and blobs. A bucket says whether a quota counts it, so that others pay one look.
-- Objects are versions without delete markers; bytes are those of versions and of the parts of open uploads.

-- A subject is 'bucket/' and a bucket's id, or 'account/' and the id of the account that owns buckets.
CREATE TABLE antipode.quota (
  subject     text COLLATE "C" PRIMARY KEY,
  bytes_max   bigint CHECK (bytes_max >= 0),
  objects_max bigint CHECK (objects_max >= 0),
  -- What is in use now, exactly.
  bytes       bigint NOT NULL,
  objects     bigint NOT NULL,
  CHECK (bytes_max IS NOT NULL OR objects_max IS NOT NULL)
-- Mostly empty pages are pruned often: a row that every commit changes is found without a walk over its past.
) WITH (fillfactor = 10);
ALTER TABLE antipode.bucket DROP COLUMN quota_bytes, DROP COLUMN quota_objects,
  -- Whether the bucket or its owner has a quota.
  ADD COLUMN counted boolean NOT NULL DEFAULT false;

ALTER TABLE antipode.usage ADD COLUMN upload_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE antipode.usage_delta ADD COLUMN upload_bytes bigint NOT NULL DEFAULT 0;
INSERT INTO antipode.usage_delta (bucket_id, versions, bytes, upload_bytes)
SELECT u.bucket_id, 0, 0, sum(p.size)
FROM antipode.upload_part p JOIN antipode.upload u ON u.upload_id = p.upload_id
GROUP BY u.bucket_id;

-- The quotas that count these buckets, locked, as they stand; none for most. Here and in charge_quotas, plans made for
-- the values at hand would be made anew in every commit: 0.2 ms for the one that is alone.
CREATE FUNCTION antipode.lock_quotas(buckets bigint[]) RETURNS antipode.quota[]
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
  names text[] := ARRAY(
    SELECT s.subject
    FROM antipode.bucket b CROSS JOIN LATERAL (VALUES ('bucket/' || b.id), ('account/' || b.owner)) s(subject)
    WHERE b.id = ANY (buckets) AND b.counted);
BEGIN
  IF cardinality(names) = 0 THEN RETURN '{}'; END IF;
  RETURN ARRAY(SELECT q FROM antipode.quota q WHERE q.subject = ANY (names) ORDER BY q.subject FOR UPDATE);
END
$$;

-- Refuses what goes over a quota and counts the rest, in the batch's order. What takes no more than before passes, also
-- where a quota has been set below what is in use. partBytes: the parts of the upload that is completed, which go.
-- quotas: locked, and all that count the batch's buckets.
CREATE FUNCTION antipode.charge_quotas(plan antipode.decision[], quotas antipode.quota[]) RETURNS antipode.decision[]
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
  names text[] := ARRAY(SELECT q.subject FROM unnest(quotas) q);
  v_bucket bigint;
  v_owner text;
  spots integer[];
  at integer;
  v_bytes bigint;
  v_objects bigint;
BEGIN
  FOR i IN 1 .. cardinality(plan) LOOP
    CONTINUE WHEN plan[i].reason IS NOT NULL OR plan[i].action NOT IN ('insert', 'replace', 'remove');
    IF plan[i].bucket_id IS DISTINCT FROM v_bucket THEN
      v_bucket := plan[i].bucket_id;
      SELECT b.owner INTO v_owner FROM antipode.bucket b WHERE b.id = v_bucket;
      spots := array_remove(
        ARRAY[array_position(names, 'bucket/' || v_bucket), array_position(names, 'account/' || v_owner)], NULL);
    END IF;
    v_objects := CASE WHEN plan[i].action <> 'remove' AND NOT plan[i].marker THEN 1 ELSE 0 END - plan[i].old_versions;
    v_bytes := CASE WHEN plan[i].action <> 'remove' THEN coalesce((plan[i].doc->>'size')::bigint, 0) ELSE 0 END
               - plan[i].old_bytes - coalesce((plan[i].doc->>'partBytes')::bigint, 0);
    FOREACH at IN ARRAY spots LOOP
      IF v_bytes > 0 AND quotas[at].bytes + v_bytes > quotas[at].bytes_max
         OR v_objects > 0 AND quotas[at].objects + v_objects > quotas[at].objects_max THEN
        plan[i].reason := 'over-quota';
      END IF;
    END LOOP;
    CONTINUE WHEN plan[i].reason IS NOT NULL;
    FOREACH at IN ARRAY spots LOOP
      quotas[at].bytes := quotas[at].bytes + v_bytes;
      quotas[at].objects := quotas[at].objects + v_objects;
    END LOOP;
  END LOOP;
  UPDATE antipode.quota q SET bytes = n.bytes, objects = n.objects
  FROM unnest(quotas) n
  WHERE q.subject = n.subject AND (q.bytes <> n.bytes OR q.objects <> n.objects);
  RETURN plan;
END
$$;

-- Counts bytes of parts, come or gone (below 0). False, and nothing is counted, where a quota forbids it.
CREATE FUNCTION antipode.charge_parts(p_bucket bigint, p_bytes bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  quotas antipode.quota[];
BEGIN
  IF p_bytes = 0 THEN RETURN true; END IF;
  quotas := antipode.lock_quotas(ARRAY[p_bucket]);
  IF cardinality(quotas) > 0 THEN
    IF p_bytes > 0 AND EXISTS (SELECT FROM unnest(quotas) q WHERE q.bytes + p_bytes > q.bytes_max) THEN
      RETURN false;
    END IF;
    UPDATE antipode.quota q SET bytes = q.bytes + p_bytes FROM unnest(quotas) n WHERE q.subject = n.subject;
  END IF;
  INSERT INTO antipode.usage_delta (bucket_id, versions, bytes, upload_bytes) VALUES (p_bucket, 0, 0, p_bytes);
  RETURN true;
END
$$;

-- As in 0010, and quotas.
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
BEGIN
  SELECT bool_or(p.old_blob IS NOT NULL OR p.old_manifest IS NOT NULL OR p.doc->>'content' LIKE 'share-%'),
         bool_or(p.action = 'insert'), bool_or(p.action = 'replace'),
         bool_or(p.promote OR p.demote_seq IS NOT NULL OR p.action IN ('insert', 'remove') AND p.old_seq IS NOT NULL),
         bool_or(p.action IN ('tags', 'retention', 'legal-hold')),
         EXISTS (SELECT FROM antipode.bucket b
                 WHERE b.id = ANY (ARRAY(SELECT DISTINCT d.bucket_id FROM unnest(plan) d)) AND b.counted)
  INTO shares, inserts, replaces, retires, changes, counted
  FROM unnest(plan) p WHERE p.reason IS NULL;
  IF counted THEN quotas := antipode.lock_quotas(ARRAY(SELECT p.bucket_id FROM unnest(plan) p)); END IF;
  IF shares THEN plan := antipode.lock_content(plan); END IF;
  IF counted THEN plan := antipode.charge_quotas(plan, quotas); END IF;
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

-- As in 0005, and the part's bytes are counted.
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
    INSERT INTO antipode.off_map_replica (blob_id, member)
    SELECT v_blob, m.member FROM jsonb_array_elements_text(p->'blob'->'offMap') m(member);
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

-- As in 0005, and the parts' bytes are counted. All uploads are of one bucket.
CREATE OR REPLACE FUNCTION antipode.drop_uploads(ids text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_blobs uuid[];
BEGIN
  PERFORM antipode.charge_parts(t.bucket_id, -t.bytes)
  FROM (
    SELECT u.bucket_id, sum(p.size)::bigint AS bytes
    FROM antipode.upload u JOIN antipode.upload_part p ON p.upload_id = u.upload_id
    WHERE u.upload_id = ANY (ids) GROUP BY u.bucket_id
  ) t;
  WITH gone AS (DELETE FROM antipode.upload_part p WHERE p.upload_id = ANY (ids) RETURNING p.blob_id)
  SELECT coalesce(array_agg(g.blob_id), '{}') INTO v_blobs FROM gone g WHERE g.blob_id IS NOT NULL;
  DELETE FROM antipode.upload u WHERE u.upload_id = ANY (ids);
  PERFORM antipode.release_blobs(v_blobs);
END
$$;

-- As in 0005, and the parts' bytes become the object's.
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
      'partBytes', v_part_bytes))), intent_ms)->0;
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

GRANT SELECT, INSERT, UPDATE, DELETE ON antipode.quota TO antipode_app;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA antipode FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA antipode TO antipode_app;
