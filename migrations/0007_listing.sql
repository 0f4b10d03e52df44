-- Listings walk an index and stop: entries that share a prefix are skipped with one probe past the prefix. They
-- answer entries (a name, and which row it is); the caller joins what it wants to show. Comparisons are bytewise,
-- which for UTF-8 is code point order.

-- The first text after every text that starts with p; null when there is none (p is empty or all U+10FFFF).
CREATE FUNCTION antipode.text_after(p text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  last integer;
BEGIN
  LOOP
    IF p = '' THEN RETURN NULL; END IF;
    last := ascii(right(p, 1));
    p := left(p, -1);
    -- U+D800–DFFF are not characters.
    IF last < 1114111 THEN RETURN p || chr(CASE last WHEN 55295 THEN 57344 ELSE last + 1 END); END IF;
  END LOOP;
END
$$;

-- The common prefix that a key falls under, or null. The delimiter counts behind the prefix only.
CREATE FUNCTION antipode.common_prefix(key text, prefix text, delimiter text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT AS $$
  SELECT CASE WHEN delimiter <> '' AND position(delimiter IN substr(key, length(prefix) + 1)) > 0
    THEN left(key, length(prefix) + position(delimiter IN substr(key, length(prefix) + 1)) + length(delimiter) - 1) END
$$;

-- Where a walk begins that is to show entries strictly after `after`: the first key (inclusive) to look at.
-- Null: nowhere.
CREATE FUNCTION antipode.walk_start(prefix text, delimiter text, after text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  v_common text;
BEGIN
  IF after COLLATE "C" < prefix COLLATE "C" THEN RETURN prefix; END IF;
  IF NOT starts_with(after, prefix) THEN RETURN NULL; END IF;
  v_common := antipode.common_prefix(after, prefix, delimiter);
  IF v_common IS NOT NULL THEN RETURN antipode.text_after(v_common); END IF;
  -- The least text above `after` is `after` and the least character; U+0000 cannot be stored.
  RETURN after || chr(1);
END
$$;

CREATE FUNCTION antipode.list_objects(p_bucket bigint, p_prefix text, p_delimiter text, p_after text, p_max integer)
RETURNS TABLE (name text, is_prefix boolean, seq bigint)
LANGUAGE plpgsql STABLE ROWS 1000
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
DECLARE
  lo text COLLATE "C" := CASE WHEN p_after = '' THEN p_prefix ELSE antipode.walk_start(p_prefix, p_delimiter, p_after) END;
  hi text COLLATE "C" := antipode.text_after(p_prefix);
  n integer := 0;
  r record;
BEGIN
  <<walk>>
  WHILE lo IS NOT NULL AND n < p_max LOOP
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

-- p_seq: with p_after, go on behind that version of the key; null: with the keys behind p_after.
CREATE FUNCTION antipode.list_versions(
  p_bucket bigint, p_prefix text, p_delimiter text, p_after text, p_seq bigint, p_max integer
) RETURNS TABLE (name text, is_prefix boolean, seq bigint)
LANGUAGE plpgsql STABLE ROWS 1000
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
DECLARE
  lo text COLLATE "C" := CASE WHEN p_after = '' THEN p_prefix ELSE antipode.walk_start(p_prefix, p_delimiter, p_after) END;
  hi text COLLATE "C" := antipode.text_after(p_prefix);
  n integer := 0;
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

-- The seq that a version id marker stands for. A null version that has gone since: from the key's newest again.
CREATE FUNCTION antipode.marker_seq(p_bucket bigint, p_key text, p_version_id text, p_seq bigint) RETURNS bigint
LANGUAGE plpgsql STABLE
SET enable_seqscan = off
AS $$
BEGIN
  IF p_version_id IS NULL THEN RETURN NULL; END IF;
  IF p_version_id <> 'null' THEN RETURN p_seq; END IF;
  RETURN coalesce(
    (SELECT v.seq FROM antipode.version v WHERE v.bucket_id = p_bucket AND v.key = p_key
       AND v.version_id = 'null' AND NOT v.is_latest),
    (SELECT l.seq FROM (SELECT v.seq, v.version_id FROM antipode.version v WHERE v.bucket_id = p_bucket AND v.key = p_key
       ORDER BY v.seq DESC LIMIT 1) l WHERE l.version_id = 'null'),
    9223372036854775807);
END
$$;

-- p_upload: with p_after, go on behind that upload of the key; null: with the keys behind p_after.
CREATE FUNCTION antipode.list_uploads(
  p_bucket bigint, p_prefix text, p_delimiter text, p_after text, p_upload text, p_max integer
) RETURNS TABLE (name text, is_prefix boolean, upload_id text)
LANGUAGE plpgsql STABLE ROWS 1000
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
DECLARE
  lo text COLLATE "C" := CASE WHEN p_after = '' THEN p_prefix ELSE antipode.walk_start(p_prefix, p_delimiter, p_after) END;
  hi text COLLATE "C" := antipode.text_after(p_prefix);
  n integer := 0;
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
