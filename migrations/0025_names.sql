-- Records of names on the nodes, and a catalog made anew from them.
-- The feed: one gateway at a time, under a lease in the root pair, takes a change number, reads the versions that the outbox
-- names as they are then, writes them to the nodes under that number, renews its lease and only then advances its place in the
-- outbox. Whoever takes the lease over takes a higher number and reads later, so a higher number is never older news.

CREATE SEQUENCE root.name_change AS bigint;
CREATE TABLE root.name_feed (
  one          boolean PRIMARY KEY DEFAULT true CHECK (one),
  owner        text COLLATE "C",
  leased_until timestamptz NOT NULL DEFAULT '-infinity',
  -- Every version is written again under higher numbers (a walk through each directory); then what is below is forgotten.
  floor        bigint NOT NULL DEFAULT 0,
  trimmed      boolean NOT NULL DEFAULT false,
  -- The catalog was restored to an earlier point, or rebuilt: confirmed blobs without a name are still to be found.
  restored     boolean NOT NULL DEFAULT false,
  -- The pairs and weights by which records are placed.
  layout       text NOT NULL DEFAULT '',
  -- Digests of the accounts and quotas that the nodes have been told, by the name of the record.
  told         jsonb NOT NULL DEFAULT '{}',
  -- [{ number, at }]: tombstones below a number that is old enough are forgotten.
  marks        jsonb NOT NULL DEFAULT '[]'
);
INSERT INTO root.name_feed DEFAULT VALUES;
COMMENT ON TABLE root.name_feed IS 'One row: who feeds the nodes with records of names, and how far that has come';

-- How far the walk through this directory has come; void where floor is not the feed's.
CREATE TABLE antipode.name_walk (
  one       boolean PRIMARY KEY DEFAULT true CHECK (one),
  floor     bigint NOT NULL DEFAULT 0,
  -- No transaction from before the floor is under way any more.
  horizon   xid8,
  bucket_id bigint NOT NULL DEFAULT 0,
  key       text COLLATE "C" NOT NULL DEFAULT '',
  seq       bigint NOT NULL DEFAULT 0,
  done      boolean NOT NULL DEFAULT false
);
INSERT INTO antipode.name_walk DEFAULT VALUES;
COMMENT ON TABLE antipode.name_walk IS 'One row: how far all versions of this directory have been written to the nodes again';

-- All that makes a version, as a document that restore_versions takes: rows as they are, without what is counted.
CREATE FUNCTION antipode.version_record(v antipode.version) RETURNS jsonb
LANGUAGE sql STABLE AS $$
  WITH part AS (
    SELECT p FROM antipode.manifest_part p WHERE p.manifest_id = (v).manifest_id ORDER BY p.part_number
  ), named AS (
    SELECT (v).blob_id AS id WHERE (v).blob_id IS NOT NULL
    UNION SELECT (x.p).blob_id FROM part x WHERE (x.p).blob_id IS NOT NULL
  )
  SELECT jsonb_strip_nulls(jsonb_build_object(
    'kind', 'version',
    'version', to_jsonb(v) - 'is_latest',
    'blobs', (SELECT jsonb_agg(to_jsonb(b) - ARRAY['ref_count', 'state', 'dying_since', 'taken_at'])
              FROM named n JOIN antipode.blob b ON b.id = n.id),
    'manifest', (SELECT to_jsonb(m) - ARRAY['ref_count', 'dying_since'] FROM antipode.manifest m WHERE m.id = (v).manifest_id),
    'parts', (SELECT jsonb_agg(to_jsonb(x.p) - 'manifest_id') FROM part x)))
$$;

-- The versions after a place in the order of (bucket, key, seq from the highest down).
CREATE FUNCTION antipode.walk_versions(p_bucket bigint, p_key text, p_seq bigint, p_max integer) RETURNS SETOF antipode.version
LANGUAGE sql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
  SELECT * FROM (
    (SELECT v.* FROM antipode.version v
     WHERE v.bucket_id = p_bucket AND v.key = p_key AND v.seq < p_seq ORDER BY v.seq DESC LIMIT p_max)
    UNION ALL
    (SELECT v.* FROM antipode.version v
     WHERE (v.bucket_id, v.key) > (p_bucket, p_key COLLATE "C") ORDER BY v.bucket_id, v.key, v.seq DESC LIMIT p_max)
  ) w ORDER BY w.bucket_id, w.key, w.seq DESC LIMIT p_max
