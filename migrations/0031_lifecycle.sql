-- Lifecycle rules: whose turn it is to apply a bucket's rules and how far that has come, pages of versions with what the rules
-- ask about, and actions, which are commits like any other (0003 and after) behind a second look under the key's lock.

CREATE INDEX bucket_lifecycle ON antipode.bucket (id) WHERE settings ? 'lifecycle';

-- A row for each bucket that has rules. A pass goes through the bucket once; whoever holds the lease does it, and `turn`
-- tells an old holder from the present one. Counters are of all passes.
CREATE TABLE antipode.lifecycle_run (
  bucket_id    bigint PRIMARY KEY,
  -- Digest of the rules that the pass under way, or the last one, is about: others begin a new pass.
  rules        text NOT NULL,
  owner        text COLLATE "C",
  turn         bigint NOT NULL DEFAULT 0,
  leased_until timestamptz NOT NULL DEFAULT '-infinity',
  touched_at   timestamptz NOT NULL DEFAULT '-infinity',
  under_way    boolean NOT NULL DEFAULT false,
  -- Where the pass goes on; null: at its beginning.
  position     jsonb,
  started_at   timestamptz,
  finished_at  timestamptz,
  next_at      timestamptz NOT NULL DEFAULT '-infinity',
  passes       bigint NOT NULL DEFAULT 0,
  scanned      bigint NOT NULL DEFAULT 0,
  expired      bigint NOT NULL DEFAULT 0,
  removed      bigint NOT NULL DEFAULT 0,
  transitioned bigint NOT NULL DEFAULT 0,
  aborted      bigint NOT NULL DEFAULT 0,
  kept         bigint NOT NULL DEFAULT 0,
  last_error   text
);

-- Leases the bucket that is due and was looked at longest ago; null: none is due.
CREATE FUNCTION antipode.take_lifecycle(p_owner text, p_lease_ms bigint) RETURNS jsonb
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_bucket antipode.bucket;
  v_rules text;
  r antipode.lifecycle_run;
BEGIN
  DELETE FROM antipode.lifecycle_run o
  WHERE NOT EXISTS (SELECT FROM antipode.bucket b WHERE b.id = o.bucket_id AND b.settings ? 'lifecycle');
  INSERT INTO antipode.lifecycle_run (bucket_id, rules)
  SELECT b.id, '' FROM antipode.bucket b
  WHERE b.settings ? 'lifecycle' AND NOT EXISTS (SELECT FROM antipode.lifecycle_run o WHERE o.bucket_id = b.id)
  ON CONFLICT (bucket_id) DO NOTHING;
  SELECT o.* INTO r FROM antipode.lifecycle_run o JOIN antipode.bucket b ON b.id = o.bucket_id
  WHERE o.leased_until <= v_now AND b.settings ? 'lifecycle'
    AND (o.next_at <= v_now OR o.rules <> md5((b.settings->'lifecycle')::text))
  ORDER BY o.touched_at, o.bucket_id LIMIT 1 FOR UPDATE OF o SKIP LOCKED;
  IF r.bucket_id IS NULL THEN RETURN NULL; END IF;
  SELECT b.* INTO v_bucket FROM antipode.bucket b WHERE b.id = r.bucket_id AND b.settings ? 'lifecycle';
  IF NOT FOUND THEN RETURN NULL; END IF;
  v_rules := md5((v_bucket.settings->'lifecycle')::text);
  IF r.rules <> v_rules OR NOT r.under_way THEN
    r.position := NULL;
    r.started_at := v_now;
  END IF;
  UPDATE antipode.lifecycle_run o
  SET rules = v_rules, owner = p_owner, turn = o.turn + 1, leased_until = v_now + p_lease_ms * interval '1 millisecond',
      touched_at = v_now, under_way = true, position = r.position, started_at = r.started_at
  WHERE o.bucket_id = r.bucket_id RETURNING o.turn INTO r.turn;
  RETURN jsonb_build_object(
    'bucket', v_bucket.id, 'name', v_bucket.name, 'owner', v_bucket.owner, 'versioning', v_bucket.versioning,
    'configuration', v_bucket.settings->'lifecycle', 'rules', v_rules, 'position', r.position, 'turn', r.turn,
    'startedMs', (extract(epoch FROM r.started_at) * 1000)::bigint, 'nowMs', (extract(epoch FROM v_now) * 1000)::bigint);
