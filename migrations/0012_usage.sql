-- Setting quotas, reading usage, and proving it. (The counting: 0011.)

-- An account's lock is shared by whoever makes a bucket of it and exclusive for what changes its quota. It comes before
-- the locks of buckets.
CREATE OR REPLACE FUNCTION antipode.create_bucket(
  p_id bigint, p_name text, p_owner text, p_region text, p_created_at timestamptz, p_object_lock boolean, p_settings jsonb
) RETURNS SETOF antipode.bucket
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(5, hashtext(p_owner));
  PERFORM antipode.lock_bucket(p_id);
  INSERT INTO antipode.bucket (id, name, owner, region, created_at, versioning, object_lock, settings, counted)
  VALUES (p_id, p_name, p_owner, p_region, p_created_at,
          CASE WHEN p_object_lock THEN 'enabled' ELSE 'unversioned' END, p_object_lock, p_settings,
          EXISTS (SELECT FROM antipode.quota q WHERE q.subject = 'account/' || p_owner))
  ON CONFLICT (id) DO NOTHING;
  RETURN QUERY SELECT * FROM antipode.bucket b WHERE b.id = p_id;
END
$$;

-- As in 0006, and its quota goes too.
CREATE OR REPLACE FUNCTION antipode.delete_bucket(p_id bigint) RETURNS text
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
BEGIN
  PERFORM antipode.lock_bucket(p_id);
  IF NOT EXISTS (SELECT FROM antipode.bucket b WHERE b.id = p_id) THEN RETURN 'no-such-bucket'; END IF;
  IF EXISTS (SELECT FROM antipode.version v WHERE v.bucket_id = p_id) THEN RETURN 'not-empty'; END IF;
  PERFORM antipode.drop_uploads(ARRAY(SELECT u.upload_id FROM antipode.upload u WHERE u.bucket_id = p_id ORDER BY 1));
  DELETE FROM antipode.usage u WHERE u.bucket_id = p_id;
  DELETE FROM antipode.quota q WHERE q.subject = 'bucket/' || p_id;
  DELETE FROM antipode.bucket b WHERE b.id = p_id;
  RETURN 'done';
END
$$;

