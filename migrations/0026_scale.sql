-- Listings and queues of large catalogs. Where entries are common prefixes, a probe past each of them asks for one row: a
-- loop over a query fetches ten at first, whose heap pages are ten where keys did not come in order (13,000 pages for a
-- page of 1,000 prefixes; 4,000 with probes of one row).

CREATE OR REPLACE FUNCTION antipode.list_objects(p_bucket bigint, p_prefix text, p_delimiter text, p_after text, p_max integer)
RETURNS TABLE (name text, is_prefix boolean, seq bigint)
LANGUAGE plpgsql STABLE ROWS 1000
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
DECLARE
  lo text COLLATE "C" := CASE WHEN p_after = '' THEN p_prefix ELSE antipode.walk_start(p_prefix, p_delimiter, p_after) END;
  hi text COLLATE "C" := antipode.text_after(p_prefix);
  n integer := 0;
  -- The entry before was a common prefix: so may be the next.
  probe boolean := false;
  r record;
BEGIN
  <<walk>>
  WHILE lo IS NOT NULL AND n < p_max LOOP
    IF probe THEN
      SELECT v.key, v.seq INTO r FROM antipode.version v
      WHERE v.bucket_id = p_bucket AND v.is_latest AND NOT v.is_delete_marker
        AND v.key >= lo AND (hi IS NULL OR v.key < hi)
      ORDER BY v.key LIMIT 1;
      EXIT walk WHEN NOT FOUND;
      name := antipode.common_prefix(r.key, p_prefix, p_delimiter);
      IF name IS NOT NULL THEN
        is_prefix := true;
        seq := NULL;
        n := n + 1;
        RETURN NEXT;
        lo := antipode.text_after(name);
        CONTINUE walk;
      END IF;
      lo := r.key;
      probe := false;
    END IF;
    FOR r IN
      SELECT v.key, v.seq FROM antipode.version v
      WHERE v.bucket_id = p_bucket AND v.is_latest AND NOT v.is_delete_marker
        AND v.key >= lo AND (hi IS NULL OR v.key < hi)
      ORDER BY v.key LIMIT p_max - n
    LOOP
      name := antipode.common_prefix(r.key, p_prefix, p_delimiter);
      is_prefix := name IS NOT NULL;
      n := n + 1;
      IF is_prefix THEN
        seq := NULL;
        RETURN NEXT;
        lo := antipode.text_after(name);
        probe := true;
        CONTINUE walk;
      END IF;
      name := r.key;
      seq := r.seq;
      RETURN NEXT;
    END LOOP;
    EXIT walk;
  END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION antipode.list_versions(
  p_bucket bigint, p_prefix text, p_delimiter text, p_after text, p_seq bigint, p_max integer
) RETURNS TABLE (name text, is_prefix boolean, seq bigint)
LANGUAGE plpgsql STABLE ROWS 1000
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
DECLARE
  lo text COLLATE "C" := CASE WHEN p_after = '' THEN p_prefix ELSE antipode.walk_start(p_prefix, p_delimiter, p_after) END;
  hi text COLLATE "C" := antipode.text_after(p_prefix);
  n integer := 0;
  -- The entry before was a common prefix: so may be the next.
  probe boolean := false;
  r record;
BEGIN
  IF p_seq IS NOT NULL AND starts_with(p_after, p_prefix)
     AND antipode.common_prefix(p_after, p_prefix, p_delimiter) IS NULL THEN
    FOR r IN
      SELECT v.seq FROM antipode.version v
      WHERE v.bucket_id = p_bucket AND v.key = p_after AND v.seq < p_seq ORDER BY v.seq DESC LIMIT p_max
    LOOP
      name := p_after;
      is_prefix := false;
      seq := r.seq;
      n := n + 1;
      RETURN NEXT;
    END LOOP;
  END IF;
  <<walk>>
  WHILE lo IS NOT NULL AND n < p_max LOOP
    IF probe THEN
      SELECT v.key, v.seq INTO r FROM antipode.version v
      WHERE v.bucket_id = p_bucket AND v.key >= lo AND (hi IS NULL OR v.key < hi)
      ORDER BY v.bucket_id, v.key, v.seq DESC LIMIT 1;
      EXIT walk WHEN NOT FOUND;
      name := antipode.common_prefix(r.key, p_prefix, p_delimiter);
      IF name IS NOT NULL THEN
        is_prefix := true;
        seq := NULL;
        n := n + 1;
        RETURN NEXT;
        lo := antipode.text_after(name);
        CONTINUE walk;
      END IF;
      lo := r.key;
      probe := false;
    END IF;
    FOR r IN
      SELECT v.key, v.seq FROM antipode.version v
      WHERE v.bucket_id = p_bucket AND v.key >= lo AND (hi IS NULL OR v.key < hi)
      ORDER BY v.bucket_id, v.key, v.seq DESC LIMIT p_max - n
    LOOP
      name := antipode.common_prefix(r.key, p_prefix, p_delimiter);
      is_prefix := name IS NOT NULL;
      n := n + 1;
      IF is_prefix THEN
        seq := NULL;
        RETURN NEXT;
        lo := antipode.text_after(name);
        probe := true;
        CONTINUE walk;
      END IF;
      name := r.key;
      seq := r.seq;
      RETURN NEXT;
    END LOOP;
    EXIT walk;
  END LOOP;
