-- What jobs call. All may run in several gateways at once: rows in another's hand are skipped.

-- Gives back the references of manifests that nobody names any more. Answers how many manifests went.
CREATE FUNCTION antipode.dissolve_manifests(p_max integer) RETURNS integer
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  v_ids bigint[];
  v_blobs uuid[];
BEGIN
  SELECT coalesce(array_agg(m.id), '{}') INTO v_ids
  FROM (SELECT d.id FROM antipode.manifest d WHERE d.dying_since IS NOT NULL ORDER BY d.dying_since LIMIT p_max
        FOR UPDATE SKIP LOCKED) m;
  IF cardinality(v_ids) = 0 THEN RETURN 0; END IF;
  WITH gone AS (DELETE FROM antipode.manifest_part p WHERE p.manifest_id = ANY (v_ids) RETURNING p.blob_id)
  SELECT coalesce(array_agg(g.blob_id), '{}') INTO v_blobs FROM gone g WHERE g.blob_id IS NOT NULL;
  DELETE FROM antipode.manifest m WHERE m.id = ANY (v_ids);
  PERFORM antipode.release_blobs(v_blobs);
  RETURN cardinality(v_ids);
END
$$;

-- Blobs that died more than p_grace_ms ago and that nobody has taken within p_lease_ms.
CREATE FUNCTION antipode.take_dying_blobs(p_max integer, p_grace_ms bigint, p_lease_ms bigint) RETURNS SETOF antipode.blob
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
BEGIN
  RETURN QUERY
  UPDATE antipode.blob b SET taken_at = clock_timestamp()
  FROM (
    SELECT d.id FROM antipode.blob d
    WHERE d.state = 'dying' AND d.dying_since <= clock_timestamp() - p_grace_ms * interval '1 millisecond'
      AND (d.taken_at IS NULL OR d.taken_at < clock_timestamp() - p_lease_ms * interval '1 millisecond')
    ORDER BY d.dying_since LIMIT p_max
    FOR UPDATE SKIP LOCKED
  ) t
  WHERE b.id = t.id
  RETURNING b.*;
END
$$;

CREATE FUNCTION antipode.forget_blobs(ids uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  WITH gone AS (
    DELETE FROM antipode.blob b WHERE b.id = ANY (ids) AND b.state = 'dying' AND b.taken_at IS NOT NULL RETURNING b.id
  )
  DELETE FROM antipode.off_map_replica r USING gone g WHERE r.blob_id = g.id;
END
$$;

-- Folds usage deltas, forgets completed uploads and trims the outbox below all readers, what is older than p_keep_ms
-- each. Answers whether there may be more to do. One at a time does it.
CREATE FUNCTION antipode.tidy(p_keep_ms bigint, p_max integer) RETURNS boolean
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
    RETURNING d.bucket_id, d.versions, d.bytes
  ), folded AS (
    INSERT INTO antipode.usage AS u (bucket_id, versions, bytes)
    SELECT g.bucket_id, sum(g.versions), sum(g.bytes) FROM gone g
    WHERE EXISTS (SELECT FROM antipode.bucket b WHERE b.id = g.bucket_id)
    GROUP BY g.bucket_id
    ON CONFLICT (bucket_id) DO UPDATE SET versions = u.versions + excluded.versions, bytes = u.bytes + excluded.bytes
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
