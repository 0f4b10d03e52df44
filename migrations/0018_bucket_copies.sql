-- The copy of a bucket's rows from one directory to another (the states of a move: 0017). Pages travel as documents, each
-- row with all its columns, whatever those are. A page replaces whatever the target has in its range, so it may come twice,
-- and a page of an earlier state of the source is mended by the next one of the same keys.
--
-- A blob that the bucket names gets a row in the target and keeps the one in the source while anything there names it: each
-- directory counts its own references, and bytes die with the last directory that names them (see antipode.live_blobs).

-- Within a bucket, versions are in the order of version_pk: keys ascending, seq descending. A range is what comes after
-- (after_key, after_seq), up to and with (to_key, to_seq).

-- What rows of the bucket name: their blobs, with what is known of them, and their manifests with parts.
CREATE FUNCTION antipode.export_content(p_blobs uuid[], p_manifests bigint[]) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  v_all uuid[] := ARRAY(
    SELECT i FROM unnest(p_blobs) i WHERE i IS NOT NULL
    UNION SELECT p.blob_id FROM antipode.manifest_part p WHERE p.manifest_id = ANY (p_manifests) AND p.blob_id IS NOT NULL);
BEGIN
  RETURN jsonb_build_object(
    'manifests', (SELECT coalesce(jsonb_agg(to_jsonb(m)), '[]') FROM antipode.manifest m WHERE m.id = ANY (p_manifests)),
    'parts', (SELECT coalesce(jsonb_agg(to_jsonb(p)), '[]') FROM antipode.manifest_part p WHERE p.manifest_id = ANY (p_manifests)),
    'blobs', (SELECT coalesce(jsonb_agg(to_jsonb(b)), '[]') FROM antipode.blob b WHERE b.id = ANY (v_all)),
    'offMap', (SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]') FROM antipode.off_map_replica r WHERE r.blob_id = ANY (v_all)),
    'repairs', (SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]') FROM antipode.repair r WHERE r.blob_id = ANY (v_all)));
END
$$;

-- A page of versions, at most p_max rows and p_parts parts of manifests (one row at least): { rows, content, toKey, toSeq,
-- more }. p_until: the last key of all, or null.
CREATE FUNCTION antipode.export_versions(
  p_bucket bigint, p_after_key text, p_after_seq bigint, p_until text, p_max integer, p_parts integer
) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  v_rows antipode.version[];
  v_seen integer;
  v_last antipode.version;
BEGIN
  WITH page AS MATERIALIZED (
    SELECT u.v FROM (
      (SELECT t AS v FROM antipode.version t
       WHERE t.bucket_id = p_bucket AND t.key = p_after_key AND t.seq < p_after_seq ORDER BY t.seq DESC LIMIT p_max)
      UNION ALL
      (SELECT t FROM antipode.version t
       WHERE t.bucket_id = p_bucket AND t.key > p_after_key AND (p_until IS NULL OR t.key <= p_until)
       ORDER BY t.key, t.seq DESC LIMIT p_max)
    ) u ORDER BY (u.v).key, (u.v).seq DESC LIMIT p_max
  ), counted AS (
    SELECT p.v, row_number() OVER w AS n, sum(coalesce((p.v).part_count, 0)) OVER w AS parts
    FROM page p WINDOW w AS (ORDER BY (p.v).key, (p.v).seq DESC)
  )
  SELECT array_agg(c.v ORDER BY c.n) FILTER (WHERE c.n = 1 OR c.parts <= p_parts), count(*) INTO v_rows, v_seen FROM counted c;
  IF v_rows IS NULL THEN
    RETURN jsonb_build_object('rows', '[]'::jsonb, 'content', NULL, 'more', false);
  END IF;
  v_last := v_rows[cardinality(v_rows)];
  RETURN jsonb_build_object(
    'rows', to_jsonb(v_rows),
    'content', antipode.export_content(
      ARRAY(SELECT r.blob_id FROM unnest(v_rows) r), ARRAY(SELECT r.manifest_id FROM unnest(v_rows) r WHERE r.manifest_id IS NOT NULL)),
    'toKey', v_last.key, 'toSeq', v_last.seq,
    'more', v_seen >= p_max OR v_seen > cardinality(v_rows));
END
$$;

-- Takes references to blobs and manifests in the target: one for each element. Those that are not there are made; what was
-- dying here lives again, which is safe while the source names it (see antipode.live_blobs).
CREATE FUNCTION antipode.import_content(content jsonb, p_blobs uuid[], p_manifests bigint[]) RETURNS void
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  v_made bigint[];
  v_refs uuid[];
  v_fresh uuid[];
BEGIN
  PERFORM 1 FROM antipode.manifest m WHERE m.id = ANY (p_manifests) ORDER BY m.id FOR UPDATE;
  WITH made AS (
    INSERT INTO antipode.manifest (id, size, part_count, ref_count, dying_since)
    SELECT m.id, m.size, m.part_count, n.n, NULL
    FROM jsonb_populate_recordset(NULL::antipode.manifest, content->'manifests') m
    JOIN (SELECT i.id, count(*)::integer AS n FROM unnest(p_manifests) i(id) GROUP BY i.id) n ON n.id = m.id
    ORDER BY m.id
    ON CONFLICT (id) DO NOTHING RETURNING id
  )
  SELECT coalesce(array_agg(m.id), '{}') INTO v_made FROM made m;
  UPDATE antipode.manifest m SET ref_count = m.ref_count + n.n, dying_since = NULL
  FROM (SELECT i.id, count(*)::integer AS n FROM unnest(p_manifests) i(id) WHERE i.id <> ALL (v_made) GROUP BY i.id) n
  WHERE m.id = n.id;
  INSERT INTO antipode.manifest_part
  SELECT p.* FROM jsonb_populate_recordset(NULL::antipode.manifest_part, content->'parts') p WHERE p.manifest_id = ANY (v_made);
  v_refs := p_blobs || ARRAY(
    SELECT p.blob_id FROM antipode.manifest_part p WHERE p.manifest_id = ANY (v_made) AND p.blob_id IS NOT NULL);
  PERFORM 1 FROM antipode.blob b WHERE b.id = ANY (v_refs) ORDER BY b.id FOR UPDATE;
  WITH made AS (
    INSERT INTO antipode.blob (id, pair, size, root, ref_count, encryption_key_id)
    SELECT b.id, b.pair, b.size, b.root, 1, b.encryption_key_id
    FROM jsonb_populate_recordset(NULL::antipode.blob, content->'blobs') b WHERE b.id = ANY (v_refs) ORDER BY b.id
    ON CONFLICT (id) DO NOTHING RETURNING id
  )
  SELECT coalesce(array_agg(m.id), '{}') INTO v_fresh FROM made m;
  v_fresh := v_fresh || ARRAY(SELECT b.id FROM antipode.blob b WHERE b.id = ANY (v_refs) AND b.state = 'dying');
  UPDATE antipode.blob b
  SET ref_count = b.ref_count + n.n - CASE WHEN b.id = ANY (v_fresh) AND b.state = 'live' THEN 1 ELSE 0 END,
      state = 'live', dying_since = NULL, taken_at = NULL
  FROM (SELECT i.id, count(*)::integer AS n FROM unnest(v_refs) i(id) GROUP BY i.id) n
  WHERE b.id = n.id AND (n.n > 1 OR b.state = 'dying' OR b.id <> ALL (v_fresh));
  INSERT INTO antipode.off_map_replica
  SELECT r.* FROM jsonb_populate_recordset(NULL::antipode.off_map_replica, content->'offMap') r WHERE r.blob_id = ANY (v_fresh)
  ON CONFLICT DO NOTHING;
  INSERT INTO antipode.repair
  SELECT r.* FROM jsonb_populate_recordset(NULL::antipode.repair, content->'repairs') r WHERE r.blob_id = ANY (v_fresh)
  ON CONFLICT DO NOTHING;
END
$$;

-- Gives references back; one for each element.
CREATE FUNCTION antipode.release_content(p_blobs uuid[], p_manifests bigint[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM antipode.manifest m WHERE m.id = ANY (p_manifests) ORDER BY m.id FOR UPDATE;
  UPDATE antipode.manifest m
  SET ref_count = m.ref_count - n.n, dying_since = CASE WHEN m.ref_count = n.n THEN clock_timestamp() END
  FROM (SELECT i.id, count(*)::integer AS n FROM unnest(p_manifests) i(id) GROUP BY i.id) n
  WHERE m.id = n.id;
  PERFORM antipode.release_blobs(p_blobs);
END
$$;

-- Puts a page in the place of what the target has in its range. False: somebody else carries the move on.
CREATE FUNCTION antipode.import_versions(
  p_bucket bigint, p_epoch bigint, p_turn bigint,
  p_after_key text, p_after_seq bigint, p_to_key text, p_to_seq bigint, p_rows jsonb, p_content jsonb
) RETURNS boolean
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  m antipode.bucket_move := antipode.enter_move(p_bucket, p_epoch, p_turn);
  v_new antipode.version[];
  v_old antipode.version[];
BEGIN
  IF m.bucket_id IS NULL OR m.state <> 'incoming' THEN RETURN false; END IF;
  v_new := ARRAY(SELECT r FROM jsonb_populate_recordset(NULL::antipode.version, p_rows) r);
  PERFORM antipode.import_content(
    p_content, ARRAY(SELECT r.blob_id FROM unnest(v_new) r WHERE r.blob_id IS NOT NULL),
    ARRAY(SELECT r.manifest_id FROM unnest(v_new) r WHERE r.manifest_id IS NOT NULL));
  WITH gone AS (
    DELETE FROM antipode.version t
    WHERE t.bucket_id = p_bucket AND t.key >= p_after_key AND t.key <= p_to_key
      AND ((t.key > p_after_key OR t.seq < p_after_seq) AND (t.key < p_to_key OR t.seq >= p_to_seq)
           -- Outside: what cannot stand beside the page is of an earlier state, and its key comes again.
           OR EXISTS (SELECT FROM unnest(v_new) r WHERE r.key = t.key
                      AND (r.is_latest AND t.is_latest OR r.version_id = 'null' AND t.version_id = 'null' OR r.seq = t.seq)))
    RETURNING t AS v
  )
  SELECT coalesce(array_agg(g.v), '{}') INTO v_old FROM gone g;
  INSERT INTO antipode.version SELECT r.* FROM unnest(v_new) r;
  PERFORM antipode.release_content(
    ARRAY(SELECT r.blob_id FROM unnest(v_old) r WHERE r.blob_id IS NOT NULL),
    ARRAY(SELECT r.manifest_id FROM unnest(v_old) r WHERE r.manifest_id IS NOT NULL));
  UPDATE antipode.bucket_move o
  SET versions = o.versions + n.versions - g.versions, bytes = o.bytes + n.bytes - g.bytes
  FROM (SELECT count(*) FILTER (WHERE NOT r.is_delete_marker) AS versions, coalesce(sum(r.size), 0)::bigint AS bytes FROM unnest(v_new) r) n,
       (SELECT count(*) FILTER (WHERE NOT r.is_delete_marker) AS versions, coalesce(sum(r.size), 0)::bigint AS bytes FROM unnest(v_old) r) g
  WHERE o.bucket_id = p_bucket;
  RETURN true;
END
$$;

-- What an upload is at this moment, to be compared: the bucket's uploads after p_after, by id.
CREATE FUNCTION antipode.upload_prints(p_bucket bigint, p_after text, p_max integer) RETURNS TABLE (upload_id text, print text)
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT u.upload_id, md5(u.state || coalesce(u.result::text, '') || coalesce(
    (SELECT string_agg(p.part_number || ':' || p.write_id, ',' ORDER BY p.part_number)
     FROM antipode.upload_part p WHERE p.upload_id = u.upload_id), ''))
  FROM (SELECT * FROM antipode.upload t WHERE t.bucket_id = p_bucket AND t.upload_id > p_after ORDER BY t.upload_id LIMIT p_max) u
  ORDER BY u.upload_id;
END
$$;

-- { upload, parts, content }; upload is null when it is gone.
CREATE FUNCTION antipode.export_upload(p_bucket bigint, p_upload text) RETURNS jsonb
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
BEGIN
  RETURN jsonb_build_object(
    'upload', (SELECT to_jsonb(u) FROM antipode.upload u WHERE u.upload_id = p_upload AND u.bucket_id = p_bucket),
    'parts', (SELECT coalesce(jsonb_agg(to_jsonb(p)), '[]') FROM antipode.upload_part p WHERE p.upload_id = p_upload),
    'content', antipode.export_content(
      ARRAY(SELECT p.blob_id FROM antipode.upload_part p WHERE p.upload_id = p_upload AND p.blob_id IS NOT NULL), '{}'));
END
$$;

CREATE FUNCTION antipode.import_upload(p_bucket bigint, p_epoch bigint, p_turn bigint, p_upload text, doc jsonb) RETURNS boolean
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  m antipode.bucket_move := antipode.enter_move(p_bucket, p_epoch, p_turn);
  v_old uuid[];
  v_bytes bigint := coalesce((SELECT sum(p.size) FROM antipode.upload_part p WHERE p.upload_id = p_upload), 0);
BEGIN
  IF m.bucket_id IS NULL OR m.state <> 'incoming' THEN RETURN false; END IF;
  PERFORM antipode.import_content(doc->'content', ARRAY(
    SELECT p.blob_id FROM jsonb_populate_recordset(NULL::antipode.upload_part, doc->'parts') p WHERE p.blob_id IS NOT NULL), '{}');
  WITH gone AS (DELETE FROM antipode.upload_part p WHERE p.upload_id = p_upload RETURNING p.blob_id)
  SELECT coalesce(array_agg(g.blob_id), '{}') INTO v_old FROM gone g WHERE g.blob_id IS NOT NULL;
  DELETE FROM antipode.upload u WHERE u.upload_id = p_upload;
  IF jsonb_typeof(doc->'upload') = 'object' THEN
    INSERT INTO antipode.upload SELECT u.* FROM jsonb_populate_record(NULL::antipode.upload, doc->'upload') u;
    INSERT INTO antipode.upload_part SELECT p.* FROM jsonb_populate_recordset(NULL::antipode.upload_part, doc->'parts') p;
  END IF;
  PERFORM antipode.release_content(v_old, '{}');
  UPDATE antipode.bucket_move o
  SET upload_bytes = o.upload_bytes - v_bytes
      + coalesce((SELECT sum(p.size) FROM antipode.upload_part p WHERE p.upload_id = p_upload), 0)
  WHERE o.bucket_id = p_bucket;
  RETURN true;
END
$$;

-- Removes what is left of the bucket: in the source once it is gone, in the target when the move is given up. Answers
-- 'more', 'done', or 'stale'.
CREATE FUNCTION antipode.purge_bucket(p_bucket bigint, p_epoch bigint, p_turn bigint, p_max integer) RETURNS text
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  m antipode.bucket_move := antipode.enter_move(p_bucket, p_epoch, p_turn);
  v_old antipode.version[];
  v_blobs uuid[];
  v_uploads text[];
BEGIN
  IF m.bucket_id IS NULL THEN RETURN 'stale'; END IF;
  IF m.state = 'ended' THEN RETURN 'done'; END IF;
  IF m.state NOT IN ('gone', 'incoming') OR EXISTS (SELECT FROM antipode.bucket b WHERE b.id = p_bucket) THEN RETURN 'stale'; END IF;
  WITH gone AS (
    DELETE FROM antipode.version t
    USING (SELECT k.key, k.seq FROM antipode.version k WHERE k.bucket_id = p_bucket ORDER BY k.key, k.seq DESC LIMIT p_max) k
    WHERE t.bucket_id = p_bucket AND t.key = k.key AND t.seq = k.seq RETURNING t AS v
  )
  SELECT coalesce(array_agg(g.v), '{}') INTO v_old FROM gone g;
  v_uploads := ARRAY(SELECT u.upload_id FROM antipode.upload u WHERE u.bucket_id = p_bucket ORDER BY u.upload_id LIMIT 100);
  WITH gone AS (DELETE FROM antipode.upload_part p WHERE p.upload_id = ANY (v_uploads) RETURNING p.blob_id)
  SELECT coalesce(array_agg(g.blob_id), '{}') INTO v_blobs FROM gone g WHERE g.blob_id IS NOT NULL;
  DELETE FROM antipode.upload u WHERE u.upload_id = ANY (v_uploads);
  PERFORM antipode.release_content(
    v_blobs || ARRAY(SELECT r.blob_id FROM unnest(v_old) r WHERE r.blob_id IS NOT NULL),
    ARRAY(SELECT r.manifest_id FROM unnest(v_old) r WHERE r.manifest_id IS NOT NULL));
  IF cardinality(v_old) > 0 OR cardinality(v_uploads) > 0 THEN RETURN 'more'; END IF;
  DELETE FROM antipode.usage u WHERE u.bucket_id = p_bucket;
  DELETE FROM antipode.usage_delta d WHERE d.bucket_id = p_bucket;
  UPDATE antipode.bucket_move o
  SET state = 'ended', bucket = NULL, quota = NULL, versions = 0, bytes = 0, upload_bytes = 0 WHERE o.bucket_id = p_bucket;
  RETURN 'done';
END
$$;

-- Ends the source's side of a move that is given up: its bucket stays. 'done' or 'stale'.
CREATE FUNCTION antipode.keep_bucket(p_bucket bigint, p_epoch bigint, p_turn bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  m antipode.bucket_move := antipode.enter_move(p_bucket, p_epoch, p_turn);
BEGIN
  IF m.bucket_id IS NULL OR m.state NOT IN ('copying', 'ended') THEN RETURN 'stale'; END IF;
  UPDATE antipode.bucket_move o SET state = 'ended' WHERE o.bucket_id = p_bucket;
  RETURN 'done';
END
$$;

-- Which of these blobs live here. A blob's bytes may go when it lives in no directory, twice asked: first all of them, then
-- all of them again. It comes alive only by a copy from a directory where it lives and that names it until after, so what
-- lived nowhere when it was asked first was, at the second time, nowhere on its way.
CREATE FUNCTION antipode.live_blobs(p_ids uuid[]) RETURNS SETOF uuid
LANGUAGE sql STABLE AS $$
  SELECT b.id FROM antipode.blob b WHERE b.id = ANY (p_ids) AND b.state = 'live'
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode TO antipode_app;
