-- The condition of members and centers, with epochs, and the resync of members that come back. All of it is the root
-- pair's; the other directories have a copy of the pairs' epochs (antipode.pair_epoch), where their commits look.
-- States: serving → failed-over → resyncing → serving, and resyncing → failed-over. "Suspect" is a gateway's own view.

-- The cluster's epoch. Every change locks this row first, so changes come one after the other.
CREATE TABLE root.cluster (
  id    boolean PRIMARY KEY DEFAULT true CHECK (id),
  epoch bigint NOT NULL DEFAULT 1
);
INSERT INTO root.cluster (epoch) SELECT greatest(1, coalesce(max(c.epoch), 1)) FROM root.condition c;
COMMENT ON TABLE root.cluster IS 'One row: the cluster''s epoch, raised by every change of a condition';

ALTER TABLE root.pair
  -- The cluster's epoch at the last change of one of its members.
  ADD COLUMN epoch bigint NOT NULL DEFAULT 1,
  -- The weight that an operator has set; null: weight is the configuration's.
  ADD COLUMN weight_set_at timestamptz;

UPDATE root.condition SET state = 'serving' WHERE state = 'suspect';
ALTER TABLE root.condition DROP CONSTRAINT condition_state_check;
ALTER TABLE root.condition
  ADD CONSTRAINT condition_state_check CHECK (state IN ('serving', 'failed-over', 'resyncing')),
  ADD COLUMN may_return boolean NOT NULL DEFAULT true,
  ADD COLUMN store_id text;
COMMENT ON TABLE root.condition IS 'The present state of each member and center; root.condition_history says how it came to be';
COMMENT ON COLUMN root.condition.subject IS 'A member''s id, or ''center '' and its name';
COMMENT ON COLUMN root.condition.epoch IS 'The cluster''s epoch that this state began with';
COMMENT ON COLUMN root.condition.may_return IS 'Whether a resync may start when the member answers again: what an operator failed over waits for leave';
COMMENT ON COLUMN root.condition.store_id IS 'The data folder that last served here; another one is an empty disk';
COMMENT ON TABLE root.condition_history IS 'Every change of a condition, in order of id; rows are never changed';

-- What commits check, in every directory. The root pair's own is written in the transaction that changes root.pair, so with
-- one directory the two are one. To other directories the gateway that made the change carries it next (raising only):
-- until a directory has heard of it, commits there pass under the older epoch, which does no harm (see antipode.decide),
-- and those under the new one pass too. With many directories a change would have to count as declared only when all of
-- them have it, or their absence be a condition of its own.
CREATE TABLE antipode.pair_epoch (
  pair  text COLLATE "C" PRIMARY KEY,
  epoch bigint NOT NULL
);
INSERT INTO antipode.pair_epoch (pair, epoch) SELECT p.id, p.epoch FROM root.pair p WHERE p.kind = 'node';

-- epochs: { pair: epoch }.
CREATE FUNCTION antipode.raise_pair_epochs(epochs jsonb) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO antipode.pair_epoch AS e (pair, epoch)
  SELECT n.pair, n.epoch::bigint FROM jsonb_each_text(epochs) n(pair, epoch) ORDER BY n.pair
  ON CONFLICT (pair) DO UPDATE SET epoch = excluded.epoch WHERE e.epoch < excluded.epoch
$$;

CREATE TABLE root.resync (
  member          text COLLATE "C" PRIMARY KEY,
  epoch           bigint NOT NULL,
  phase           text NOT NULL
                  CHECK (phase IN ('tombstones', 'compare', 'pull', 'handoffs', 'audit', 'done', 'failed')),
  started_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  updated_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  owner           text NOT NULL,
  leased_until    timestamptz NOT NULL,
  compared_ranges bigint NOT NULL DEFAULT 0,
  to_pull         bigint NOT NULL DEFAULT 0,
  pulled_blobs    bigint NOT NULL DEFAULT 0,
  pulled_bytes    bigint NOT NULL DEFAULT 0,
  removed_blobs   bigint NOT NULL DEFAULT 0,
  lag             bigint NOT NULL DEFAULT 0,
  last_error      text
);
COMMENT ON TABLE root.resync IS 'The progress of each member''s resync; kept after its end until the next';

-- The whole record at one moment.
CREATE FUNCTION root.conditions() RETURNS jsonb
LANGUAGE sql STABLE AS $$
  SELECT jsonb_build_object(
    'epoch', (SELECT c.epoch FROM root.cluster c),
    'pairs', (SELECT coalesce(jsonb_object_agg(p.id, p.epoch), '{}') FROM root.pair p),
    'conditions', (
      SELECT coalesce(jsonb_agg(jsonb_build_object(
        'subject', c.subject, 'state', c.state, 'sinceMs', (extract(epoch FROM c.since) * 1000)::bigint, 'why', c.why,
        'decidedBy', c.decided_by, 'mayReturn', c.may_return, 'storeId', c.store_id) ORDER BY c.subject), '[]')
      FROM root.condition c))