END
$$;

-- p: { position, counts: { scanned, … }, endedAndNextAtMs, error }. A lease of 0 gives it up. False: somebody else has it.
CREATE FUNCTION antipode.save_lifecycle(p_bucket bigint, p_turn bigint, p_lease_ms bigint, p jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_next timestamptz := to_timestamp((p->>'endedAndNextAtMs')::double precision / 1000);
BEGIN
  UPDATE antipode.lifecycle_run o
  SET leased_until = v_now + p_lease_ms * interval '1 millisecond', touched_at = v_now,
      position = CASE WHEN v_next IS NULL THEN nullif(p->'position', 'null') END,
      under_way = v_next IS NULL,
      finished_at = CASE WHEN v_next IS NULL THEN o.finished_at ELSE v_now END,
      next_at = coalesce(v_next, o.next_at),
      passes = o.passes + CASE WHEN v_next IS NULL THEN 0 ELSE 1 END,
      scanned = o.scanned + coalesce((p->'counts'->>'scanned')::bigint, 0),
      expired = o.expired + coalesce((p->'counts'->>'expired')::bigint, 0),
      removed = o.removed + coalesce((p->'counts'->>'removed')::bigint, 0),
      transitioned = o.transitioned + coalesce((p->'counts'->>'transitioned')::bigint, 0),
      aborted = o.aborted + coalesce((p->'counts'->>'aborted')::bigint, 0),
      kept = o.kept + coalesce((p->'counts'->>'kept')::bigint, 0),
      last_error = p->>'error'
  WHERE o.bucket_id = p_bucket AND o.turn = p_turn;
  RETURN FOUND;
END
$$;

-- What a rule has seen of a version; s: the next newer version of the key. Another text: look again.
CREATE FUNCTION antipode.lifecycle_mark(v antipode.version, s antipode.version) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT md5(concat_ws('/', v.seq, v.write_id, v.is_latest, v.storage_class, v.tags, s.seq, s.write_id))
$$;

-- Noncurrent versions of a key that are newer than one of them, delete markers left out; counted up to p_max.
CREATE FUNCTION antipode.newer_noncurrent(p_bucket bigint, p_key text, p_seq bigint, p_max integer) RETURNS integer
LANGUAGE sql STABLE AS $$
  SELECT count(*)::integer FROM (
    SELECT FROM antipode.version t
    WHERE t.bucket_id = p_bucket AND t.key = p_key AND t.seq > p_seq AND NOT t.is_latest AND NOT t.is_delete_marker
    ORDER BY t.seq LIMIT p_max) n
$$;

-- The versions under a prefix that come after a place in the order of (key, seq from the highest down), p_max at most. p_keep:
-- up to how many newer versions count, 0 for none.
CREATE FUNCTION antipode.lifecycle_page(
  p_bucket bigint, p_prefix text, p_key text, p_seq bigint, p_max integer, p_keep integer
) RETURNS TABLE (
  key text, seq bigint, version_id text, is_latest boolean, is_delete_marker boolean, size bigint, last_modified timestamptz,
  storage_class text, tags jsonb, locked boolean, alone boolean, successor_at timestamptz, newer integer, mark text, read_at timestamptz)
LANGUAGE plpgsql STABLE ROWS 1000
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  v_end text COLLATE "C" := antipode.text_after(p_prefix);
BEGIN
  RETURN QUERY
  WITH page AS MATERIALIZED (
    SELECT u.v FROM (
      (SELECT t AS v FROM antipode.version t
       WHERE t.bucket_id = p_bucket AND t.key = p_key AND t.seq < p_seq ORDER BY t.seq DESC LIMIT p_max)
      UNION ALL
      (SELECT t FROM antipode.version t
       WHERE t.bucket_id = p_bucket AND t.key > p_key AND t.key >= p_prefix AND (v_end IS NULL OR t.key < v_end)
       ORDER BY t.key, t.seq DESC LIMIT p_max)
    ) u ORDER BY (u.v).key, (u.v).seq DESC LIMIT p_max
  )
  SELECT (p.v).key, (p.v).seq, (p.v).version_id, (p.v).is_latest, (p.v).is_delete_marker, (p.v).size, (p.v).last_modified,
         (p.v).storage_class, (p.v).tags, coalesce(antipode.is_locked(p.v, false), false),
         (p.v).is_latest AND NOT EXISTS (
           SELECT FROM antipode.version o
           WHERE o.bucket_id = p_bucket AND o.key = (p.v).key AND o.seq < (p.v).seq),
         (s.v).last_modified,
         CASE WHEN p_keep > 0 AND NOT (p.v).is_latest
              THEN antipode.newer_noncurrent(p_bucket, (p.v).key, (p.v).seq, p_keep) ELSE 0 END,
         antipode.lifecycle_mark(p.v, s.v), clock_timestamp()
  FROM page p
  LEFT JOIN LATERAL (
    SELECT n AS v FROM antipode.version n
    WHERE NOT (p.v).is_latest AND n.bucket_id = p_bucket AND n.key = (p.v).key AND n.seq > (p.v).seq
    ORDER BY n.seq LIMIT 1
  ) s ON true
  ORDER BY (p.v).key, (p.v).seq DESC;
END
$$;

-- Whether the version is as the rule saw it, and what the rule asks for besides. Called under the key's lock.
CREATE FUNCTION antipode.lifecycle_holds(a jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
  v_bucket bigint := (a->>'bucket')::bigint;
  v_key text COLLATE "C" := a->>'key';
  v_seq bigint := (a->>'seq')::bigint;
  v antipode.version;
  s antipode.version;
BEGIN
  SELECT t.* INTO v FROM antipode.version t WHERE t.bucket_id = v_bucket AND t.key = v_key AND t.seq = v_seq;
  IF NOT FOUND THEN RETURN false; END IF;
  IF NOT v.is_latest THEN
    SELECT t.* INTO s FROM antipode.version t
    WHERE t.bucket_id = v_bucket AND t.key = v_key AND t.seq > v_seq ORDER BY t.seq LIMIT 1;
  END IF;
  RETURN antipode.lifecycle_mark(v, s) = a->>'mark'
    AND (NOT a ? 'keepNewer'
         OR antipode.newer_noncurrent(v_bucket, v_key, v_seq, (a->>'keepNewer')::integer) >= (a->>'keepNewer')::integer)
    AND (NOT a ? 'alone' OR NOT EXISTS (
           SELECT FROM antipode.version o WHERE o.bucket_id = v_bucket AND o.key = v_key AND o.seq <> v_seq));
END
$$;

-- actions: [{ bucket, key, seq, mark, keepNewer, alone, op }]. Answers what became of each, by its place (from 1): done,
-- or a reason of a commit; what is left out was not as the rule had seen it. Null: the rules are others by now, or the bucket
-- has gone. Of several versions of a key the oldest goes first, as that changes nothing of the others.
CREATE FUNCTION antipode.apply_lifecycle(p_bucket bigint, p_rules text, actions jsonb) RETURNS jsonb
LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  v_round integer;
  v_rounds integer;
  v_ords bigint[];
  v_ops jsonb;
  v_said jsonb := '{}';
BEGIN
  PERFORM antipode.lock_keys(actions);
  IF (SELECT md5((b.settings->'lifecycle')::text) FROM antipode.bucket b WHERE b.id = p_bucket) IS DISTINCT FROM p_rules THEN
    RETURN NULL;
  END IF;
  SELECT coalesce(max(n.many), 0) INTO v_rounds
  FROM (SELECT count(*) AS many FROM jsonb_array_elements(actions) x GROUP BY x->>'key') n;
  FOR v_round IN 1..v_rounds LOOP
    SELECT array_agg(a.ord ORDER BY a.ord), jsonb_agg(a.doc->'op' ORDER BY a.ord) INTO v_ords, v_ops
    FROM (
      SELECT x.doc, x.ord, row_number() OVER (PARTITION BY x.doc->>'key' ORDER BY (x.doc->>'seq')::bigint) AS round
      FROM jsonb_array_elements(actions) WITH ORDINALITY x(doc, ord)
    ) a
    WHERE a.round = v_round AND antipode.lifecycle_holds(a.doc);
    CONTINUE WHEN v_ops IS NULL;
    SELECT v_said || jsonb_object_agg(v_ords[r.ord]::text, coalesce(r.result->>'reason', 'done')) INTO v_said
    FROM jsonb_array_elements(antipode.apply_batch(v_ops, 0)) WITH ORDINALITY r(result, ord);
  END LOOP;
  RETURN v_said;
END
$$;

CREATE VIEW catalog.lifecycle AS
SELECT b.name AS bucket, jsonb_array_length(b.settings->'lifecycle'->'rules') AS rules,
       CASE WHEN r.under_way AND r.leased_until > clock_timestamp() THEN 'running'
            WHEN r.under_way OR r.bucket_id IS NULL OR r.next_at <= clock_timestamp() THEN 'waiting' ELSE 'idle' END AS state,
       r.position->>'key' AS after_key, r.started_at, r.finished_at,
       CASE WHEN NOT r.under_way THEN nullif(r.next_at, '-infinity') END AS next_at, coalesce(r.passes, 0) AS passes,
       coalesce(r.scanned, 0) AS scanned, coalesce(r.expired, 0) AS expired, coalesce(r.removed, 0) AS removed,
       coalesce(r.transitioned, 0) AS transitioned, coalesce(r.aborted, 0) AS aborted, coalesce(r.kept, 0) AS kept,
       r.last_error
FROM antipode.bucket b LEFT JOIN antipode.lifecycle_run r ON r.bucket_id = b.id
WHERE b.settings ? 'lifecycle';
COMMENT ON VIEW catalog.lifecycle IS
  'Buckets with lifecycle rules: how far their rules have been applied. Counts are of all passes since the bucket has rules';
COMMENT ON COLUMN catalog.lifecycle.bucket IS 'Name of the bucket';
COMMENT ON COLUMN catalog.lifecycle.rules IS 'How many rules it has, those included that are not enabled';
COMMENT ON COLUMN catalog.lifecycle.state IS 'running: a gateway goes through it; waiting: one will; idle: nothing is due before next_at';
COMMENT ON COLUMN catalog.lifecycle.after_key IS 'Of a pass under way: the last key that it has come to';
COMMENT ON COLUMN catalog.lifecycle.started_at IS 'When the pass under way, or the last one, began';
COMMENT ON COLUMN catalog.lifecycle.finished_at IS 'When the last pass ended';
COMMENT ON COLUMN catalog.lifecycle.next_at IS 'When the next one begins; null while one is under way';
COMMENT ON COLUMN catalog.lifecycle.passes IS 'Passes that ended';
COMMENT ON COLUMN catalog.lifecycle.scanned IS 'Versions and open uploads looked at';
COMMENT ON COLUMN catalog.lifecycle.expired IS 'Objects that expired: deleted, or given a delete marker where the bucket has versions';
COMMENT ON COLUMN catalog.lifecycle.removed IS 'Noncurrent versions and delete markers removed for good';
COMMENT ON COLUMN catalog.lifecycle.transitioned IS 'Versions moved to another storage class';
COMMENT ON COLUMN catalog.lifecycle.aborted IS 'Uploads aborted';
COMMENT ON COLUMN catalog.lifecycle.kept IS 'Versions that were due and stayed, as they are locked; counted in each pass';
COMMENT ON COLUMN catalog.lifecycle.last_error IS 'Why the last turn broke off; null: it did not';

GRANT SELECT ON catalog.lifecycle TO antipode_reader, antipode_writer, antipode_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON antipode.lifecycle_run TO antipode_app;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA antipode FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA antipode TO antipode_app;
