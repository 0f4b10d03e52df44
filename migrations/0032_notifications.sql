-- Notifications to webhooks. The feed's reader 'notifications' and what it found stand in one transaction, so that an event
-- is queued once, under the configuration that its bucket had when it happened (0021: a bucket's own changes stand in order
-- with those of its keys).
--
-- Of a target's queue, only the first row of each key has a time when it is due. Whoever adds rows or takes the first one
-- away holds the lock of the target's row, so that no key is left without a first.

-- Buckets with a notification configuration, as they were at the reader's place.
CREATE TABLE antipode.notification_bucket (
  id     bigint PRIMARY KEY,
  record jsonb NOT NULL
);

-- Who delivers to a target; '': who reads the feed.
CREATE TABLE antipode.notification_target (
  name         text COLLATE "C" PRIMARY KEY,
  owner        text NOT NULL DEFAULT '',
  leased_until timestamptz NOT NULL DEFAULT '-infinity'
);

CREATE TABLE antipode.notification (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  target    text COLLATE "C" NOT NULL,
  bucket_id bigint NOT NULL,
  bucket    text COLLATE "C" NOT NULL,
  key       text COLLATE "C" NOT NULL,
  event     uuid NOT NULL,
  name      text NOT NULL,
  at        timestamptz NOT NULL,
  body      text NOT NULL,
  queued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  attempts  integer NOT NULL DEFAULT 0,
  -- Null: behind another one of its key.
  due_at    timestamptz,
  error     text
);
CREATE INDEX notification_of_key ON antipode.notification (target, bucket_id, key, id);
CREATE INDEX notification_due ON antipode.notification (target, due_at, id) WHERE due_at IS NOT NULL;

