-- Repairs, and the listings of blobs that verify, resync and rebalance go through. (The tables: 0014.)

-- As in 0008, and its repairs.
CREATE OR REPLACE FUNCTION antipode.forget_blobs(ids uuid[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  WITH gone AS (
    DELETE FROM antipode.blob b WHERE b.id = ANY (ids) AND b.state = 'dying' AND b.taken_at IS NOT NULL RETURNING b.id
  ), repairs AS (
    DELETE FROM antipode.repair r USING gone g WHERE r.blob_id = g.id
  )
  DELETE FROM antipode.off_map_replica r USING gone g WHERE r.blob_id = g.id;
END
$$;

-- The holders of a blob off the map, each with the member it stands for (or null); those that stand for somebody first.
CREATE FUNCTION antipode.off_map(p_blob uuid) RETURNS text[]
LANGUAGE sql STABLE AS $$
  SELECT ARRAY(SELECT ARRAY[r.member, r.home] FROM antipode.off_map_replica r
               WHERE r.blob_id = p_blob AND NOT r.surplus ORDER BY r.home NULLS LAST, r.member)
$$;

-- Whoever changes repairs of named blobs locks the blobs' rows first, in their order, so that none dies meanwhile and the
-- last of a blob's repairs is known to be the last.

-- Queues repairs: [{ blob, member, reason, foundBy }].
CREATE FUNCTION antipode.add_repairs(repairs jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  WITH asked AS MATERIALIZED (
    -- The first reason counts, or the last one that overrules.
    SELECT DISTINCT ON (1, 2) (x->>'blob')::uuid AS blob_id, x->>'member' AS member, x->>'reason' AS reason,
           x->>'foundBy' AS found_by
    FROM jsonb_array_elements(repairs) WITH ORDINALITY e(x, ord)
    ORDER BY 1, 2, x->>'reason' IN ('lost', 'corrupt') DESC,
             CASE WHEN x->>'reason' IN ('lost', 'corrupt') THEN -ord ELSE ord END
  ), live AS MATERIALIZED (
    SELECT b.id FROM antipode.blob b
    WHERE b.id = ANY (ARRAY(SELECT a.blob_id FROM asked a)) AND b.state = 'live' ORDER BY b.id FOR NO KEY UPDATE
  )
  INSERT INTO antipode.repair AS r (blob_id, member, reason, found_by)
  SELECT a.blob_id, a.member, a.reason, a.found_by FROM asked a
  WHERE a.blob_id IN (SELECT l.id FROM live l)
  ORDER BY a.blob_id, a.member
  ON CONFLICT (blob_id, member) DO UPDATE SET reason = excluded.reason, found_by = excluded.found_by
  WHERE excluded.reason IN ('lost', 'corrupt') AND r.reason <> excluded.reason;
END
$$;

-- Leases repairs that are due, those that have been due longest first: of one member, or of any but p_except.
CREATE FUNCTION antipode.take_repairs(p_max integer, p_lease_ms bigint, p_member text, p_except text[])
RETURNS SETOF antipode.repair
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_members text[];
  v_left integer := p_max;
  v_taken integer;
  v_picked integer;
  v_blobs uuid[];
  v_homes text[];
BEGIN
  IF p_member IS NOT NULL THEN
    v_members := ARRAY[p_member];
  ELSE
    WITH RECURSIVE who AS (
      (SELECT r.member FROM antipode.repair r ORDER BY r.member LIMIT 1)
      UNION ALL
      SELECT (SELECT r.member FROM antipode.repair r WHERE r.member > w.member ORDER BY r.member LIMIT 1)
      FROM who w WHERE w.member IS NOT NULL
    )
    SELECT array_agg(w.member) INTO v_members FROM who w WHERE w.member IS NOT NULL AND w.member <> ALL (p_except);
  END IF;
  WHILE v_left > 0 LOOP
    SELECT coalesce(array_agg(p.blob_id), '{}'), coalesce(array_agg(p.member), '{}') INTO v_blobs, v_homes
    FROM (
      SELECT d.blob_id, d.member
      FROM unnest(v_members) m(member)
      CROSS JOIN LATERAL (
        SELECT r.blob_id, r.member, r.next_at FROM antipode.repair r
        WHERE r.member = m.member AND r.next_at <= v_now ORDER BY r.next_at LIMIT v_left FOR UPDATE SKIP LOCKED
      ) d
      ORDER BY d.next_at, d.blob_id, d.member LIMIT v_left
    ) p;
    v_picked := cardinality(v_blobs);
    EXIT WHEN v_picked = 0;
    DELETE FROM antipode.repair r USING unnest(v_blobs, v_homes) p(blob_id, member)
    WHERE r.blob_id = p.blob_id AND r.member = p.member
      AND NOT EXISTS (SELECT FROM antipode.blob b WHERE b.id = p.blob_id AND b.state = 'live');
    RETURN QUERY
    UPDATE antipode.repair r
    SET attempts = r.attempts + 1, next_at = v_now + p_lease_ms * interval '1 millisecond'
    FROM unnest(v_blobs, v_homes) p(blob_id, member)
    WHERE r.blob_id = p.blob_id AND r.member = p.member
    RETURNING r.*;
    GET DIAGNOSTICS v_taken = ROW_COUNT;
    v_left := v_left - v_taken;
    -- All of them lived: what was not picked was not due, or is in another's hand.
    EXIT WHEN v_taken = v_picked;
  END LOOP;
END
$$;

-- done: [{ blob, member }]. With a blob's last repair, what it has off the map is wanted no longer; before that it may
-- be the second copy, and stands for nobody in particular from now on. Answers what is to be dropped, also when asked again.
CREATE FUNCTION antipode.finish_repairs(done jsonb) RETURNS TABLE (blob_id uuid, member text)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  v_blobs uuid[] := ARRAY(SELECT DISTINCT (x->>'blob')::uuid FROM jsonb_array_elements(done) x ORDER BY 1);
BEGIN
  PERFORM 1 FROM antipode.blob b WHERE b.id = ANY (v_blobs) ORDER BY b.id FOR NO KEY UPDATE;
  DELETE FROM antipode.repair r USING jsonb_array_elements(done) x
  WHERE r.blob_id = (x->>'blob')::uuid AND r.member = x->>'member';
  UPDATE antipode.off_map_replica o SET home = NULL
  FROM jsonb_array_elements(done) x
  WHERE o.blob_id = (x->>'blob')::uuid AND o.home = x->>'member';
  UPDATE antipode.off_map_replica o SET surplus = true
  WHERE o.blob_id = ANY (v_blobs) AND NOT o.surplus
    AND NOT EXISTS (SELECT FROM antipode.repair r WHERE r.blob_id = o.blob_id)
    AND EXISTS (SELECT FROM antipode.blob b WHERE b.id = o.blob_id AND b.state = 'live');
  RETURN QUERY SELECT o.blob_id, o.member FROM antipode.off_map_replica o
  WHERE o.blob_id = ANY (v_blobs) AND o.surplus ORDER BY o.blob_id, o.member;
END
$$;

-- failed: [{ blob, member, error, retryMs, reason }].
CREATE FUNCTION antipode.postpone_repairs(failed jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM antipode.blob b
  WHERE b.id = ANY (ARRAY(SELECT (x->>'blob')::uuid FROM jsonb_array_elements(failed) x)) ORDER BY b.id FOR NO KEY UPDATE;
  UPDATE antipode.repair r
  SET next_at = clock_timestamp() + (x->>'retryMs')::double precision * interval '1 millisecond',
      last_error = x->>'error', reason = coalesce(x->>'reason', r.reason)
  FROM jsonb_array_elements(failed) x
  WHERE r.blob_id = (x->>'blob')::uuid AND r.member = x->>'member';
END
$$;

-- How many repairs of live blobs each member waits for.
CREATE FUNCTION antipode.count_repairs() RETURNS TABLE (member text, queued bigint)
LANGUAGE sql STABLE
SET enable_seqscan = on SET enable_hashjoin = on SET enable_mergejoin = on
AS $$
  SELECT r.member, count(*) FROM antipode.repair r JOIN antipode.blob b ON b.id = r.blob_id AND b.state = 'live'
  GROUP BY r.member
$$;

-- A replica was found off the map. The map's members have not been found to have one, so each gets a repair.
CREATE FUNCTION antipode.record_off_map(p_blob uuid, p_member text, p_pair_members text[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM antipode.blob b WHERE b.id = p_blob AND b.state = 'live' FOR NO KEY UPDATE;
  IF NOT FOUND OR p_member = ANY (p_pair_members) THEN RETURN; END IF;
  INSERT INTO antipode.off_map_replica AS o (blob_id, member) VALUES (p_blob, p_member)
  ON CONFLICT (blob_id, member) DO UPDATE SET surplus = false WHERE o.surplus;
  INSERT INTO antipode.repair (blob_id, member, reason, found_by)
  SELECT p_blob, m.member, 'missing', 'search' FROM unnest(p_pair_members) m(member)
  ON CONFLICT DO NOTHING;
END
$$;

-- moves: [{ blob, from, to, toEpoch, members }], members: those of the new pair. Answers the blobs that moved.
CREATE FUNCTION antipode.move_blobs(moves jsonb) RETURNS SETOF uuid
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  v_moved uuid[];
BEGIN
  PERFORM 1 FROM antipode.blob b
  WHERE b.id = ANY (ARRAY(SELECT (x->>'blob')::uuid FROM jsonb_array_elements(moves) x)) ORDER BY b.id FOR UPDATE;
  WITH moved AS (
    UPDATE antipode.blob b SET pair = x->>'to'
    FROM jsonb_array_elements(moves) x
    WHERE b.id = (x->>'blob')::uuid AND b.state = 'live' AND b.pair = x->>'from'
      AND NOT EXISTS (SELECT FROM antipode.pair_epoch e WHERE e.pair = x->>'to' AND e.epoch > (x->>'toEpoch')::bigint)
    RETURNING b.id
  )
  SELECT coalesce(array_agg(m.id), '{}') INTO v_moved FROM moved m;
  DELETE FROM antipode.repair r WHERE r.blob_id = ANY (v_moved);
  -- Who is of the map now, is off it no longer; the others are not wanted.
  DELETE FROM antipode.off_map_replica o USING jsonb_array_elements(moves) x
  WHERE o.blob_id = (x->>'blob')::uuid AND o.blob_id = ANY (v_moved) AND x->'members' ? o.member;
  UPDATE antipode.off_map_replica o SET home = NULL, surplus = true WHERE o.blob_id = ANY (v_moved);
  RETURN QUERY SELECT m.id FROM unnest(v_moved) m(id);
END
$$;

-- A page of live blobs by id: looks at p_scan rows behind p_after at most. The last row of all tells how far it has
-- come (reached), without a blob when it has come to the end of its page.
CREATE FUNCTION antipode.list_blobs(p_after uuid, p_max integer, p_pair text, p_scan integer)
RETURNS TABLE (id uuid, pair text, size bigint, root bytea, seen bigint, reached uuid)
LANGUAGE sql STABLE AS $$
  WITH page AS MATERIALIZED (
    SELECT b.id, b.pair, b.size, b.root, b.state FROM antipode.blob b
    WHERE b.id > p_after ORDER BY b.id LIMIT p_scan
  ), wanted AS (
    SELECT p.id, p.pair, p.size, p.root FROM page p
    WHERE p.state = 'live' AND (p_pair IS NULL OR p.pair = p_pair) ORDER BY p.id LIMIT p_max
  ), ending AS (
    SELECT count(*) AS seen, (SELECT l.id FROM page l ORDER BY l.id DESC LIMIT 1) AS reached FROM page p
  )
  SELECT w.id, w.pair, w.size, w.root, e.seen, e.reached FROM ending e LEFT JOIN wanted w ON true ORDER BY w.id
$$;

-- The live blobs that versions, manifests and open uploads of a bucket name, by id. A page looks at the whole bucket.
CREATE FUNCTION antipode.list_bucket_blobs(p_bucket bigint, p_after uuid, p_max integer, p_pair text)
RETURNS TABLE (id uuid, pair text, size bigint, root bytea)
LANGUAGE sql STABLE
SET enable_hashjoin = on SET enable_mergejoin = on SET enable_seqscan = on
AS $$
  WITH named AS (
    SELECT v.blob_id FROM antipode.version v WHERE v.bucket_id = p_bucket AND v.blob_id > p_after
    UNION
    SELECT m.blob_id FROM antipode.version v JOIN antipode.manifest_part m ON m.manifest_id = v.manifest_id
    WHERE v.bucket_id = p_bucket AND m.blob_id > p_after
    UNION
    SELECT t.blob_id FROM antipode.upload u JOIN antipode.upload_part t ON t.upload_id = u.upload_id
    WHERE u.bucket_id = p_bucket AND t.blob_id > p_after
  )
  SELECT b.id, b.pair, b.size, b.root FROM named n JOIN antipode.blob b ON b.id = n.blob_id
  WHERE b.state = 'live' AND (p_pair IS NULL OR b.pair = p_pair)
  ORDER BY b.id LIMIT p_max
$$;

-- What lacks redundancy, or is lost.
CREATE VIEW catalog.exceptions AS
SELECT replace(r.blob_id::text, '-', '') AS blob, b.pair, r.member, r.reason, r.since, r.attempts, r.last_error,
       r.found_by, b.size, n.bucket, n.key, n.version_id, n.upload_id, n.part_number
FROM antipode.repair r
JOIN antipode.blob b ON b.id = r.blob_id AND b.state = 'live'
LEFT JOIN (
  SELECT v.blob_id, k.name AS bucket, v.key, v.version_id, NULL::text AS upload_id, NULL::integer AS part_number
  FROM antipode.version v JOIN antipode.bucket k ON k.id = v.bucket_id WHERE v.blob_id IS NOT NULL
  UNION ALL
  SELECT m.blob_id, k.name, v.key, v.version_id, NULL, m.part_number
  FROM antipode.manifest_part m
  JOIN antipode.version v ON v.manifest_id = m.manifest_id
  JOIN antipode.bucket k ON k.id = v.bucket_id
  UNION ALL
  SELECT t.blob_id, k.name, u.key, NULL, u.upload_id, t.part_number
  FROM antipode.upload_part t
  JOIN antipode.upload u ON u.upload_id = t.upload_id
  JOIN antipode.bucket k ON k.id = u.bucket_id
) n ON n.blob_id = r.blob_id;
COMMENT ON VIEW catalog.exceptions IS
  'What lacks redundancy or is lost: a row for each replica that a member should have and does not, and each version or part that names the blob. Reads all versions when there is any';
COMMENT ON COLUMN catalog.exceptions.blob IS 'Id of the blob, as nodes and status show it';
COMMENT ON COLUMN catalog.exceptions.pair IS 'The pair of nodes that the blob belongs on';
COMMENT ON COLUMN catalog.exceptions.member IS 'The member of the pair that lacks its replica';
COMMENT ON COLUMN catalog.exceptions.reason IS
  'handoff: written while the member was away, another node stands for it; lag: acknowledged after one replica, the other follows; missing: should be there and is not; corrupt: is there and does not verify; lost: no replica was found anywhere';
COMMENT ON COLUMN catalog.exceptions.since IS 'When it was noted';
COMMENT ON COLUMN catalog.exceptions.attempts IS 'How often its repair was begun';
COMMENT ON COLUMN catalog.exceptions.last_error IS 'Why the last attempt failed';
COMMENT ON COLUMN catalog.exceptions.found_by IS 'What noted it: write, read, scrub, verify, resync, search';
COMMENT ON COLUMN catalog.exceptions.size IS 'Bytes of the blob';
COMMENT ON COLUMN catalog.exceptions.bucket IS 'The bucket of a version or open upload that names the blob';
COMMENT ON COLUMN catalog.exceptions.key IS 'The key of that version or upload';
COMMENT ON COLUMN catalog.exceptions.version_id IS 'The version; null for a part of an open upload';
COMMENT ON COLUMN catalog.exceptions.upload_id IS 'The open upload; null for a version';
COMMENT ON COLUMN catalog.exceptions.part_number IS 'The part, where the object or upload has parts';

GRANT USAGE ON SCHEMA catalog TO antipode_app;
GRANT SELECT ON catalog.exceptions TO antipode_app;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA antipode FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA antipode TO antipode_app;