$$;

-- Begins the walk for a floor, or goes on with it. ready: what was under way when it began has ended, so that every change
-- that the outbox has before now shows in the rows.
CREATE FUNCTION antipode.begin_walk(p_floor bigint) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  w antipode.name_walk;
BEGIN
  UPDATE antipode.name_walk SET floor = p_floor, horizon = pg_current_xact_id(), bucket_id = 0, key = '', seq = 0, done = false
  WHERE floor <> p_floor OR horizon IS NULL;
  SELECT * INTO w FROM antipode.name_walk;
  RETURN jsonb_build_object('bucket', w.bucket_id, 'key', w.key, 'seq', w.seq, 'done', w.done,
    'ready', w.horizon < pg_snapshot_xmin(pg_current_snapshot()));
END
$$;

-- ---------------------------------------------------------------------------------------------- rebuilding
-- While it is set, what is here is being made from the nodes' records, nobody else writes, and it may be cleared and begun again.
ALTER TABLE antipode.identity
  ADD COLUMN rebuilding boolean NOT NULL DEFAULT false,
  -- The catalogs that this one was made anew from: a node that was away then keeps blobs of ours.
  ADD COLUMN replaces uuid[] NOT NULL DEFAULT '{}';

CREATE FUNCTION antipode.begin_rebuild() RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  IF NOT (SELECT i.rebuilding FROM antipode.identity i)
     AND (EXISTS (SELECT FROM antipode.bucket) OR EXISTS (SELECT FROM antipode.version) OR EXISTS (SELECT FROM antipode.blob)) THEN
    RETURN false;
  END IF;
  UPDATE antipode.identity SET rebuilding = true;
  UPDATE antipode.name_walk SET floor = 0, horizon = NULL, done = false;
  DELETE FROM antipode.version; DELETE FROM antipode.manifest_part; DELETE FROM antipode.manifest;
  DELETE FROM antipode.off_map_replica; DELETE FROM antipode.repair; DELETE FROM antipode.blob;
  DELETE FROM antipode.usage; DELETE FROM antipode.usage_delta; DELETE FROM antipode.quota; DELETE FROM antipode.bucket;
  RETURN true;
END
$$;