CREATE TABLE antipode.dead_letter (
  id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  target    text COLLATE "C" NOT NULL,
  bucket_id bigint NOT NULL,
  bucket    text COLLATE "C" NOT NULL,
  key       text COLLATE "C" NOT NULL,
  event     uuid NOT NULL,
  name      text NOT NULL,
  at        timestamptz NOT NULL,
  body      text NOT NULL,
  queued_at timestamptz NOT NULL,
  attempts  integer NOT NULL,
  error     text NOT NULL,
  died_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX dead_letter_died ON antipode.dead_letter (died_at, id);
CREATE INDEX dead_letter_target ON antipode.dead_letter (target, id);

CREATE FUNCTION antipode.lease_notifications(p_target text, p_owner text, p_lease_ms bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO antipode.notification_target (name) VALUES (p_target) ON CONFLICT (name) DO NOTHING;
  UPDATE antipode.notification_target t
  SET owner = p_owner, leased_until = clock_timestamp() + p_lease_ms * interval '1 millisecond'
  WHERE t.name = p_target AND (t.owner = p_owner OR t.leased_until < clock_timestamp());
  RETURN FOUND;
END
$$;

-- The configurations of now; what the reader has not read yet is put on top of them, bucket by bucket.
CREATE FUNCTION antipode.note_notification_buckets() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM antipode.notification_bucket n WHERE true;
  INSERT INTO antipode.notification_bucket (id, record)
  SELECT b.id, jsonb_build_object(
    'id', b.id, 'name', b.name, 'owner', b.owner, 'region', b.region,
    'createdAtMs', (extract(epoch FROM b.created_at) * 1000)::bigint,
    'versioning', b.versioning, 'objectLock', b.object_lock, 'settings', b.settings)
  FROM antipode.bucket b
  WHERE b.settings ? 'notification';
END
$$;

CREATE FUNCTION antipode.open_notifications() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM antipode.outbox_reader r WHERE r.name = 'notifications') THEN RETURN; END IF;
  PERFORM antipode.open_reader('notifications', 'now', NULL, NULL);
  PERFORM antipode.note_notification_buckets();
END
$$;

CREATE FUNCTION antipode.skip_notifications(p_tx xid8, p_id bigint) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM antipode.note_notification_buckets();
  RETURN antipode.advance_reader('notifications', p_tx, p_id);
END
$$;

-- One row more of a target's queue. The caller holds the target's lock.
CREATE FUNCTION antipode.add_notification(p_target text, p_bucket_id bigint, p_bucket text, p_key text, p_event uuid,
                                          p_name text, p_at timestamptz, p_body text) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO antipode.notification (target, bucket_id, bucket, key, event, name, at, body, due_at)
  SELECT p_target, p_bucket_id, p_bucket, p_key, p_event, p_name, p_at, p_body,
         CASE WHEN EXISTS (SELECT FROM antipode.notification n
                           WHERE n.target = p_target AND n.bucket_id = p_bucket_id AND n.key = p_key)
              THEN NULL ELSE clock_timestamp() END
$$;

-- A page of the feed. False: the reader is somewhere else.
-- p_buckets: [[id, record or null]], p_notifications: rows in order.
CREATE FUNCTION antipode.queue_notifications(p_from_tx xid8, p_from_id bigint, p_tx xid8, p_id bigint,
                                             p_buckets jsonb, p_notifications jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  v jsonb;
BEGIN
  PERFORM 1 FROM antipode.outbox_reader r
  WHERE r.name = 'notifications' AND r.tx = p_from_tx AND r.id = p_from_id FOR UPDATE;
  IF NOT FOUND THEN RETURN false; END IF;
  FOR v IN SELECT e.value FROM jsonb_array_elements(p_buckets) e LOOP
    DELETE FROM antipode.notification_bucket b WHERE b.id = (v->>0)::bigint;
    IF jsonb_typeof(v->1) = 'object' THEN
      INSERT INTO antipode.notification_bucket (id, record) VALUES ((v->>0)::bigint, v->1);
    END IF;
  END LOOP;
  INSERT INTO antipode.notification_target (name)
  SELECT DISTINCT e.value->>'target' AS name FROM jsonb_array_elements(p_notifications) e ORDER BY name
  ON CONFLICT (name) DO NOTHING;
  PERFORM 1 FROM antipode.notification_target t
  WHERE t.name = ANY (ARRAY(SELECT e.value->>'target' FROM jsonb_array_elements(p_notifications) e))
  ORDER BY t.name FOR UPDATE;
  FOR v IN SELECT e.value FROM jsonb_array_elements(p_notifications) WITH ORDINALITY e ORDER BY e.ordinality LOOP
    PERFORM antipode.add_notification(v->>'target', (v->>'bucketId')::bigint, v->>'bucket', v->>'key',
                                      (v->>'event')::uuid, v->>'name', (v->>'at')::timestamptz, v->>'body');
  END LOOP;
  RETURN antipode.advance_reader('notifications', p_tx, p_id);
END
$$;

-- The first of what waits for a key is due at once.
CREATE FUNCTION antipode.next_notification(p_target text, p_bucket_id bigint, p_key text) RETURNS void
LANGUAGE sql AS $$
  UPDATE antipode.notification u SET due_at = clock_timestamp()
  WHERE u.due_at IS NULL AND u.id = (
    SELECT n.id FROM antipode.notification n
    WHERE n.target = p_target AND n.bucket_id = p_bucket_id AND n.key = p_key
    ORDER BY n.target, n.bucket_id, n.key, n.id LIMIT 1)
$$;

-- What became of attempts. False: another gateway has the lease.
-- p_failed: [[id, error, ms until the next attempt]], p_dead: [[id, error]].
CREATE FUNCTION antipode.settle_notifications(p_target text, p_owner text, p_delivered bigint[], p_failed jsonb,
                                              p_dead jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  v jsonb;
  n antipode.notification;
BEGIN
  PERFORM 1 FROM antipode.notification_target t WHERE t.name = p_target AND t.owner = p_owner FOR UPDATE;
  IF NOT FOUND THEN RETURN false; END IF;
  FOR v IN SELECT e.value FROM jsonb_array_elements(p_failed) e LOOP
    UPDATE antipode.notification u
    SET attempts = u.attempts + 1, error = v->>1,
        due_at = clock_timestamp() + (v->>2)::bigint * interval '1 millisecond'
    WHERE u.id = (v->>0)::bigint AND u.target = p_target;
  END LOOP;
  FOR v IN SELECT e.value FROM jsonb_array_elements(p_dead) e LOOP
    DELETE FROM antipode.notification d WHERE d.id = (v->>0)::bigint AND d.target = p_target RETURNING d.* INTO n;
    CONTINUE WHEN NOT FOUND;
    INSERT INTO antipode.dead_letter (target, bucket_id, bucket, key, event, name, at, body, queued_at, attempts, error)
    VALUES (n.target, n.bucket_id, n.bucket, n.key, n.event, n.name, n.at, n.body, n.queued_at, n.attempts + 1, v->>1);
    PERFORM antipode.next_notification(n.target, n.bucket_id, n.key);
  END LOOP;
  FOR n IN DELETE FROM antipode.notification d WHERE d.id = ANY (p_delivered) AND d.target = p_target RETURNING d.* LOOP
    PERFORM antipode.next_notification(n.target, n.bucket_id, n.key);
  END LOOP;
  RETURN true;
END
$$;

-- Dead letters that answer to all that is not null, back in the queue or gone. How many of at most p_max.
CREATE FUNCTION antipode.take_dead_letters(p_target text, p_bucket text, p_event uuid, p_redeliver boolean, p_max integer)
RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
  v_taken integer := 0;
  d antipode.dead_letter;
BEGIN
  IF p_redeliver THEN
    PERFORM 1 FROM antipode.notification_target t WHERE p_target IS NULL OR t.name = p_target ORDER BY t.name FOR UPDATE;
  END IF;
  FOR d IN
    SELECT l.* FROM antipode.dead_letter l
    WHERE (p_target IS NULL OR l.target = p_target) AND (p_bucket IS NULL OR l.bucket = p_bucket)
      AND (p_event IS NULL OR l.event = p_event)
    ORDER BY l.id LIMIT p_max FOR UPDATE
  LOOP
    DELETE FROM antipode.dead_letter x WHERE x.id = d.id;
    v_taken := v_taken + 1;
    IF p_redeliver THEN
      PERFORM antipode.add_notification(d.target, d.bucket_id, d.bucket, d.key, d.event, d.name, d.at, d.body);
    END IF;
  END LOOP;
  RETURN v_taken;
END
$$;

CREATE FUNCTION antipode.trim_dead_letters(p_keep_ms bigint, p_max integer) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
  v_gone bigint;
BEGIN
  DELETE FROM antipode.dead_letter x
  WHERE x.id = ANY (ARRAY(
    SELECT l.id FROM antipode.dead_letter l
    WHERE l.died_at < clock_timestamp() - p_keep_ms * interval '1 millisecond'
    ORDER BY l.died_at, l.id LIMIT p_max));
  GET DIAGNOSTICS v_gone = ROW_COUNT;
  RETURN v_gone >= p_max;
END
$$;

CREATE VIEW catalog.dead_letters AS
SELECT d.event, d.target, d.bucket, d.key, d.name, d.at, d.attempts, d.error, d.died_at, d.body::jsonb AS message
FROM antipode.dead_letter d;

COMMENT ON VIEW catalog.dead_letters IS
  'Notifications that were given up: their webhook did not take them in time, or refused them';
COMMENT ON COLUMN catalog.dead_letters.event IS 'Id of the change that it tells of, as in catalog.changes; sent as webhook-id';
COMMENT ON COLUMN catalog.dead_letters.target IS 'The webhook';
COMMENT ON COLUMN catalog.dead_letters.bucket IS 'The bucket, by the name that it had then';
COMMENT ON COLUMN catalog.dead_letters.key IS 'The key; empty for a test event';
COMMENT ON COLUMN catalog.dead_letters.name IS 'Type of the event, such as ObjectCreated:Put';
COMMENT ON COLUMN catalog.dead_letters.at IS 'When the change was made';
COMMENT ON COLUMN catalog.dead_letters.attempts IS 'How often it was sent';
COMMENT ON COLUMN catalog.dead_letters.error IS 'Why the last attempt failed';
COMMENT ON COLUMN catalog.dead_letters.died_at IS 'When it was given up';
COMMENT ON COLUMN catalog.dead_letters.message IS 'What was sent';

GRANT SELECT ON catalog.dead_letters TO antipode_reader, antipode_writer, antipode_app;
GRANT SELECT, INSERT, UPDATE, DELETE
ON antipode.notification_bucket, antipode.notification_target, antipode.notification, antipode.dead_letter TO antipode_app;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA antipode FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA antipode TO antipode_app;