END
$$;

CREATE OR REPLACE FUNCTION antipode.list_uploads(
  p_bucket bigint, p_prefix text, p_delimiter text, p_after text, p_upload text, p_max integer
) RETURNS TABLE (name text, is_prefix boolean, upload_id text)
LANGUAGE plpgsql STABLE ROWS 1000
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
DECLARE
  lo text COLLATE "C" := CASE WHEN p_after = '' THEN p_prefix ELSE antipode.walk_start(p_prefix, p_delimiter, p_after) END;
  hi text COLLATE "C" := antipode.text_after(p_prefix);
  n integer := 0;
  -- The entry before was a common prefix: so may be the next.
  probe boolean := false;
  r record;
BEGIN
  IF p_upload IS NOT NULL AND starts_with(p_after, p_prefix)
     AND antipode.common_prefix(p_after, p_prefix, p_delimiter) IS NULL THEN
    FOR r IN
      SELECT u.upload_id FROM antipode.upload u
      WHERE u.bucket_id = p_bucket AND u.key = p_after AND u.state = 'open' AND u.upload_id > p_upload
      ORDER BY u.bucket_id, u.key, u.upload_id LIMIT p_max
    LOOP
      name := p_after;
      is_prefix := false;
      upload_id := r.upload_id;
      n := n + 1;
      RETURN NEXT;
    END LOOP;
  END IF;
  <<walk>>
  WHILE lo IS NOT NULL AND n < p_max LOOP
    IF probe THEN
      SELECT u.key, u.upload_id INTO r FROM antipode.upload u
      WHERE u.bucket_id = p_bucket AND u.state = 'open' AND u.key >= lo AND (hi IS NULL OR u.key < hi)
      ORDER BY u.bucket_id, u.key, u.upload_id LIMIT 1;
      EXIT walk WHEN NOT FOUND;
      name := antipode.common_prefix(r.key, p_prefix, p_delimiter);
      IF name IS NOT NULL THEN
        is_prefix := true;
        upload_id := NULL;
        n := n + 1;
        RETURN NEXT;
        lo := antipode.text_after(name);
        CONTINUE walk;
      END IF;
      lo := r.key;
      probe := false;
    END IF;
    FOR r IN
      SELECT u.key, u.upload_id FROM antipode.upload u
      WHERE u.bucket_id = p_bucket AND u.state = 'open' AND u.key >= lo AND (hi IS NULL OR u.key < hi)
      ORDER BY u.bucket_id, u.key, u.upload_id LIMIT p_max - n
    LOOP
      name := antipode.common_prefix(r.key, p_prefix, p_delimiter);
      is_prefix := name IS NOT NULL;
      n := n + 1;
      IF is_prefix THEN
        upload_id := NULL;
        RETURN NEXT;
        lo := antipode.text_after(name);
        probe := true;
        CONTINUE walk;
      END IF;
      name := r.key;
      upload_id := r.upload_id;
      RETURN NEXT;
    END LOOP;
    EXIT walk;
  END LOOP;
END
$$;

-- A row that was deleted stays in the indexes until a vacuum, and a walk passes over it: a page behind a million of them reads
-- 5,000 blocks of the index until then (30,000 the first time), 30 afterwards. By default a vacuum comes when a fifth of
-- a table is dead, and leaves the indexes alone when the dead are in 2 % of its pages or fewer; here at one in a hundred, and never.
ALTER TABLE antipode.version SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_cost_limit = 2000, vacuum_index_cleanup = on);
ALTER TABLE antipode.upload SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000,
  autovacuum_vacuum_cost_limit = 2000, vacuum_index_cleanup = on);
-- Queues, in whole or by an index over a few of their rows: what is taken from the front is passed over by the next taker.
DO $$
DECLARE
  v_table text;
BEGIN
  FOREACH v_table IN ARRAY ARRAY['blob', 'manifest', 'manifest_part', 'upload_part', 'off_map_replica', 'repair', 'outbox', 'usage_delta'] LOOP
    EXECUTE format('ALTER TABLE antipode.%I SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 5000, '
      'autovacuum_vacuum_cost_limit = 2000, vacuum_index_cleanup = on)', v_table);
  END LOOP;
END
$$;