-- In the root pair: bucket rows of every directory. docs: [{ bucket, directory }].
CREATE FUNCTION root.restore_bucket_names(docs jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM root.bucket_name;
  UPDATE root.name_feed SET floor = 0, trimmed = false, restored = true, told = '{}', marks = '[]';
  INSERT INTO root.bucket_name (name, bucket_id, owner, directory, state, created_at) OVERRIDING SYSTEM VALUE
  SELECT d->'bucket'->>'name', (d->'bucket'->>'id')::bigint, d->'bucket'->>'owner', d->>'directory', 'ready',
         (d->'bucket'->>'created_at')::timestamptz
  FROM jsonb_array_elements(docs) d;
END
$$;
-- No id that was ever given is given again, that of a bucket that is gone neither.
CREATE FUNCTION root.pass_bucket_id(p_id bigint) RETURNS void
LANGUAGE sql AS $$
  SELECT setval('root.bucket_name_bucket_id_seq',
                greatest(p_id, coalesce(pg_sequence_last_value('root.bucket_name_bucket_id_seq'::regclass), 1)))
$$;

CREATE FUNCTION antipode.restore_bucket(doc jsonb) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO antipode.bucket SELECT (jsonb_populate_record(NULL::antipode.bucket, doc || '{"counted": false}')).*
  ON CONFLICT (id) DO NOTHING
$$;

-- docs: version_record's. Each is there once afterwards, however often it is given.
CREATE FUNCTION antipode.restore_versions(docs jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  d jsonb;
  v antipode.version;
  v_latest bigint;
BEGIN
  FOR d IN SELECT x FROM jsonb_array_elements(docs) x LOOP
    v := jsonb_populate_record(NULL::antipode.version, (d->'version') || '{"is_latest": false}');
    CONTINUE WHEN EXISTS (
      SELECT FROM antipode.version o WHERE o.bucket_id = v.bucket_id AND o.key = v.key AND o.seq = v.seq);
    INSERT INTO antipode.blob AS b (id, pair, size, root, encryption_key_id, ref_count)
    SELECT r.id, r.pair, r.size, r.root, r.encryption_key_id, 1
    FROM jsonb_array_elements(d->'blobs') x, jsonb_populate_record(NULL::antipode.blob, x) r
    WHERE v.blob_id IS NOT NULL
    ON CONFLICT (id) DO UPDATE SET ref_count = b.ref_count + 1;
    IF v.manifest_id IS NOT NULL THEN
      UPDATE antipode.manifest m SET ref_count = m.ref_count + 1 WHERE m.id = v.manifest_id;
      IF NOT FOUND THEN
        INSERT INTO antipode.manifest (id, size, part_count)
        SELECT m.id, m.size, m.part_count FROM jsonb_populate_record(NULL::antipode.manifest, d->'manifest') m;
        INSERT INTO antipode.manifest_part
        SELECT (jsonb_populate_record(NULL::antipode.manifest_part, x || jsonb_build_object('manifest_id', v.manifest_id))).*
        FROM jsonb_array_elements(d->'parts') x;
        INSERT INTO antipode.blob AS b (id, pair, size, root, encryption_key_id, ref_count)
        SELECT r.id, r.pair, r.size, r.root, r.encryption_key_id, p.refs
        FROM jsonb_array_elements(d->'blobs') x, jsonb_populate_record(NULL::antipode.blob, x) r
        JOIN (SELECT q.blob_id, count(*)::integer AS refs FROM antipode.manifest_part q
              WHERE q.manifest_id = v.manifest_id AND q.blob_id IS NOT NULL GROUP BY q.blob_id) p ON p.blob_id = r.id
        ON CONFLICT (id) DO UPDATE SET ref_count = b.ref_count + excluded.ref_count;
      END IF;
    END IF;
    SELECT o.seq INTO v_latest FROM antipode.version o
    WHERE o.bucket_id = v.bucket_id AND o.key = v.key ORDER BY o.seq DESC LIMIT 1;
    v.is_latest := v_latest IS NULL OR v_latest < v.seq;
    IF v.is_latest AND v_latest IS NOT NULL THEN
      UPDATE antipode.version o SET is_latest = false
      WHERE o.bucket_id = v.bucket_id AND o.key = v.key AND o.seq = v_latest;
    END IF;
    INSERT INTO antipode.version SELECT v.*;
    IF NOT v.is_delete_marker THEN
      INSERT INTO antipode.usage AS u (bucket_id, versions, bytes) VALUES (v.bucket_id, 1, v.size)
      ON CONFLICT (bucket_id) DO UPDATE SET versions = u.versions + 1, bytes = u.bytes + excluded.bytes;
    END IF;
    PERFORM setval('antipode.version_seq', greatest(v.seq, coalesce(pg_sequence_last_value('antipode.version_seq'::regclass), 1)));
    IF v.manifest_id IS NOT NULL THEN
      PERFORM setval('antipode.manifest_id_seq',
                     greatest(v.manifest_id, coalesce(pg_sequence_last_value('antipode.manifest_id_seq'::regclass), 1)));
    END IF;
  END LOOP;
END
$$;

-- The nodes have blobs on another pair than the records say: they were moved since. moves: [{ id, pair }].
CREATE FUNCTION antipode.restore_pairs(moves jsonb) RETURNS void
LANGUAGE sql AS $$
  UPDATE antipode.blob b SET pair = m->>'pair' FROM jsonb_array_elements(moves) m WHERE b.id = (m->>'id')::uuid
$$;

GRANT SELECT, UPDATE ON root.name_feed, antipode.name_walk TO antipode_app;
GRANT UPDATE ON antipode.identity TO antipode_app;
GRANT USAGE, SELECT, UPDATE ON SEQUENCE root.name_change, root.bucket_name_bucket_id_seq, antipode.version_seq,
  antipode.manifest_id_seq TO antipode_app;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode TO antipode_app;
