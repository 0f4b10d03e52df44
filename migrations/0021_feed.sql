-- The change feed. Rows of the outbox are read in the order of (tx, id) and only below the snapshot horizon, the lowest
-- transaction that is still under way. What that order promises, and why:
--
-- Nothing is skipped. tx is never below the row's own transaction, so a row below the horizon has been committed, and
-- what will be committed later is at or above it: behind a position no row ever appears.
-- The order of a key is its commit order. An id is taken under the key's lock, so per key ids are in order. The ids of
-- transactions are not: a transaction may have its id long before it gets the lock (one that locks key after key, say).
-- So tx is not the own transaction but the highest one that had ended when the row was written, if that is higher:
-- whoever held the key's lock before has ended, hence is not above, and neither is the tx that it wrote (same rule,
-- earlier). Within a key tx never falls, and where it is the same the id decides.
-- (Needs a snapshot taken after the lock, so READ COMMITTED, as the whole commit path does.)
ALTER TABLE antipode.outbox
  ALTER COLUMN tx SET DEFAULT
    greatest(pg_current_xact_id(), ((pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1)::text)::xid8),
  DROP CONSTRAINT outbox_pkey,
  ADD CONSTRAINT outbox_pkey PRIMARY KEY (tx, id),
  DROP CONSTRAINT outbox_kind_check,
  -- arrived and left: a bucket that moves to another directory goes on there.
  ADD CONSTRAINT outbox_kind_check CHECK (kind IN (
    'put', 'delete-marker', 'delete', 'tags', 'retention', 'legal-hold',
    'bucket-created', 'bucket-changed', 'bucket-deleted', 'bucket-arrived', 'bucket-left'));

