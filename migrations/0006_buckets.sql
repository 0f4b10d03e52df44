-- A directory's bucket rows. What changes one takes the bucket's lock exclusively, so no commit passes it.

CREATE FUNCTION antipode.create_bucket(
  p_id bigint, p_name text, p_owner text, p_region text, p_created_at timestamptz, p_object_lock boolean, p_settings jsonb
) RETURNS SETOF antipode.bucket
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM antipode.lock_bucket(p_id);
  INSERT INTO antipode.bucket (id, name, owner, region, created_at, versioning, object_lock, settings)
  VALUES (p_id, p_name, p_owner, p_region, p_created_at,
          CASE WHEN p_object_lock THEN 'enabled' ELSE 'unversioned' END, p_object_lock, p_settings)
  ON CONFLICT (id) DO NOTHING;
  RETURN QUERY SELECT * FROM antipode.bucket b WHERE b.id = p_id;
END
$$;

-- 'done', 'no-such-bucket' or 'not-empty'. Versions and delete markers keep a bucket; uploads do not.
CREATE FUNCTION antipode.delete_bucket(p_id bigint) RETURNS text
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
BEGIN
  PERFORM antipode.lock_bucket(p_id);
  IF NOT EXISTS (SELECT FROM antipode.bucket b WHERE b.id = p_id) THEN RETURN 'no-such-bucket'; END IF;
  IF EXISTS (SELECT FROM antipode.version v WHERE v.bucket_id = p_id) THEN RETURN 'not-empty'; END IF;
  PERFORM antipode.drop_uploads(ARRAY(SELECT u.upload_id FROM antipode.upload u WHERE u.bucket_id = p_id ORDER BY 1));
  DELETE FROM antipode.usage u WHERE u.bucket_id = p_id;
  DELETE FROM antipode.bucket b WHERE b.id = p_id;
  RETURN 'done';
END
$$;

-- 'done', 'no-such-bucket', or 'locked' (versioning of a bucket with object lock cannot be suspended).
CREATE FUNCTION antipode.set_versioning(p_id bigint, p_state text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM antipode.lock_bucket(p_id);
  IF EXISTS (SELECT FROM antipode.bucket b WHERE b.id = p_id AND b.object_lock AND p_state <> 'enabled') THEN
    RETURN 'locked';
  END IF;
  UPDATE antipode.bucket b SET versioning = p_state WHERE b.id = p_id;
  RETURN CASE WHEN FOUND THEN 'done' ELSE 'no-such-bucket' END;
END
$$;

CREATE FUNCTION antipode.set_bucket_setting(p_id bigint, p_name text, p_value jsonb) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM antipode.lock_bucket(p_id);
  UPDATE antipode.bucket b
  SET settings = CASE WHEN p_value IS NULL THEN b.settings - p_name
                      ELSE b.settings || jsonb_build_object(p_name, p_value) END
  WHERE b.id = p_id;
  RETURN CASE WHEN FOUND THEN 'done' ELSE 'no-such-bucket' END;
END
$$;