-- change: { bytes, objects }, null for no limit; what it does not have stays. No commit into the buckets is under way.
CREATE FUNCTION antipode.change_quota(p_subject text, buckets bigint[], change jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  v antipode.quota;
BEGIN
  SELECT * INTO v FROM antipode.quota q WHERE q.subject = p_subject FOR UPDATE;
  IF change ? 'bytes' THEN v.bytes_max := (change->>'bytes')::bigint; END IF;
  IF change ? 'objects' THEN v.objects_max := (change->>'objects')::bigint; END IF;
  IF v.bytes_max IS NULL AND v.objects_max IS NULL THEN
    DELETE FROM antipode.quota q WHERE q.subject = p_subject;
  ELSE
    INSERT INTO antipode.quota AS q (subject, bytes_max, objects_max, bytes, objects)
    SELECT p_subject, v.bytes_max, v.objects_max, coalesce(sum(u.bytes + u.upload_bytes), 0), coalesce(sum(u.versions), 0)
    FROM (
      SELECT t.versions, t.bytes, t.upload_bytes FROM antipode.usage t WHERE t.bucket_id = ANY (buckets)
      UNION ALL
      SELECT d.versions, d.bytes, d.upload_bytes FROM antipode.usage_delta d WHERE d.bucket_id = ANY (buckets)
    ) u
    ON CONFLICT (subject) DO UPDATE SET bytes_max = excluded.bytes_max, objects_max = excluded.objects_max;
  END IF;
  UPDATE antipode.bucket b SET counted = c.counted
  FROM (
    SELECT k.id, EXISTS (SELECT FROM antipode.quota q WHERE q.subject IN ('bucket/' || k.id, 'account/' || k.owner)) AS counted
    FROM antipode.bucket k WHERE k.id = ANY (buckets)
  ) c
  WHERE b.id = c.id AND b.counted <> c.counted;
  RETURN jsonb_build_object('bytes', v.bytes_max, 'objects', v.objects_max);
END
$$;

CREATE FUNCTION antipode.set_bucket_quota(p_id bigint, change jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM antipode.lock_bucket(p_id);
  IF NOT EXISTS (SELECT FROM antipode.bucket b WHERE b.id = p_id) THEN
    RETURN jsonb_build_object('reason', 'no-such-bucket');
  END IF;
  RETURN antipode.change_quota('bucket/' || p_id, ARRAY[p_id], change);
END
$$;

-- Counts the account's buckets in this directory.
CREATE FUNCTION antipode.set_account_quota(p_account text, change jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(5, hashtext(p_account));
  PERFORM antipode.lock_bucket(o.id)
  FROM (SELECT b.id FROM antipode.bucket b WHERE b.owner = p_account ORDER BY b.id) o;
  RETURN antipode.change_quota(
    'account/' || p_account, ARRAY(SELECT b.id FROM antipode.bucket b WHERE b.owner = p_account), change);
END
$$;

-- As in 0008, and bytes of parts.
CREATE OR REPLACE FUNCTION antipode.tidy(p_keep_ms bigint, p_max integer) RETURNS boolean
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  v_before timestamptz := clock_timestamp() - p_keep_ms * interval '1 millisecond';
  v_folded bigint;
  v_trimmed bigint;
BEGIN
  IF NOT pg_try_advisory_xact_lock(4, 0) THEN RETURN false; END IF;
  WITH gone AS (
    DELETE FROM antipode.usage_delta d
    WHERE d.id = ANY (ARRAY(SELECT o.id FROM antipode.usage_delta o ORDER BY o.id LIMIT p_max))
    RETURNING d.bucket_id, d.versions, d.bytes, d.upload_bytes
  ), folded AS (
    INSERT INTO antipode.usage AS u (bucket_id, versions, bytes, upload_bytes)
    SELECT g.bucket_id, sum(g.versions), sum(g.bytes), sum(g.upload_bytes) FROM gone g
    WHERE EXISTS (SELECT FROM antipode.bucket b WHERE b.id = g.bucket_id)
    GROUP BY g.bucket_id
    ON CONFLICT (bucket_id) DO UPDATE
    SET versions = u.versions + excluded.versions, bytes = u.bytes + excluded.bytes,
        upload_bytes = u.upload_bytes + excluded.upload_bytes
  )
  SELECT count(*) INTO v_folded FROM gone;
  DELETE FROM antipode.upload u
  WHERE u.upload_id = ANY (ARRAY(
    SELECT c.upload_id FROM antipode.upload c
    WHERE c.state = 'completed' AND c.completed_at < v_before ORDER BY c.completed_at LIMIT p_max));
  DELETE FROM antipode.outbox o
  WHERE o.id = ANY (ARRAY(SELECT t.id FROM antipode.outbox t ORDER BY t.id LIMIT p_max))
    AND o.at < v_before
    AND o.id <= coalesce((SELECT min(r.position) FROM antipode.outbox_reader r), 9223372036854775807);
  GET DIAGNOSTICS v_trimmed = ROW_COUNT;
  RETURN v_folded >= p_max OR v_trimmed >= p_max;
END
$$;

-- The usage of buckets: what is folded and what is not yet.
CREATE FUNCTION antipode.bucket_usage(buckets bigint[])
RETURNS TABLE (bucket_id bigint, objects bigint, bytes bigint, upload_bytes bigint)
LANGUAGE sql STABLE AS $$
  SELECT k.id, coalesce(sum(u.versions), 0)::bigint, coalesce(sum(u.bytes), 0)::bigint, coalesce(sum(u.upload_bytes), 0)::bigint
  FROM unnest(buckets) k(id)
  LEFT JOIN (
    SELECT t.bucket_id, t.versions, t.bytes, t.upload_bytes FROM antipode.usage t WHERE t.bucket_id = ANY (buckets)
    UNION ALL
    SELECT d.bucket_id, d.versions, d.bytes, d.upload_bytes FROM antipode.usage_delta d WHERE d.bucket_id = ANY (buckets)
  ) u ON u.bucket_id = k.id
  GROUP BY k.id
$$;

-- Where the usage figures, or those that quotas keep, are not what a full count of versions and parts says: no row, ever.
-- One statement, so that it may run beside commits; it reads every version.
CREATE FUNCTION antipode.audit_usage()
RETURNS TABLE (subject text, objects bigint, objects_counted bigint, bytes bigint, bytes_counted bigint)
LANGUAGE sql STABLE AS $$
  WITH counted AS (
    SELECT b.id, b.owner, coalesce(v.objects, 0) AS objects, coalesce(v.bytes, 0) AS bytes, coalesce(p.bytes, 0) AS upload_bytes
    FROM antipode.bucket b
    LEFT JOIN (
      SELECT t.bucket_id, count(*) FILTER (WHERE NOT t.is_delete_marker) AS objects, sum(t.size) AS bytes
      FROM antipode.version t GROUP BY t.bucket_id
    ) v ON v.bucket_id = b.id
    LEFT JOIN (
      SELECT u.bucket_id, sum(t.size) AS bytes
      FROM antipode.upload u JOIN antipode.upload_part t ON t.upload_id = u.upload_id GROUP BY u.bucket_id
    ) p ON p.bucket_id = b.id
  ), compared AS (
    SELECT 'usage/' || c.id AS subject, u.objects, c.objects AS objects_counted, u.bytes, c.bytes AS bytes_counted
    FROM counted c JOIN antipode.bucket_usage(ARRAY(SELECT k.id FROM counted k)) u ON u.bucket_id = c.id
    UNION ALL
    SELECT 'uploads/' || c.id, 0, 0, u.upload_bytes, c.upload_bytes
    FROM counted c JOIN antipode.bucket_usage(ARRAY(SELECT k.id FROM counted k)) u ON u.bucket_id = c.id
    UNION ALL
    SELECT q.subject, q.objects, coalesce(s.objects, 0), q.bytes, coalesce(s.bytes, 0)
    FROM antipode.quota q
    LEFT JOIN (
      SELECT 'bucket/' || c.id AS subject, c.objects, c.bytes + c.upload_bytes AS bytes FROM counted c
      UNION ALL
      SELECT 'account/' || c.owner, sum(c.objects), sum(c.bytes + c.upload_bytes) FROM counted c GROUP BY c.owner
    ) s ON s.subject = q.subject
  )
  SELECT c.subject, c.objects, c.objects_counted::bigint, c.bytes, c.bytes_counted::bigint
  FROM compared c
  WHERE c.objects <> c.objects_counted OR c.bytes <> c.bytes_counted
  ORDER BY c.subject
$$;

-- As in 0001, and the quota that this directory knows goes too.
CREATE OR REPLACE FUNCTION root.delete_account(p_id text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  v_root boolean;
BEGIN
  PERFORM pg_advisory_xact_lock(3, hashtext(p_id));
  SELECT a.is_root INTO v_root FROM root.account a WHERE a.id = p_id FOR UPDATE;
  IF v_root IS NULL THEN RETURN 'no-such-account'; END IF;
  IF v_root THEN RETURN 'root'; END IF;
  IF EXISTS (SELECT FROM root.access_key k WHERE k.account_id = p_id) THEN RETURN 'has-keys'; END IF;
  IF EXISTS (SELECT FROM root.bucket_name b WHERE b.owner = p_id) THEN RETURN 'has-buckets'; END IF;
  DELETE FROM root.account a WHERE a.id = p_id;
  DELETE FROM antipode.quota q WHERE q.subject = 'account/' || p_id;
  RETURN 'done';
END
$$;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode TO antipode_app;
