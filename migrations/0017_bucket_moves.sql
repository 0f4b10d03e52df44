-- Many directory pairs: which directories are in use, and how a bucket moves from one to another while clients work.
--
-- A move (docs/adr/0007): copying → frozen → switched → done, recorded in the root pair (root.bucket_move). Each of the two
-- directories keeps its own side of it (antipode.bucket_move): source: copying → frozen → gone → ended, target:
-- incoming → ready → ended. A bucket that is frozen, gone or has not arrived has no row in antipode.bucket, so every
-- statement that changes something finds no bucket and refuses, whatever its sender has heard.

-- A directory is entered here before its first bucket, so whoever asks all of these has asked all there are.
CREATE TABLE root.directory (
  pair    text COLLATE "C" PRIMARY KEY,
  -- Ids of manifests begin at ordinal * 2^45 in each directory, so a manifest has the same id wherever it goes, and no
  -- other one has it. (2^53 is what programs in JavaScript count to.)
  ordinal integer NOT NULL UNIQUE CHECK (ordinal BETWEEN 0 AND 255),
  since   timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE root.directory IS 'The directory pairs that have or had buckets';

CREATE FUNCTION root.register_directory(p_pair text, p_root text) RETURNS integer
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(6, 0);
  INSERT INTO root.directory (pair, ordinal) VALUES (p_root, 0) ON CONFLICT DO NOTHING;
  INSERT INTO root.directory (pair, ordinal) SELECT p_pair, max(d.ordinal) + 1 FROM root.directory d
  ON CONFLICT DO NOTHING;
  RETURN (SELECT d.ordinal FROM root.directory d WHERE d.pair = p_pair);
END
$$;

-- Which one this directory is; no row until it is put to use.
CREATE TABLE antipode.this_directory (
  id      boolean PRIMARY KEY DEFAULT true CHECK (id),
  pair    text COLLATE "C" NOT NULL,
  ordinal integer NOT NULL
);

-- True: this directory is that pair from now on, or was already.
CREATE FUNCTION antipode.become_directory(p_pair text, p_ordinal integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  v_first bigint := p_ordinal::bigint << 45;
BEGIN
  PERFORM pg_advisory_xact_lock(6, 0);
  INSERT INTO antipode.this_directory (pair, ordinal) VALUES (p_pair, p_ordinal) ON CONFLICT DO NOTHING;
  IF FOUND AND v_first > (SELECT s.last_value FROM antipode.manifest_id_seq s) THEN
    PERFORM setval('antipode.manifest_id_seq', v_first);
  END IF;
  RETURN EXISTS (SELECT FROM antipode.this_directory d WHERE d.pair = p_pair AND d.ordinal = p_ordinal);
END
$$;

-- ------------------------------------------------------------------------------------------ the root's side

ALTER TABLE root.bucket_name
  -- Raised by each move; the epoch of the move that brought the bucket to its directory.
  ADD COLUMN move_epoch bigint NOT NULL DEFAULT 0;

CREATE TABLE root.bucket_move (
  bucket_id       bigint NOT NULL,
  epoch           bigint NOT NULL,
  name            text COLLATE "C" NOT NULL,
  source          text COLLATE "C" NOT NULL,
  target          text COLLATE "C" NOT NULL,
  phase           text NOT NULL CHECK (phase IN ('copying', 'frozen', 'switched', 'done', 'cancelling', 'cancelled')),
  decided_by      text NOT NULL,
  started_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- The gateway that carries it on, and until when nobody else does; turn rises when another one takes over.
  owner           text NOT NULL DEFAULT '',
  leased_until    timestamptz NOT NULL DEFAULT '-infinity',
  turn            bigint NOT NULL DEFAULT 0,
  -- How far the copy is, for whoever goes on with it.
  progress        jsonb NOT NULL DEFAULT '{}',
  versions        bigint NOT NULL DEFAULT 0,
  freezes         integer NOT NULL DEFAULT 0,
  frozen_ms       bigint NOT NULL DEFAULT 0,
  last_error      text,
  PRIMARY KEY (bucket_id, epoch)
);
CREATE UNIQUE INDEX bucket_move_open ON root.bucket_move (bucket_id) WHERE phase NOT IN ('done', 'cancelled');
COMMENT ON TABLE root.bucket_move IS 'Moves of buckets between directory pairs, those under way and those that ended';

-- { reason, detail } or { move }.
CREATE FUNCTION root.start_bucket_move(p_name text, p_target text, p_decided_by text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  b root.bucket_name;
  m root.bucket_move;
BEGIN
  SELECT * INTO b FROM root.bucket_name n WHERE n.name = p_name AND n.state = 'ready' FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('reason', 'no-such-bucket'); END IF;
  SELECT * INTO m FROM root.bucket_move o WHERE o.bucket_id = b.bucket_id AND o.phase NOT IN ('done', 'cancelled');
  IF FOUND THEN
    IF m.target = p_target AND m.phase <> 'cancelling' THEN RETURN jsonb_build_object('move', to_jsonb(m)); END IF;
    RETURN jsonb_build_object('reason', 'moving', 'detail', 'it is being moved to ' || m.target);
  END IF;
  IF b.directory = p_target THEN RETURN jsonb_build_object('reason', 'there-already'); END IF;
  INSERT INTO root.bucket_move (bucket_id, epoch, name, source, target, phase, decided_by)
  SELECT b.bucket_id, coalesce(max(o.epoch), 0) + 1, b.name, b.directory, p_target, 'copying', p_decided_by
  FROM root.bucket_move o WHERE o.bucket_id = b.bucket_id
  RETURNING * INTO m;
  RETURN jsonb_build_object('move', to_jsonb(m));
END
$$;

-- Takes or renews the lease, and writes what p has: { phase, from, progress, versions, freezes, frozenMs, lastError }. `from`: only out of this phase. No row: another gateway has it, or it is over.
CREATE FUNCTION root.lease_bucket_move(p_bucket bigint, p_epoch bigint, p_owner text, p_lease_ms bigint, p jsonb)
RETURNS SETOF root.bucket_move
LANGUAGE sql AS $$
  UPDATE root.bucket_move m
  SET owner = p_owner, turn = m.turn + CASE WHEN m.owner = p_owner THEN 0 ELSE 1 END,
      leased_until = clock_timestamp() + p_lease_ms * interval '1 millisecond', updated_at = clock_timestamp(),
      phase = coalesce(p->>'phase', m.phase),
      progress = coalesce(p->'progress', m.progress),
      versions = coalesce((p->>'versions')::bigint, m.versions),
      freezes = coalesce((p->>'freezes')::integer, m.freezes),
      frozen_ms = m.frozen_ms + coalesce((p->>'frozenMs')::bigint, 0),
      last_error = CASE WHEN p ? 'lastError' THEN p->>'lastError' ELSE m.last_error END
  WHERE m.bucket_id = p_bucket AND m.epoch = p_epoch AND m.phase NOT IN ('done', 'cancelled')
    AND (m.owner = p_owner OR m.leased_until <= clock_timestamp())
    AND (NOT p ? 'from' OR m.phase = p->>'from')
  RETURNING m.*
$$;

-- The switch: the list names the target from now on. True also when it has been done before.
CREATE FUNCTION root.switch_bucket(p_bucket bigint, p_epoch bigint, p_owner text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  m root.bucket_move;
BEGIN
  SELECT * INTO m FROM root.bucket_move o
  WHERE o.bucket_id = p_bucket AND o.epoch = p_epoch AND o.owner = p_owner FOR UPDATE;
  IF NOT FOUND OR m.phase NOT IN ('frozen', 'switched') THEN RETURN false; END IF;
  UPDATE root.bucket_name n SET directory = m.target, move_epoch = p_epoch
  WHERE n.bucket_id = p_bucket AND n.directory = m.source AND n.move_epoch < p_epoch;
  UPDATE root.bucket_move o SET phase = 'switched', updated_at = clock_timestamp()
  WHERE o.bucket_id = p_bucket AND o.epoch = p_epoch AND o.phase = 'frozen';
  RETURN true;
END
$$;

-- 'done', 'no-move' or 'too-late': what has been switched arrives.
CREATE FUNCTION root.cancel_bucket_move(p_name text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  v_phase text;
BEGIN
  SELECT m.phase INTO v_phase FROM root.bucket_move m WHERE m.name = p_name AND m.phase NOT IN ('done', 'cancelled') FOR UPDATE;
  IF v_phase IS NULL THEN RETURN 'no-move'; END IF;
  IF v_phase = 'cancelling' THEN RETURN 'done'; END IF;
  IF v_phase <> 'copying' THEN RETURN 'too-late'; END IF;
  UPDATE root.bucket_move m SET phase = 'cancelling', last_error = 'cancelled by an operator', updated_at = clock_timestamp()
  WHERE m.name = p_name AND m.phase = 'copying';
  RETURN 'done';
END
$$;

-- -------------------------------------------------------------------------------------- a directory's side

CREATE TABLE antipode.bucket_move (
  bucket_id    bigint PRIMARY KEY,
  epoch        bigint NOT NULL,
  -- The highest turn that has been heard of: what an earlier owner of the move still sends is refused.
  turn         bigint NOT NULL,
  role         text NOT NULL CHECK (role IN ('source', 'target')),
  state        text NOT NULL CHECK (state IN ('copying', 'frozen', 'gone', 'incoming', 'ready', 'ended')),
  other        text COLLATE "C" NOT NULL,
  owner        text COLLATE "C",
  -- The bucket's row and its quota, while antipode.bucket has none.
  bucket       jsonb,
  quota        jsonb,
  -- Its usage: in the source while it is frozen, in the target what has come.
  versions     bigint NOT NULL DEFAULT 0,
  bytes        bigint NOT NULL DEFAULT 0,
  upload_bytes bigint NOT NULL DEFAULT 0,
  seq          bigint NOT NULL DEFAULT 0,
  since        timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK ((role = 'source' AND state IN ('copying', 'frozen', 'gone', 'ended'))
      OR (role = 'target' AND state IN ('incoming', 'ready', 'ended')))
);
COMMENT ON TABLE antipode.bucket_move IS 'This directory''s side of moves of buckets; ended ones refuse what comes late';

-- The row of a move, locked, when it is the one that is meant and nobody else has taken over; else null.
CREATE FUNCTION antipode.enter_move(p_bucket bigint, p_epoch bigint, p_turn bigint) RETURNS antipode.bucket_move
LANGUAGE plpgsql AS $$
DECLARE
  m antipode.bucket_move;
BEGIN
  UPDATE antipode.bucket_move o SET turn = p_turn
  WHERE o.bucket_id = p_bucket AND o.epoch = p_epoch AND o.turn <= p_turn
  RETURNING * INTO m;
  RETURN m;
END
$$;

-- 'done', 'stale', or 'no-such-bucket' (of the source).
CREATE FUNCTION antipode.begin_move(p_bucket bigint, p_epoch bigint, p_turn bigint, p_role text, p_other text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
  -- Blobs do not change their pair while a bucket is copied: see antipode.move_blobs_unless.
  PERFORM pg_advisory_xact_lock(8, 0);
  INSERT INTO antipode.bucket_move AS m (bucket_id, epoch, turn, role, state, other)
  VALUES (p_bucket, p_epoch, p_turn, p_role, CASE p_role WHEN 'source' THEN 'copying' ELSE 'incoming' END, p_other)
  ON CONFLICT (bucket_id) DO UPDATE
  SET epoch = p_epoch, turn = p_turn, role = p_role, state = excluded.state, other = p_other, owner = NULL, bucket = NULL,
      quota = NULL, versions = 0, bytes = 0, upload_bytes = 0, seq = 0, since = clock_timestamp()
  WHERE m.epoch < p_epoch AND m.state = 'ended';
  IF (antipode.enter_move(p_bucket, p_epoch, p_turn)).bucket_id IS NULL THEN RETURN 'stale'; END IF;
  IF p_role = 'source' AND NOT EXISTS (SELECT FROM antipode.bucket b WHERE b.id = p_bucket)
     AND EXISTS (SELECT FROM antipode.bucket_move m WHERE m.bucket_id = p_bucket AND m.state = 'copying') THEN
    RETURN 'no-such-bucket';
  END IF;
  RETURN 'done';
END
$$;

-- Where a bucket's row is: here, frozen, gone (to `other`), coming; no row: nothing is known of it.
CREATE FUNCTION antipode.place_of(p_bucket bigint) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN EXISTS (SELECT FROM antipode.bucket b WHERE b.id = p_bucket) THEN 'here'
    ELSE (SELECT CASE m.state WHEN 'frozen' THEN 'frozen' WHEN 'gone' THEN 'gone' WHEN 'ready' THEN 'coming' END
          FROM antipode.bucket_move m WHERE m.bucket_id = p_bucket) END
$$;

-- A bucket's row where reads may go by it: also while it is frozen, as nothing changes then.
CREATE FUNCTION antipode.readable_buckets(p_ids bigint[]) RETURNS SETOF antipode.bucket
LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN QUERY SELECT b.* FROM antipode.bucket b WHERE b.id = ANY (p_ids);
  RETURN QUERY
  SELECT r.* FROM antipode.bucket_move m CROSS JOIN LATERAL jsonb_populate_record(NULL::antipode.bucket, m.bucket) r
  WHERE m.bucket_id = ANY (p_ids) AND m.state = 'frozen';
END
$$;

-- Stops all that writes into the bucket, and says what it has: { state, bucket, quota, versions, bytes, uploadBytes, seq },
-- or { reason }. Repeated, it says the same.
CREATE FUNCTION antipode.freeze_bucket(p_bucket bigint, p_epoch bigint, p_turn bigint) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  m antipode.bucket_move;
  b antipode.bucket;
BEGIN
  PERFORM antipode.lock_bucket(p_bucket);
  m := antipode.enter_move(p_bucket, p_epoch, p_turn);
  IF m.bucket_id IS NULL OR m.role <> 'source' THEN RETURN jsonb_build_object('reason', 'stale'); END IF;
  IF m.state = 'copying' THEN
    SELECT * INTO b FROM antipode.bucket k WHERE k.id = p_bucket;
    IF NOT FOUND THEN RETURN jsonb_build_object('reason', 'no-such-bucket'); END IF;
    UPDATE antipode.bucket_move o
    SET state = 'frozen', owner = b.owner, bucket = to_jsonb(b),
        quota = (SELECT to_jsonb(q) FROM antipode.quota q WHERE q.subject = 'bucket/' || p_bucket),
        versions = u.objects, bytes = u.bytes, upload_bytes = u.upload_bytes,
        seq = (SELECT s.last_value FROM antipode.version_seq s)
    FROM antipode.bucket_usage(ARRAY[p_bucket]) u
    WHERE o.bucket_id = p_bucket RETURNING o.* INTO m;
    DELETE FROM antipode.usage t WHERE t.bucket_id = p_bucket;
    DELETE FROM antipode.usage_delta t WHERE t.bucket_id = p_bucket;
    -- In the change feed it leaves here; with its row in place again it arrives.
    PERFORM set_config('antipode.bucket_change', 'bucket-left', true);
    DELETE FROM antipode.bucket k WHERE k.id = p_bucket;
  END IF;
  RETURN jsonb_build_object('state', m.state, 'bucket', m.bucket, 'quota', m.quota, 'versions', m.versions,
    'bytes', m.bytes, 'uploadBytes', m.upload_bytes, 'seq', m.seq);
END
$$;

-- Puts a bucket's row in place, with what goes with it. The caller holds its lock.
CREATE FUNCTION antipode.place_bucket(m antipode.bucket_move) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM set_config('antipode.bucket_change', 'bucket-arrived', true);
  INSERT INTO antipode.bucket
  SELECT r.* FROM jsonb_populate_record(NULL::antipode.bucket, m.bucket || jsonb_build_object(
    'counted', EXISTS (SELECT FROM antipode.quota q
                       WHERE q.subject IN ('bucket/' || m.bucket_id, 'account/' || (m.bucket->>'owner'))))) r;
  INSERT INTO antipode.usage (bucket_id, versions, bytes, upload_bytes)
  VALUES (m.bucket_id, m.versions, m.bytes, m.upload_bytes);
END
$$;

-- Lets writes go on in the source: 'done' or 'stale'.
CREATE FUNCTION antipode.thaw_bucket(p_bucket bigint, p_epoch bigint, p_turn bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  m antipode.bucket_move;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(5, hashtext(o.owner)) FROM antipode.bucket_move o
  WHERE o.bucket_id = p_bucket AND o.state = 'frozen';
  PERFORM antipode.lock_bucket(p_bucket);
  m := antipode.enter_move(p_bucket, p_epoch, p_turn);
  IF m.bucket_id IS NULL OR m.role <> 'source' OR m.state = 'gone' THEN RETURN 'stale'; END IF;
  IF m.state = 'frozen' THEN
    PERFORM antipode.place_bucket(m);
    UPDATE antipode.bucket_move o
    SET state = 'copying', owner = NULL, bucket = NULL, quota = NULL, versions = 0, bytes = 0, upload_bytes = 0, seq = 0
    WHERE o.bucket_id = p_bucket;
  END IF;
  RETURN 'done';
END
$$;

-- Takes from the account's share of this directory what the bucket had of it: usage and room, so that the shares of all
-- directories never allow more together than before.
CREATE FUNCTION antipode.release_share(m antipode.bucket_move) RETURNS void
LANGUAGE sql AS $$
  UPDATE antipode.quota q
  SET bytes = q.bytes - m.bytes - m.upload_bytes, objects = q.objects - m.versions,
      bytes_max = greatest(0, q.bytes_max - m.bytes - m.upload_bytes), objects_max = greatest(0, q.objects_max - m.versions)
  WHERE q.subject = 'account/' || m.owner
$$;

-- The source gives the bucket up: from now on no read is answered from it either. 'done' or 'stale'.
CREATE FUNCTION antipode.leave_bucket(p_bucket bigint, p_epoch bigint, p_turn bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  m antipode.bucket_move;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(5, hashtext(o.owner)) FROM antipode.bucket_move o
  WHERE o.bucket_id = p_bucket AND o.state = 'frozen';
  PERFORM antipode.lock_bucket(p_bucket);
  m := antipode.enter_move(p_bucket, p_epoch, p_turn);
  IF m.bucket_id IS NULL OR m.role <> 'source' OR m.state NOT IN ('frozen', 'gone') THEN RETURN 'stale'; END IF;
  IF m.state = 'frozen' THEN
    PERFORM antipode.release_share(m);
    DELETE FROM antipode.quota q WHERE q.subject = 'bucket/' || p_bucket;
    UPDATE antipode.bucket_move o SET state = 'gone' WHERE o.bucket_id = p_bucket;
  END IF;
  RETURN 'done';
END
$$;

-- The target has all: what: as freeze_bucket said. Counts for the account from now on. 'done', 'stale' or 'differs'.
CREATE FUNCTION antipode.seal_bucket(p_bucket bigint, p_epoch bigint, p_turn bigint, what jsonb) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  m antipode.bucket_move;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(5, hashtext(what->'bucket'->>'owner'));
  PERFORM antipode.lock_bucket(p_bucket);
  m := antipode.enter_move(p_bucket, p_epoch, p_turn);
  IF m.bucket_id IS NULL OR m.role <> 'target' THEN RETURN 'stale'; END IF;
  IF m.state <> 'incoming' THEN RETURN 'done'; END IF;
  IF (m.versions, m.bytes, m.upload_bytes)
     IS DISTINCT FROM ((what->>'versions')::bigint, (what->>'bytes')::bigint, (what->>'uploadBytes')::bigint) THEN
    RETURN 'differs';
  END IF;
  UPDATE antipode.bucket_move o
  SET state = 'ready', owner = what->'bucket'->>'owner', bucket = what->'bucket',
      quota = nullif(what->'quota', 'null'), seq = (what->>'seq')::bigint
  WHERE o.bucket_id = p_bucket RETURNING o.* INTO m;
  UPDATE antipode.quota q SET bytes = q.bytes + m.bytes + m.upload_bytes, objects = q.objects + m.versions
  WHERE q.subject = 'account/' || m.owner;
  RETURN 'done';
END
$$;

-- Back to copying, after seal_bucket: 'done' or 'stale'.
CREATE FUNCTION antipode.unseal_bucket(p_bucket bigint, p_epoch bigint, p_turn bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  m antipode.bucket_move;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(5, hashtext(o.owner)) FROM antipode.bucket_move o
  WHERE o.bucket_id = p_bucket AND o.state = 'ready';
  m := antipode.enter_move(p_bucket, p_epoch, p_turn);
  IF m.bucket_id IS NULL OR m.role <> 'target' THEN RETURN 'stale'; END IF;
  IF m.state = 'ready' THEN
    UPDATE antipode.quota q SET bytes = q.bytes - m.bytes - m.upload_bytes, objects = q.objects - m.versions
    WHERE q.subject = 'account/' || m.owner;
    UPDATE antipode.bucket_move o SET state = 'incoming', owner = NULL, bucket = NULL, quota = NULL WHERE o.bucket_id = p_bucket;
  END IF;
  RETURN 'done';
END
$$;

-- The bucket is here from now on: 'done' or 'stale'.
CREATE FUNCTION antipode.arrive_bucket(p_bucket bigint, p_epoch bigint, p_turn bigint) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  m antipode.bucket_move;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(5, hashtext(o.owner)) FROM antipode.bucket_move o
  WHERE o.bucket_id = p_bucket AND o.state = 'ready';
  PERFORM antipode.lock_bucket(p_bucket);
  m := antipode.enter_move(p_bucket, p_epoch, p_turn);
  IF m.bucket_id IS NULL OR m.role <> 'target' OR m.state = 'incoming' THEN RETURN 'stale'; END IF;
  IF m.state = 'ready' THEN
    -- New versions come after those that moved. Far ahead, so that nobody who takes a number now passes it.
    PERFORM pg_advisory_xact_lock(7, 0);
    IF (SELECT s.last_value FROM antipode.version_seq s) <= m.seq THEN
      PERFORM setval('antipode.version_seq', m.seq + 1048576);
    END IF;
    INSERT INTO antipode.quota (subject, bytes_max, objects_max, bytes, objects)
    SELECT 'bucket/' || p_bucket, (m.quota->>'bytes_max')::bigint, (m.quota->>'objects_max')::bigint,
           m.bytes + m.upload_bytes, m.versions
    WHERE m.quota IS NOT NULL;
    PERFORM antipode.place_bucket(m);
    UPDATE antipode.bucket_move o SET state = 'ended', bucket = NULL, quota = NULL WHERE o.bucket_id = p_bucket;
  END IF;
  RETURN 'done';
END
$$;

-- As in 0005, and not in a bucket that is frozen or has gone.
CREATE OR REPLACE FUNCTION antipode.abort_upload(p_bucket bigint, p_key text, p_upload text) RETURNS boolean
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
BEGIN
  PERFORM antipode.lock_bucket_shared(p_bucket);
  PERFORM antipode.lock_upload(p_upload);
  IF NOT EXISTS (SELECT FROM antipode.bucket b WHERE b.id = p_bucket)
     OR NOT EXISTS (SELECT FROM antipode.upload u WHERE u.upload_id = p_upload AND u.bucket_id = p_bucket
                    AND u.key = p_key AND u.state = 'open') THEN
    RETURN false;
  END IF;
  PERFORM antipode.drop_uploads(ARRAY[p_upload]);
  RETURN true;
END
$$;

-- Blobs to another pair of nodes, unless a bucket is on its way: its blobs have a row in either directory.
CREATE FUNCTION antipode.move_blobs_unless(moves jsonb) RETURNS SETOF uuid
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(8, 0);
  IF EXISTS (SELECT FROM antipode.bucket_move m WHERE m.state <> 'ended') THEN RETURN; END IF;
  RETURN QUERY SELECT b.id FROM antipode.move_blobs(moves) b(id);
END
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON root.directory, root.bucket_move, antipode.this_directory, antipode.bucket_move TO antipode_app;
GRANT UPDATE ON SEQUENCE antipode.manifest_id_seq, antipode.version_seq TO antipode_app;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode TO antipode_app;