$$;

-- t: { centers: [name], pairs: [{ id, kind, weight }], members: [{ id, pair, center, address, port }] }. What is there
-- keeps its condition and its epoch. What is not named stays: a gateway with an older configuration removes nothing.
CREATE FUNCTION root.register_topology(t jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM root.cluster FOR UPDATE;
  INSERT INTO root.pair AS p (id, kind, weight)
  SELECT x->>'id', x->>'kind', (x->>'weight')::double precision FROM jsonb_array_elements(t->'pairs') x
  ON CONFLICT (id) DO UPDATE SET weight = excluded.weight
  WHERE p.weight_set_at IS NULL AND p.weight <> excluded.weight;
  INSERT INTO root.member AS m (id, pair_id, center, address, port)
  SELECT x->>'id', x->>'pair', x->>'center', x->>'address', (x->>'port')::integer
  FROM jsonb_array_elements(t->'members') x
  ON CONFLICT (id) DO UPDATE
  SET pair_id = excluded.pair_id, center = excluded.center, address = excluded.address, port = excluded.port
  WHERE (m.pair_id, m.center, m.address, m.port)
        IS DISTINCT FROM (excluded.pair_id, excluded.center, excluded.address, excluded.port);
  INSERT INTO root.condition (subject, state)
  SELECT s.subject, 'serving'
  FROM (SELECT x->>'id' AS subject FROM jsonb_array_elements(t->'members') x
        UNION ALL SELECT 'center ' || c.name FROM jsonb_array_elements_text(t->'centers') c(name)) s
  ON CONFLICT (subject) DO NOTHING;
  PERFORM antipode.raise_pair_epochs(jsonb_object_agg(p.id, p.epoch)) FROM root.pair p WHERE p.kind = 'node';
END
$$;

-- The members of a change's subject, in order; all of them are nodes or one is a directory.
CREATE FUNCTION root.subject_members(c jsonb)
RETURNS TABLE (member text, pair text, kind text, state text, may_return boolean, twin text, twin_state text)
LANGUAGE sql STABLE AS $$
  SELECT m.id, m.pair_id, p.kind, k.state, k.may_return, t.id, tk.state
  FROM root.member m
  JOIN root.pair p ON p.id = m.pair_id
  JOIN root.condition k ON k.subject = m.id
  LEFT JOIN root.member t ON t.pair_id = m.pair_id AND t.id <> m.id
  LEFT JOIN root.condition tk ON tk.subject = t.id
  WHERE m.id = c->>'member' OR m.center = c->>'center' AND p.kind = 'node'
  ORDER BY m.id
$$;

-- Why a change is not to be; null when it may. members: root.subject_members.
CREATE FUNCTION root.refused_change(c jsonb, current bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
  m record;
BEGIN
  IF NOT EXISTS (SELECT FROM root.subject_members(c)) THEN
    RETURN jsonb_build_object('reason', 'no-such-subject');
  END IF;
  IF current <> (c->>'expectedEpoch')::bigint THEN
    RETURN jsonb_build_object('reason', 'stale-epoch', 'detail', 'the epoch is ' || current);
  END IF;
  IF c ? 'center' AND c->>'to' <> 'failed-over' THEN
    RETURN jsonb_build_object('reason', 'not-allowed', 'detail', 'a center comes back member by member');
  END IF;
  FOR m IN SELECT s.*, s.twin IN (SELECT o.member FROM root.subject_members(c) o WHERE o.state <> c->>'to') AS together
           FROM root.subject_members(c) s LOOP
    IF m.kind <> 'node' THEN
      RETURN jsonb_build_object('reason', 'not-allowed',
        'detail', m.member || ' is a directory: who decides for its pair promotes and fences it');
    END IF;
    CONTINUE WHEN m.state = c->>'to';
    IF c->>'to' = 'serving' AND m.state <> 'resyncing' THEN
      RETURN jsonb_build_object('reason', 'not-allowed',
        'detail', m.member || ' is ' || m.state || ': what serves must have been resyncing');
    ELSIF c->>'to' = 'resyncing' AND m.state <> 'failed-over' THEN
      RETURN jsonb_build_object('reason', 'not-allowed',
        'detail', m.member || ' is ' || m.state || ': what resyncs must have been failed-over');
    ELSIF c->>'to' = 'resyncing' AND NOT m.may_return THEN
      RETURN jsonb_build_object('reason', 'not-allowed',
        'detail', m.member || ' was failed over by an operator and waits for leave');
    ELSIF c->>'to' = 'failed-over' AND NOT coalesce((c->>'force')::boolean, false)
          AND (m.twin_state IS DISTINCT FROM 'serving' OR m.together) THEN
      RETURN jsonb_build_object('reason', 'twin-not-serving',
        'detail', CASE WHEN m.twin IS NULL THEN m.member || ' has no twin'
                       WHEN m.together THEN m.twin || ', the twin of ' || m.member || ', would fail over with it'
                       ELSE m.twin || ', the twin of ' || m.member || ', is ' || m.twin_state END);
    END IF;
  END LOOP;
  RETURN NULL;
END
$$;

-- One subject's new state, and its row of the history.
CREATE FUNCTION root.enter_condition(p_subject text, p_state text, p_epoch bigint, c jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE root.condition k
  SET state = p_state, epoch = p_epoch, since = clock_timestamp(), why = c->>'why', decided_by = c->>'decidedBy',
      may_return = p_state <> 'failed-over' OR coalesce((c->>'mayReturn')::boolean, false),
      store_id = CASE WHEN p_state = 'serving' THEN coalesce(c->>'storeId', k.store_id) ELSE k.store_id END
  WHERE k.subject = p_subject;
  INSERT INTO root.condition_history (subject, state, epoch, why, decided_by)
  VALUES (p_subject, p_state, p_epoch, c->>'why', c->>'decidedBy');
END
$$;

-- c: { member } or { center }, { to, expectedEpoch, why, decidedBy, mayReturn, force, storeId }.
-- Answers { reason, detail } or { conditions }.
CREATE FUNCTION root.change_condition(c jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  v_epoch bigint;
  v_current bigint;
  v_refusal jsonb;
  v_changes text[];
  v_center text;
BEGIN
  SELECT k.epoch INTO v_epoch FROM root.cluster k FOR UPDATE;
  v_current := CASE WHEN c ? 'center' THEN v_epoch ELSE
    (SELECT p.epoch FROM root.member m JOIN root.pair p ON p.id = m.pair_id WHERE m.id = c->>'member') END;
  v_refusal := root.refused_change(c, v_current);
  IF v_refusal IS NOT NULL THEN RETURN v_refusal; END IF;
  -- An operator's word also holds members that detection had failed over.
  IF c->>'to' = 'failed-over' AND NOT coalesce((c->>'mayReturn')::boolean, false) THEN
    PERFORM root.hold_member(s.member, c) FROM root.subject_members(c) s WHERE s.state = 'failed-over' AND s.may_return;
  END IF;
  v_changes := ARRAY(SELECT s.member FROM root.subject_members(c) s WHERE s.state <> c->>'to');
  IF c ? 'center' AND EXISTS (SELECT FROM root.condition k WHERE k.subject = 'center ' || (c->>'center')
                              AND (k.state <> 'failed-over' OR cardinality(v_changes) > 0)) THEN
    v_center := 'center ' || (c->>'center');
  END IF;
  IF cardinality(v_changes) > 0 OR v_center IS NOT NULL THEN
    v_epoch := v_epoch + 1;
    UPDATE root.cluster SET epoch = v_epoch;
    UPDATE root.pair p SET epoch = v_epoch FROM root.member m WHERE m.id = ANY (v_changes) AND p.id = m.pair_id;
    UPDATE antipode.pair_epoch e SET epoch = v_epoch FROM root.member m WHERE m.id = ANY (v_changes) AND e.pair = m.pair_id;
    PERFORM root.enter_condition(s.subject, c->>'to', v_epoch, c) FROM unnest(v_changes || v_center) s(subject)
    WHERE s.subject IS NOT NULL;
    IF c->>'to' <> 'resyncing' THEN
      UPDATE root.resync r
      SET phase = CASE c->>'to' WHEN 'serving' THEN 'done' ELSE 'failed' END, updated_at = clock_timestamp(),
          leased_until = clock_timestamp(), last_error = CASE c->>'to' WHEN 'serving' THEN NULL ELSE c->>'why' END
      WHERE r.member = ANY (v_changes) AND r.phase NOT IN ('done', 'failed');
    END IF;
    IF c->>'to' = 'serving' THEN PERFORM root.end_center_failover(c->>'member', v_epoch, c); END IF;
  END IF;
  RETURN jsonb_build_object('conditions', root.conditions());
END
$$;

-- A center that was declared out is back with the last of its nodes.
CREATE FUNCTION root.end_center_failover(p_member text, p_epoch bigint, c jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_center text := (SELECT m.center FROM root.member m WHERE m.id = p_member);
BEGIN
  PERFORM root.enter_condition(
    'center ' || v_center, 'serving', p_epoch,
    jsonb_build_object('why', 'each of its nodes serves', 'decidedBy', c->'decidedBy'))
  FROM root.condition k
  WHERE k.subject = 'center ' || v_center AND k.state <> 'serving'
    AND NOT EXISTS (SELECT FROM root.subject_members(jsonb_build_object('center', v_center)) s WHERE s.state <> 'serving');
END
$$;

-- A member stays failed over until an operator lets it return. No new epoch: nothing changes for those who ask it.
CREATE FUNCTION root.hold_member(p_member text, c jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  WITH held AS (
    UPDATE root.condition k SET may_return = false, why = c->>'why', decided_by = c->>'decidedBy'
    WHERE k.subject = p_member AND k.state = 'failed-over' AND k.may_return RETURNING k.*
  )
  INSERT INTO root.condition_history (subject, state, epoch, why, decided_by)
  SELECT h.subject, h.state, h.epoch, h.why, h.decided_by FROM held h;
END
$$;

-- c: { member } or { center }, { decidedBy }. Answers { reason } or { conditions }.
CREATE FUNCTION root.allow_return(c jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM root.cluster FOR UPDATE;
  IF NOT EXISTS (SELECT FROM root.subject_members(c)) THEN
    RETURN jsonb_build_object('reason', 'no-such-subject');
  END IF;
  WITH freed AS (
    UPDATE root.condition k SET may_return = true
    WHERE k.subject IN (SELECT s.member FROM root.subject_members(c) s) AND k.state = 'failed-over' AND NOT k.may_return
    RETURNING k.*
  )
  INSERT INTO root.condition_history (subject, state, epoch, why, decided_by)
  SELECT f.subject, f.state, f.epoch, 'may return', c->>'decidedBy' FROM freed f ORDER BY f.subject;
  RETURN jsonb_build_object('conditions', root.conditions());
END
$$;

-- The lease of a member's resync, with progress p: the row, or none when another gateway has it or the epoch is void.
-- Whoever holds it may still write down how it ended.
CREATE FUNCTION root.lease_resync(p_member text, p_epoch bigint, p_owner text, p_lease_ms bigint, p jsonb)
RETURNS SETOF root.resync
LANGUAGE plpgsql AS $$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_valid boolean := EXISTS (
    SELECT FROM root.member m JOIN root.pair k ON k.id = m.pair_id WHERE m.id = p_member AND k.epoch = p_epoch);
BEGIN
  IF v_valid THEN
    INSERT INTO root.resync AS r (member, epoch, phase, owner, leased_until)
    VALUES (p_member, p_epoch, 'tombstones', p_owner, v_now)
    ON CONFLICT (member) DO UPDATE
    SET epoch = p_epoch, phase = 'tombstones', started_at = v_now, owner = p_owner, leased_until = v_now,
        compared_ranges = 0, to_pull = 0, pulled_blobs = 0, pulled_bytes = 0, removed_blobs = 0, lag = 0, last_error = NULL
    WHERE r.epoch < p_epoch;
  ELSIF coalesce(p->>'phase', '') NOT IN ('done', 'failed') THEN
    RETURN;
  END IF;
  RETURN QUERY
  UPDATE root.resync r
  SET owner = p_owner, leased_until = v_now + p_lease_ms * interval '1 millisecond', updated_at = v_now,
      phase = coalesce(p->>'phase', r.phase),
      compared_ranges = coalesce((p->>'comparedRanges')::bigint, r.compared_ranges),
      to_pull = coalesce((p->>'toPull')::bigint, r.to_pull),
      pulled_blobs = coalesce((p->>'pulledBlobs')::bigint, r.pulled_blobs),
      pulled_bytes = coalesce((p->>'pulledBytes')::bigint, r.pulled_bytes),
      removed_blobs = coalesce((p->>'removedBlobs')::bigint, r.removed_blobs),
      lag = coalesce((p->>'lag')::bigint, r.lag),
      last_error = coalesce(p->>'lastError', r.last_error)
  WHERE r.member = p_member AND r.epoch = p_epoch
    AND (r.owner = p_owner OR v_valid AND r.leased_until <= v_now)
  RETURNING r.*;
END
$$;

GRANT SELECT, UPDATE ON root.cluster TO antipode_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON root.resync, antipode.pair_epoch TO antipode_app;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode TO antipode_app;