-- Names of buckets that are gone: their last changes are still to be read.
CREATE TABLE antipode.past_bucket (
  id      bigint PRIMARY KEY,
  name    text COLLATE "C" NOT NULL,
  gone_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- A bucket's own changes, with its record as it is then; key is ''. Whoever changes a bucket has its lock exclusively
-- and whoever changes a key has it shared, so that they stand in order with its keys' changes, too.
-- Who moves a bucket says so for the transaction: SET LOCAL antipode.bucket_change = 'bucket-arrived' or 'bucket-left'.
CREATE FUNCTION antipode.record_bucket_change() RETURNS trigger
LANGUAGE plpgsql AS $$
DECLARE
  b antipode.bucket := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
BEGIN
  INSERT INTO antipode.outbox (event, bucket_id, key, kind, payload, at)
  VALUES (gen_random_uuid(), b.id, '',
    coalesce(nullif(current_setting('antipode.bucket_change', true), ''),
             CASE TG_OP WHEN 'INSERT' THEN 'bucket-created' WHEN 'DELETE' THEN 'bucket-deleted' ELSE 'bucket-changed' END),
    jsonb_build_object('bucket', jsonb_build_object(
      'id', b.id, 'name', b.name, 'owner', b.owner, 'region', b.region,
      'createdAtMs', (extract(epoch FROM b.created_at) * 1000)::bigint,
      'versioning', b.versioning, 'objectLock', b.object_lock, 'settings', b.settings)),
    date_trunc('milliseconds', clock_timestamp()));
  IF TG_OP = 'DELETE' THEN
    INSERT INTO antipode.past_bucket AS p (id, name) VALUES (b.id, b.name)
    ON CONFLICT (id) DO UPDATE SET gone_at = excluded.gone_at;
  ELSIF TG_OP = 'INSERT' THEN
    DELETE FROM antipode.past_bucket p WHERE p.id = b.id;
  END IF;
  RETURN NULL;
END
$$;
CREATE TRIGGER bucket_come_or_gone AFTER INSERT OR DELETE ON antipode.bucket
FOR EACH ROW EXECUTE FUNCTION antipode.record_bucket_change();
CREATE TRIGGER bucket_changed AFTER UPDATE ON antipode.bucket
FOR EACH ROW
WHEN ((OLD.name, OLD.owner, OLD.region, OLD.versioning, OLD.object_lock, OLD.settings)
      IS DISTINCT FROM (NEW.name, NEW.owner, NEW.region, NEW.versioning, NEW.object_lock, NEW.settings))
EXECUTE FUNCTION antipode.record_bucket_change();

-- Up to where the outbox has been trimmed. One row.
CREATE TABLE antipode.outbox_trim (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  tx  xid8 NOT NULL,
  id  bigint NOT NULL,
  at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
INSERT INTO antipode.outbox_trim (tx, id) VALUES ('0', 0);

-- How far each consumer has come. A gap (what was trimmed before it was read) begins at the position and stays on record
-- until the consumer has gone beyond its end; it gets a new id when it grows meanwhile.
DROP TABLE antipode.outbox_reader;
CREATE TABLE antipode.outbox_reader (
  name        text COLLATE "C" PRIMARY KEY CHECK (name <> ''),
  tx          xid8 NOT NULL,
  id          bigint NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  advanced_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  gap_event   uuid,
  gap_tx      xid8,
  gap_id      bigint,
  gap_rows    bigint,
  CHECK (num_nulls(gap_event, gap_tx, gap_id, gap_rows) IN (0, 4))
);

-- Makes the consumer, unless it is there: from 'beginning' (what is still kept), 'now', or a position. (tx, id) of the
-- position that it has. The lock keeps trimming away until the row is there.
CREATE FUNCTION antipode.open_reader(p_name text, p_from text, p_tx xid8, p_id bigint) RETURNS SETOF antipode.outbox_reader
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(4, 1);
  INSERT INTO antipode.outbox_reader (name, tx, id)
  SELECT p_name,
         CASE p_from WHEN 'beginning' THEN t.tx WHEN 'now' THEN pg_snapshot_xmin(pg_current_snapshot()) ELSE p_tx END,
         CASE p_from WHEN 'beginning' THEN t.id WHEN 'now' THEN 0 ELSE p_id END
  FROM antipode.outbox_trim t
  ON CONFLICT (name) DO NOTHING;
  RETURN QUERY SELECT * FROM antipode.outbox_reader r WHERE r.name = p_name;
END
$$;

-- Never back. A gap is over when its end has been passed. Whether there is such a consumer.
CREATE FUNCTION antipode.advance_reader(p_name text, p_tx xid8, p_id bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE antipode.outbox_reader r
  SET tx = p_tx, id = p_id, advanced_at = clock_timestamp(),
      gap_event = CASE WHEN (r.gap_tx, r.gap_id) > (p_tx, p_id) THEN r.gap_event END,
      gap_tx = CASE WHEN (r.gap_tx, r.gap_id) > (p_tx, p_id) THEN r.gap_tx END,
      gap_id = CASE WHEN (r.gap_tx, r.gap_id) > (p_tx, p_id) THEN r.gap_id END,
      gap_rows = CASE WHEN (r.gap_tx, r.gap_id) > (p_tx, p_id) THEN r.gap_rows END
  WHERE r.name = p_name AND (r.tx, r.id) < (p_tx, p_id);
  RETURN FOUND OR EXISTS (SELECT FROM antipode.outbox_reader r WHERE r.name = p_name);
END
$$;

-- Trims what every consumer has read and what is older than p_keep_ms; and, read or not, what is older than p_wait_ms:
-- the consumers that had not read it get their gap. Always a beginning of the order, below the horizon. Answers whether
-- there may be more to do.
CREATE FUNCTION antipode.trim_outbox(p_keep_ms bigint, p_wait_ms bigint, p_max integer) RETURNS boolean
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_read antipode.outbox_reader;
  v_horizon xid8;
  v_tx xid8;
  v_id bigint;
  v_seen bigint;
  v_trimmed bigint;
BEGIN
  IF NOT pg_try_advisory_xact_lock(4, 1) THEN RETURN false; END IF;
  PERFORM 1 FROM antipode.outbox_reader r ORDER BY r.name FOR UPDATE;
  v_horizon := pg_snapshot_xmin(pg_current_snapshot());
  SELECT * INTO v_read FROM antipode.outbox_reader r ORDER BY r.tx, r.id LIMIT 1;
  WITH page AS (
    SELECT o.tx, o.id,
           o.tx < v_horizon AND o.at < v_now - p_keep_ms * interval '1 millisecond'
           AND (v_read.name IS NULL OR (o.tx, o.id) <= (v_read.tx, v_read.id)
                OR o.at < v_now - p_wait_ms * interval '1 millisecond') AS goes
    FROM (SELECT t.tx, t.id, t.at FROM antipode.outbox t ORDER BY t.tx, t.id LIMIT p_max) o
  ), going AS (
    SELECT p.tx, p.id FROM page p
    WHERE (p.tx, p.id) < ALL (SELECT s.tx, s.id FROM page s WHERE NOT s.goes ORDER BY s.tx, s.id LIMIT 1)
  )
  SELECT (SELECT count(*) FROM page), g.tx, g.id INTO v_seen, v_tx, v_id
  FROM (SELECT 1) one LEFT JOIN (SELECT * FROM going ORDER BY going.tx DESC, going.id DESC LIMIT 1) g ON true;
  IF v_tx IS NULL THEN RETURN false; END IF;
  UPDATE antipode.outbox_reader r
  SET gap_event = gen_random_uuid(), gap_tx = v_tx, gap_id = v_id,
      gap_rows = coalesce(r.gap_rows, 0) + (
        SELECT count(*) FROM antipode.outbox o
        WHERE (o.tx, o.id) > (r.tx, r.id) AND (o.tx, o.id) <= (v_tx, v_id))
  WHERE (r.tx, r.id) < (v_tx, v_id)
    AND EXISTS (SELECT FROM antipode.outbox o WHERE (o.tx, o.id) > (r.tx, r.id) AND (o.tx, o.id) <= (v_tx, v_id));
  DELETE FROM antipode.outbox o WHERE (o.tx, o.id) <= (v_tx, v_id);
  GET DIAGNOSTICS v_trimmed = ROW_COUNT;
  UPDATE antipode.outbox_trim t SET tx = v_tx, id = v_id, at = v_now;
  DELETE FROM antipode.past_bucket p
  WHERE p.gone_at < coalesce((SELECT o.at FROM antipode.outbox o ORDER BY o.tx, o.id LIMIT 1), v_now)
                    - p_keep_ms * interval '1 millisecond';
  RETURN v_seen >= p_max AND v_trimmed > 0;
END
$$;

-- As in 0012, without the outbox.
CREATE OR REPLACE FUNCTION antipode.tidy(p_keep_ms bigint, p_max integer) RETURNS boolean
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  v_before timestamptz := clock_timestamp() - p_keep_ms * interval '1 millisecond';
  v_folded bigint;
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
  RETURN v_folded >= p_max;
END
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON antipode.past_bucket, antipode.outbox_trim, antipode.outbox_reader TO antipode_app;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA antipode FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA antipode TO antipode_app;
