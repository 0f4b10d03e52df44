-- Changes in SQL, through catalog.objects and catalog.object_versions. They are the operations of S3, carried out by
-- the commit's own functions (0003 and after): nothing here decides about versions, locks, quotas, references or usage.
--
-- A statement only collects what it saw, row by row; the transaction's end carries all of it out at once. So no key's
-- lock is held while somebody thinks between BEGIN and COMMIT, all locks are taken in the one order that everybody
-- keeps, and ROLLBACK costs nothing. A row that is not as the statement saw it any more is skipped and counted.
-- Everything below runs with the owner's rights and sees pg_catalog alone: names are written in full.

-- What open transactions have collected; nobody ever sees another's rows, and each removes its own when it commits.
CREATE UNLOGGED TABLE antipode.sql_write (
  tx xid8 PRIMARY KEY
);
CREATE UNLOGGED TABLE antipode.sql_change (
  id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  tx     xid8 NOT NULL,
  bucket bigint NOT NULL,
  key    text COLLATE "C" NOT NULL,
  seq    bigint NOT NULL,
  op     jsonb NOT NULL
);
-- An unlogged sequence is unreadable on a standby that is promoted: Postgres (15 to 18) puts the page that it begins with into
-- memory there, and the promotion copies the file.
ALTER SEQUENCE antipode.sql_change_id_seq SET LOGGED;
CREATE INDEX sql_change_tx ON antipode.sql_change (tx);

-- Who may remove versions in GOVERNANCE retention in SQL: members of this role that say so (antipode.bypass_governance = on).
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = 'antipode_bypass_governance') THEN
    CREATE ROLE antipode_bypass_governance NOLOGIN;
  END IF;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN NULL;
  WHEN insufficient_privilege THEN
    RAISE WARNING 'the role antipode_bypass_governance could not be made: %', SQLERRM;
END
$$;

-- Whether the row is another one than the document's, or has changed since.
CREATE FUNCTION antipode.has_changed(seen jsonb, v antipode.version) RETURNS boolean
LANGUAGE sql STABLE AS $$
  SELECT v.seq IS DISTINCT FROM (seen->>'seq')::bigint
      OR v.write_id IS DISTINCT FROM (seen->>'writeId')::uuid
      OR v.is_latest IS DISTINCT FROM (seen->>'latest')::boolean
      OR v.tags IS DISTINCT FROM seen->'tags'
      OR coalesce(v.legal_hold, false) IS DISTINCT FROM (seen->>'legalHold')::boolean
      OR v.retention_mode IS DISTINCT FROM seen->>'retentionMode'
      OR v.retention_until IS DISTINCT FROM (seen->>'retainUntil')::timestamptz
$$;

-- As in 0003, and `seen`.
CREATE OR REPLACE FUNCTION antipode.failed_condition(op text, cond jsonb, subject antipode.version) RETURNS text
LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN cond IS NULL THEN NULL
    WHEN cond ? 'seen' AND antipode.has_changed(cond->'seen', subject) THEN 'changed'
    WHEN op = 'put' AND (subject.seq IS NULL OR subject.is_delete_marker)
      THEN CASE WHEN cond ? 'ifMatch' THEN 'no-such-key' END
    -- DELETE: a condition on what is not there holds (and nothing is done, see decide).
    WHEN subject.seq IS NULL THEN NULL
    WHEN cond->>'ifNoneMatch' IN ('*', subject.etag)
      OR cond->>'ifMatch' NOT IN ('*', subject.etag)
      OR (cond->>'ifMatchSize')::bigint <> subject.size
      OR date_trunc('second', (cond->>'ifMatchLastModified')::timestamptz) <> date_trunc('second', subject.last_modified)
      THEN 'precondition-failed'
  END
$$;

-- ------------------------------------------------------------------------------- what S3 accepts (src/s3api/tags.ts, metadata.ts)

