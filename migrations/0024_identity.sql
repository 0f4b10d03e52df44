-- Which catalog this is. Nodes remember the catalog whose blobs they keep, so that another one, an empty one made after both
-- directories were lost for instance, never takes their blobs for rubbish. A copy of the database, or one restored to an
-- earlier point, is the same catalog.
CREATE TABLE antipode.identity (
  id      boolean PRIMARY KEY DEFAULT true CHECK (id),
  catalog uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO antipode.identity DEFAULT VALUES;
COMMENT ON TABLE antipode.identity IS 'One row: the random id that this catalog was made with; nodes remember the root pair''s';
GRANT SELECT ON antipode.identity TO antipode_app;

-- A node knows a later epoch of its pair than the record: the catalog has been restored to an earlier point, or rebuilt. The
-- record goes on above what the node knows, so that whoever still has the lost record is refused.
CREATE FUNCTION root.raise_epoch(p_pair text, p_epoch bigint, p_by text) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  v_epoch bigint;
BEGIN
  SELECT k.epoch INTO v_epoch FROM root.cluster k FOR UPDATE;
  IF EXISTS (SELECT FROM root.pair p WHERE p.id = p_pair AND p.epoch < p_epoch) THEN
    v_epoch := greatest(v_epoch, p_epoch) + 1;
    UPDATE root.cluster SET epoch = v_epoch;
    UPDATE root.pair p SET epoch = v_epoch WHERE p.id = p_pair;
    UPDATE antipode.pair_epoch e SET epoch = v_epoch WHERE e.pair = p_pair;
    INSERT INTO root.condition_history (subject, state, epoch, why, decided_by)
    SELECT c.subject, c.state, v_epoch, 'a node of ' || p_pair || ' knew epoch ' || p_epoch || ': the catalog is of an earlier time', p_by
    FROM root.member m JOIN root.condition c ON c.subject = m.id WHERE m.pair_id = p_pair ORDER BY m.id;
  END IF;
  RETURN jsonb_build_object('conditions', root.conditions());
END
$$;
REVOKE EXECUTE ON FUNCTION root.raise_epoch(text, bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION root.raise_epoch(text, bigint, text) TO antipode_app;
