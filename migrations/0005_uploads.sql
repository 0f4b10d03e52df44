-- Multipart uploads. An upload's lock is shared by whoever puts a part and exclusive for what ends the upload; a
-- part's lock orders two puts of one part number. Both are taken after the bucket's lock and before the key's.

CREATE FUNCTION antipode.lock_upload(p_upload text) RETURNS void
LANGUAGE sql AS $$ SELECT pg_advisory_xact_lock(2, hashtext(p_upload)) $$;

-- Gives one reference per array element back. The elements' blobs may be any that the transaction has not locked.
CREATE FUNCTION antipode.release_blobs(ids uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF cardinality(ids) = 0 THEN RETURN; END IF;
  PERFORM 1 FROM antipode.blob b WHERE b.id = ANY (ids) ORDER BY b.id FOR UPDATE;
  UPDATE antipode.blob b
  SET ref_count = b.ref_count - d.n,
      state = CASE WHEN b.ref_count = d.n THEN 'dying' ELSE 'live' END,
      dying_since = CASE WHEN b.ref_count = d.n THEN clock_timestamp() END
  FROM (SELECT i.id, count(*)::integer AS n FROM unnest(ids) i(id) GROUP BY i.id) d
  WHERE b.id = d.id;
END
$$;

CREATE FUNCTION antipode.create_upload(u jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  now timestamptz := date_trunc('milliseconds', clock_timestamp());
BEGIN
  PERFORM antipode.lock_bucket_shared((u->>'bucket')::bigint);
  IF NOT EXISTS (SELECT FROM antipode.bucket b WHERE b.id = (u->>'bucket')::bigint) THEN
    RETURN jsonb_build_object('reason', 'bucket-gone');
  END IF;
  INSERT INTO antipode.upload (upload_id, bucket_id, key, initiated, owner, attributes, checksum_algorithm, checksum_type)
  VALUES (u->>'uploadId', (u->>'bucket')::bigint, u->>'key', now, u->>'owner', u->'attributes',
          u->>'checksumAlgorithm', u->>'checksumType');
  RETURN jsonb_build_object('initiatedMs', (extract(epoch FROM now) * 1000)::bigint);
END
$$;

CREATE FUNCTION antipode.put_part(p jsonb, intent_ms bigint) RETURNS jsonb
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  now timestamptz;
  v_upload text := p->>'uploadId';
  v_number integer := (p->>'partNumber')::integer;
  v_blob uuid := (p->'blob'->>'id')::uuid;
  v_old uuid;
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
  SELECT o.blob_id INTO v_old FROM antipode.upload_part o WHERE o.upload_id = v_upload AND o.part_number = v_number;
  PERFORM 1 FROM antipode.blob b WHERE b.id IN (v_old, v_blob) ORDER BY b.id FOR UPDATE;
  IF p->>'content' = 'share-blob' THEN
    UPDATE antipode.blob b SET ref_count = b.ref_count + 1 WHERE b.id = v_blob AND b.state = 'live';
    IF NOT FOUND THEN RETURN jsonb_build_object('reason', 'blob-dying'); END IF;
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

-- Ends uploads without an object. The caller holds their locks (or the bucket's exclusive one).
CREATE FUNCTION antipode.drop_uploads(ids text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_blobs uuid[];
BEGIN
  WITH gone AS (DELETE FROM antipode.upload_part p WHERE p.upload_id = ANY (ids) RETURNING p.blob_id)
  SELECT coalesce(array_agg(g.blob_id), '{}') INTO v_blobs FROM gone g WHERE g.blob_id IS NOT NULL;
  DELETE FROM antipode.upload u WHERE u.upload_id = ANY (ids);
  PERFORM antipode.release_blobs(v_blobs);
END
$$;

CREATE FUNCTION antipode.abort_upload(p_bucket bigint, p_key text, p_upload text) RETURNS boolean
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
BEGIN
  PERFORM antipode.lock_bucket_shared(p_bucket);
  PERFORM antipode.lock_upload(p_upload);
  IF NOT EXISTS (SELECT FROM antipode.upload u WHERE u.upload_id = p_upload AND u.bucket_id = p_bucket
                 AND u.key = p_key AND u.state = 'open') THEN
    RETURN false;
  END IF;
  PERFORM antipode.drop_uploads(ARRAY[p_upload]);
  RETURN true;
END
$$;

-- Makes a manifest of the named parts and drops the upload's other parts.
CREATE FUNCTION antipode.build_manifest(p_manifest bigint, p_upload text, parts jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_unused uuid[];
BEGIN
  INSERT INTO antipode.manifest_part (manifest_id, part_number, "offset", size, etag, checksum, blob_id)
  SELECT p_manifest, u.part_number, sum(u.size) OVER (ORDER BY u.part_number) - u.size, u.size, u.etag, u.checksum, u.blob_id
  FROM antipode.upload_part u
  WHERE u.upload_id = p_upload
    AND u.part_number IN (SELECT (x->>'partNumber')::integer FROM jsonb_array_elements(parts) x);
  INSERT INTO antipode.manifest (id, size, part_count)
  SELECT p_manifest, sum(m.size), count(*) FROM antipode.manifest_part m WHERE m.manifest_id = p_manifest;
  WITH gone AS (DELETE FROM antipode.upload_part u WHERE u.upload_id = p_upload RETURNING u.part_number, u.blob_id)
  SELECT coalesce(array_agg(g.blob_id), '{}') INTO v_unused
  FROM gone g
  WHERE g.blob_id IS NOT NULL
    AND g.part_number NOT IN (SELECT m.part_number FROM antipode.manifest_part m WHERE m.manifest_id = p_manifest);
  PERFORM antipode.release_blobs(v_unused);
END
$$;

-- c: { bucket, key, uploadId, writeId, parts: [{ partNumber, etag }], size, etag, checksum, condition }
CREATE FUNCTION antipode.complete_upload(c jsonb, intent_ms bigint) RETURNS jsonb
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  v_upload antipode.upload;
  v_manifest bigint;
  v_count integer := jsonb_array_length(c->'parts');
  v_size bigint;
  v_matched integer;
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
  PERFORM antipode.lock_keys(jsonb_build_array(c));
  v_manifest := nextval(pg_get_serial_sequence('antipode.manifest', 'id'));
  v_result := antipode.apply_batch(jsonb_build_array(
    v_upload.attributes || jsonb_strip_nulls(jsonb_build_object(
      'op', 'put', 'writeId', c->'writeId', 'bucket', c->'bucket', 'key', c->'key', 'owner', v_upload.owner,
      'size', c->'size', 'etag', c->'etag', 'checksum', c->'checksum', 'condition', c->'condition',
      'content', 'manifest', 'manifest', v_manifest, 'partCount', v_count))), intent_ms)->0;
  IF v_result ? 'reason' THEN RETURN v_result; END IF;
  v_result := v_result || jsonb_build_object('etag', c->'etag');
  PERFORM antipode.build_manifest(v_manifest, v_upload.upload_id, c->'parts');
  UPDATE antipode.upload u
  SET state = 'completed', completed_at = clock_timestamp(), completed_parts = md5((c->'parts')::text), result = v_result
  WHERE u.upload_id = v_upload.upload_id;
  RETURN v_result;
END
$$;