CREATE FUNCTION antipode.check_tags(tags jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_bad text;
BEGIN
  IF jsonb_typeof(tags) <> 'object' THEN
    RAISE EXCEPTION 'tags must be an object of texts' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT t.key INTO v_bad FROM jsonb_each(tags) t
  WHERE jsonb_typeof(t.value) <> 'string' OR t.key LIKE 'aws:%'
     OR length(t.key) NOT BETWEEN 1 AND 128 OR t.key !~ '^[A-Za-z0-9 _.:/=+@\u00a0-\U0010FFFF-]*$'
     OR length(t.value #>> '{}') > 256 OR t.value #>> '{}' !~ '^[A-Za-z0-9 _.:/=+@\u00a0-\U0010FFFF-]*$'
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'the tag % is not valid', quote_literal(v_bad) USING ERRCODE = 'invalid_parameter_value',
      HINT = 'Keys have 1 to 128 characters, values up to 256: letters, digits, spaces and + - = . _ : / @; no key begins with aws:';
  END IF;
  IF (SELECT count(*) FROM jsonb_object_keys(tags)) > 10 THEN
    RAISE EXCEPTION 'an object has at most 10 tags' USING ERRCODE = 'invalid_parameter_value';
  END IF;
END
$$;

CREATE FUNCTION antipode.check_metadata(metadata jsonb, headers jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_bad text;
BEGIN
  IF jsonb_typeof(metadata) <> 'object' OR jsonb_typeof(headers) <> 'object' THEN
    RAISE EXCEPTION 'metadata and headers must be objects of texts' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT t.key INTO v_bad
  FROM (SELECT m.key, m.value, m.key ~ '^[a-z0-9!#$%&''*+.^_`|~-]+$' AS is_known FROM jsonb_each(metadata) m
        UNION ALL
        SELECT h.key, h.value, h.key IN ('contentType', 'cacheControl', 'contentDisposition', 'contentEncoding',
                                         'contentLanguage', 'expires', 'websiteRedirectLocation') AND h.value <> '""'
        FROM jsonb_each(headers) h) t
  WHERE NOT t.is_known OR jsonb_typeof(t.value) <> 'string'
     OR t.value #>> '{}' !~ '^([!-~\u0080-\u00ff]([\t -~\u0080-\u00ff]*[!-~\u0080-\u00ff])?)?$'
     OR t.key = 'websiteRedirectLocation' AND t.value #>> '{}' !~ '^(/|https?://)'
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'the metadata % is not valid', quote_literal(v_bad) USING ERRCODE = 'invalid_parameter_value',
      HINT = 'Names are in lower case as in HTTP headers, without x-amz-meta-; values are what a header may hold.';
  END IF;
  IF (SELECT coalesce(sum(length(m.key) + length(m.value)), 0) FROM jsonb_each_text(metadata) m) > 2048
     OR length(headers::text) > 8192 THEN
    RAISE EXCEPTION 'metadata has at most 2048 bytes' USING ERRCODE = 'invalid_parameter_value';
  END IF;
END
$$;

-- ------------------------------------------------------------------------------------------------------------- collecting

-- Rows that one transaction may change.
CREATE FUNCTION antipode.sql_rows_max() RETURNS integer
LANGUAGE sql IMMUTABLE AS $$ SELECT 10000 $$;

CREATE FUNCTION antipode.refuse_too_many() RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'one transaction changes at most % rows of the catalog', antipode.sql_rows_max()
    USING ERRCODE = 'program_limit_exceeded', HINT = 'Nothing was changed. Change fewer at once, again and again: ... AND key < ..., or key IN (SELECT ... LIMIT ...).';
END
$$;

CREATE FUNCTION antipode.begin_sql_write() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
    RAISE EXCEPTION 'the catalog is changed in READ COMMITTED alone, not in %', upper(current_setting('transaction_isolation'))
      USING ERRCODE = 'invalid_transaction_state';
  END IF;
  INSERT INTO antipode.sql_write (tx) VALUES (pg_current_xact_id()) ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$$;

-- The document of a copy of a version to itself with other metadata: the bytes are shared, nothing is copied. Null when
-- the version is not as it was.
CREATE FUNCTION antipode.self_copy(p_bucket bigint, p_key text, p_seq bigint, p_write uuid) RETURNS jsonb
LANGUAGE plpgsql AS $$
BEGIN
  RETURN (
    SELECT jsonb_strip_nulls(jsonb_build_object(
      'op', 'put', 'owner', v.owner, 'size', v.size, 'etag', v.etag, 'storageClass', v.storage_class, 'partCount', v.part_count,
      'checksum', CASE WHEN v.checksum_algorithm IS NOT NULL THEN jsonb_build_object(
        'algorithm', v.checksum_algorithm, 'type', v.checksum_type, 'value', v.checksum_value) END,
      'content', CASE WHEN v.manifest_id IS NOT NULL THEN 'share-manifest' WHEN v.blob_id IS NOT NULL THEN 'share-blob'
                      ELSE 'empty' END,
      'manifest', v.manifest_id, 'blob', CASE WHEN v.blob_id IS NOT NULL THEN jsonb_build_object('id', v.blob_id) END))
    FROM antipode.version v
    WHERE v.bucket_id = p_bucket AND v.key = p_key AND v.seq = p_seq AND v.write_id = p_write);
END
$$;

CREATE FUNCTION antipode.collect_sql_change() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  v_rows integer := coalesce(nullif(current_setting('antipode.sql_rows', true), ''), '0')::integer + 1;
  v_objects boolean := TG_TABLE_NAME = 'objects';
  v_latest boolean := true;
  v_marker boolean := false;
  v_bucket antipode.bucket;
  v_headers jsonb;
  v_op jsonb;
BEGIN
  IF v_rows > antipode.sql_rows_max() THEN PERFORM antipode.refuse_too_many(); END IF;
  PERFORM set_config('antipode.sql_rows', v_rows::text, true);
  IF NOT v_objects THEN
    v_latest := OLD.is_latest;
    v_marker := OLD.is_delete_marker;
  END IF;
  IF TG_OP = 'DELETE' THEN
    v_op := '{"op": "delete"}';
  ELSE
    IF to_jsonb(NEW) - '{tags,metadata,headers,content_type}'::text[]
       IS DISTINCT FROM to_jsonb(OLD) - '{tags,metadata,headers,content_type}'::text[] THEN
      RAISE EXCEPTION 'only tags, metadata, headers and content_type of % can be changed', TG_TABLE_NAME
        USING ERRCODE = 'feature_not_supported';
    END IF;
    v_headers := coalesce(NEW.headers, '{}');
    IF NEW.content_type IS DISTINCT FROM OLD.content_type THEN
      v_headers := CASE WHEN NEW.content_type IS NULL THEN v_headers - 'contentType'
                        ELSE v_headers || jsonb_build_object('contentType', NEW.content_type) END;
    END IF;
    NEW.headers := v_headers;
    NEW.metadata := coalesce(NEW.metadata, '{}');
    NEW.tags := coalesce(NEW.tags, '{}');
    IF (NEW.tags, NEW.metadata, NEW.headers) IS NOT DISTINCT FROM (OLD.tags, OLD.metadata, OLD.headers) THEN
      RETURN NEW;
    END IF;
    IF v_marker THEN
      RAISE EXCEPTION 'a delete marker has no tags and no metadata' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM antipode.check_tags(NEW.tags);
    IF (NEW.metadata, NEW.headers) IS NOT DISTINCT FROM (OLD.metadata, OLD.headers) THEN
      v_op := jsonb_build_object('op', 'tags', 'tags', NEW.tags);
    ELSIF NOT v_objects THEN
      RAISE EXCEPTION 'the metadata of a version never changes'
        USING ERRCODE = 'feature_not_supported', HINT = 'UPDATE catalog.objects makes a new version that shares the bytes.';
    ELSE
      PERFORM antipode.check_metadata(NEW.metadata, NEW.headers);
    END IF;
  END IF;
  SELECT * INTO v_bucket FROM antipode.bucket b WHERE b.name = OLD.bucket;
  v_op := coalesce(
    v_op,
    antipode.self_copy(v_bucket.id, OLD.key, OLD.sequence, OLD.revision)
      || jsonb_build_object('tags', NEW.tags, 'user', NEW.metadata, 'system', NEW.headers),
    -- Another write's by now: that is found out again under its lock, and it is skipped.
    '{"op": "tags", "tags": {}}');
  -- On objects S3's operations are about the key; on versions about the one that is named.
  IF NOT v_objects THEN
    v_op := v_op || jsonb_build_object('versionId', OLD.version_id)
      || CASE WHEN OLD.version_id = 'null' THEN '{}' ELSE jsonb_build_object('versionSeq', OLD.sequence) END;
  END IF;
  INSERT INTO antipode.sql_change (tx, bucket, key, seq, op)
  VALUES (pg_current_xact_id(), coalesce(v_bucket.id, 0), OLD.key, OLD.sequence,
    jsonb_build_object('owner', v_bucket.owner) || v_op || jsonb_build_object(
      'bucket', coalesce(v_bucket.id, 0), 'key', OLD.key, 'writeId', gen_random_uuid(),
      'condition', jsonb_build_object('seen', jsonb_build_object(
        'seq', OLD.sequence, 'writeId', OLD.revision, 'latest', v_latest, 'tags', OLD.tags, 'legalHold', OLD.legal_hold,
        'retentionMode', OLD.retention_mode, 'retainUntil', OLD.retain_until))));
  IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
  RETURN NEW;
END
$$;

-- ------------------------------------------------------------------------------------------------------------ carrying out

CREATE FUNCTION antipode.may_bypass_governance() RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
  IF coalesce(current_setting('antipode.bypass_governance', true), '') NOT IN ('on', 'true', '1') THEN RETURN false; END IF;
  -- By name: a superuser is everybody's member, and is to say so, too.
  IF EXISTS (
    WITH RECURSIVE roles AS (
      SELECT r.oid, r.rolname FROM pg_roles r WHERE r.rolname = session_user
      UNION
      SELECT r.oid, r.rolname FROM roles m JOIN pg_auth_members a ON a.member = m.oid JOIN pg_roles r ON r.oid = a.roleid
    )
    SELECT FROM roles WHERE rolname = 'antipode_bypass_governance') THEN
    RETURN true;
  END IF;
  RAISE EXCEPTION '% may not bypass governance retention', session_user
    USING ERRCODE = 'insufficient_privilege', HINT = 'Members of the role antipode_bypass_governance may.';
END
$$;

-- What cannot be done fails the transaction; skips are those that changed.
CREATE FUNCTION antipode.refuse_sql_change(reason text, op jsonb) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_name text := 's3://' || (SELECT b.name FROM antipode.bucket b WHERE b.id = (op->>'bucket')::bigint) || '/' || (op->>'key')
              || coalesce(' version ' || (op->>'versionId'), '');
BEGIN
  CASE reason
    WHEN 'locked' THEN
      RAISE EXCEPTION 'object lock forbids removing %', v_name
        USING ERRCODE = 'insufficient_privilege', HINT = 'Nothing was changed. Leave out what is locked: WHERE NOT legal_hold AND (retain_until IS NULL OR retain_until < now())';
    WHEN 'over-quota' THEN
      RAISE EXCEPTION 'a quota forbids a new version of %', v_name
        USING ERRCODE = 'disk_full', HINT = 'Nothing was changed.';
    ELSE
      RAISE EXCEPTION '% cannot be changed: %', v_name, reason USING ERRCODE = 'object_not_in_prerequisite_state';
  END CASE;
END
$$;

-- Up to so many keys are locked one by one; for more, their buckets as a whole, so that the server's table of locks does not
-- overflow. Buckets come before keys in either case.
CREATE FUNCTION antipode.lock_sql_changes(p_tx xid8, p_rows bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  IF p_rows > 1000 THEN
    PERFORM antipode.lock_bucket(b.bucket)
    FROM (SELECT DISTINCT c.bucket FROM antipode.sql_change c WHERE c.tx = p_tx ORDER BY 1) b;
  ELSE
    PERFORM antipode.lock_keys((
      SELECT jsonb_agg(jsonb_build_object('bucket', c.bucket, 'key', c.key)) FROM antipode.sql_change c WHERE c.tx = p_tx));
  END IF;
END
$$;

-- (The plans' settings are those of a gateway's connection. Without force_generic_plan a batch costs the square of its rows:
-- each look of a loop copies the whole plan.)
CREATE FUNCTION antipode.apply_sql_write() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
  v_tx xid8 := pg_current_xact_id();
  v_bypass boolean := antipode.may_bypass_governance();
  v_rows bigint;
  v_skipped bigint := 0;
  v_ops jsonb;
  v_results jsonb;
  v_said record;
BEGIN
  SELECT count(*) INTO v_rows FROM antipode.sql_change c WHERE c.tx = v_tx;
  IF v_rows > antipode.sql_rows_max() THEN PERFORM antipode.refuse_too_many(); END IF;
  -- Durable on the twin as every commit; and whoever goes on after this (SET CONSTRAINTS) does not hold the locks for long.
  PERFORM set_config('synchronous_commit', 'remote_apply', true), set_config('lock_timeout', '4s', true),
          set_config('idle_in_transaction_session_timeout', '4s', true);
  IF v_rows > 0 THEN PERFORM antipode.lock_sql_changes(v_tx, v_rows); END IF;
  -- A key stands once per batch; of several versions the oldest goes first, as that changes nothing of the others.
  FOR v_ops IN
    SELECT jsonb_agg(r.op ORDER BY r.id)
    FROM (SELECT c.id, CASE WHEN v_bypass THEN c.op || '{"bypass": true}' ELSE c.op END AS op,
                 row_number() OVER (PARTITION BY c.bucket, c.key ORDER BY c.seq, c.id) AS round
          FROM antipode.sql_change c WHERE c.tx = v_tx) r
    GROUP BY r.round ORDER BY r.round
  LOOP
    v_results := antipode.apply_batch(v_ops, 0);
    FOR v_said IN
      SELECT x.result->>'reason' AS reason, count(*) AS many, min(x.ord) AS first
      FROM jsonb_array_elements(v_results) WITH ORDINALITY x(result, ord)
      WHERE x.result ? 'reason' OR x.result->>'action' = 'none' GROUP BY 1
    LOOP
      IF coalesce(v_said.reason, 'changed') NOT IN ('changed', 'no-such-key', 'no-such-version', 'bucket-gone') THEN
        PERFORM antipode.refuse_sql_change(v_said.reason, v_ops->(v_said.first - 1)::integer);
      END IF;
      v_skipped := v_skipped + v_said.many;
    END LOOP;
  END LOOP;
  DELETE FROM antipode.sql_change c WHERE c.tx = v_tx;
  DELETE FROM antipode.sql_write w WHERE w.tx = v_tx;
  PERFORM set_config('antipode.last_write',
    jsonb_build_object('changed', v_rows - v_skipped, 'skipped', v_skipped, 'at', clock_timestamp())::text, false);
  RAISE LOG 'antipode: % changed % rows of the catalog and skipped %', session_user, v_rows - v_skipped, v_skipped;
  IF v_skipped > 0 THEN
    RAISE WARNING '% of % rows had changed since they were read, and were skipped', v_skipped, v_rows
      USING HINT = 'Say the same again for what still applies. SELECT * FROM catalog.last_write() has the counts.';
  END IF;
  RETURN NULL;
END
$$;
CREATE CONSTRAINT TRIGGER apply_sql_write AFTER INSERT ON antipode.sql_write
DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION antipode.apply_sql_write();

CREATE TRIGGER begin_sql_write BEFORE DELETE OR UPDATE ON catalog.objects
FOR EACH STATEMENT EXECUTE FUNCTION antipode.begin_sql_write();
CREATE TRIGGER collect_sql_change INSTEAD OF DELETE OR UPDATE ON catalog.objects
FOR EACH ROW EXECUTE FUNCTION antipode.collect_sql_change();
CREATE TRIGGER begin_sql_write BEFORE DELETE OR UPDATE ON catalog.object_versions
FOR EACH STATEMENT EXECUTE FUNCTION antipode.begin_sql_write();
CREATE TRIGGER collect_sql_change INSTEAD OF DELETE OR UPDATE ON catalog.object_versions
FOR EACH ROW EXECUTE FUNCTION antipode.collect_sql_change();

CREATE FUNCTION catalog.last_write(OUT changed bigint, OUT skipped bigint, OUT at timestamptz)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
  SELECT (w.said->>'changed')::bigint, (w.said->>'skipped')::bigint, (w.said->>'at')::timestamptz
  FROM (SELECT nullif(current_setting('antipode.last_write', true), '')::jsonb AS said) w
$$;
COMMENT ON FUNCTION catalog.last_write() IS
  'Rows that this session''s last transaction on the catalog changed, and rows that it skipped as they had changed meanwhile';

GRANT DELETE, UPDATE ON catalog.objects, catalog.object_versions TO antipode_writer;
GRANT EXECUTE ON FUNCTION catalog.last_write() TO antipode_reader, antipode_writer, antipode_app;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA antipode FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION catalog.last_write() FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA antipode TO antipode_app;
REVOKE EXECUTE ON FUNCTION antipode.begin_sql_write, antipode.collect_sql_change, antipode.apply_sql_write FROM antipode_app;
