-- Carries out what antipode.decide has decided. One statement per kind of change for the whole batch; a kind that
-- does not occur is skipped.

-- Takes rows away and hands "latest" on.
CREATE FUNCTION antipode.retire_versions(plan antipode.decision[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM antipode.version v USING unnest(plan) p
  WHERE p.reason IS NULL AND p.action IN ('insert', 'remove') AND p.old_seq IS NOT NULL
    AND v.bucket_id = p.bucket_id AND v.key = p.key AND v.seq = p.old_seq;
  UPDATE antipode.version v SET is_latest = false FROM unnest(plan) p
  WHERE p.reason IS NULL AND p.demote_seq IS NOT NULL
    AND v.bucket_id = p.bucket_id AND v.key = p.key AND v.seq = p.demote_seq;
  UPDATE antipode.version v SET is_latest = true FROM unnest(plan) p
  WHERE p.reason IS NULL AND p.promote
    AND v.bucket_id = p.bucket_id AND v.key = p.key
    AND v.seq = (SELECT n.seq FROM antipode.version n
                 WHERE n.bucket_id = p.bucket_id AND n.key = p.key ORDER BY n.seq DESC LIMIT 1);
END
$$;

CREATE FUNCTION antipode.insert_blobs(plan antipode.decision[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO antipode.blob (id, pair, size, root)
  SELECT (p.doc->'blob'->>'id')::uuid, p.doc->'blob'->>'pair', (p.doc->'blob'->>'size')::bigint,
         decode(p.doc->'blob'->>'root', 'hex')
  FROM unnest(plan) p WHERE p.reason IS NULL AND p.doc->>'content' = 'blob';
  INSERT INTO antipode.off_map_replica (blob_id, member)
  SELECT (p.doc->'blob'->>'id')::uuid, m.member
  FROM unnest(plan) p CROSS JOIN LATERAL jsonb_array_elements_text(p.doc->'blob'->'offMap') m(member)
  WHERE p.reason IS NULL AND p.doc->>'content' = 'blob';
END
$$;

CREATE FUNCTION antipode.insert_versions(plan antipode.decision[], now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO antipode.version (
    bucket_id, key, seq, version_id, is_latest, is_delete_marker, size, part_count, blob_id, manifest_id, write_id,
    last_modified, etag, owner, storage_class, checksum_algorithm, checksum_type, checksum_value,
    retention_mode, retention_until, legal_hold, system_metadata, user_metadata, tags)
  SELECT p.bucket_id, p.key, p.seq, p.version_id, true, p.marker,
         coalesce((p.doc->>'size')::bigint, 0), (p.doc->>'partCount')::integer,
         (p.doc->'blob'->>'id')::uuid, (p.doc->>'manifest')::bigint, (p.doc->>'writeId')::uuid,
         now, coalesce(p.doc->>'etag', ''), p.doc->>'owner', coalesce(p.doc->>'storageClass', 'STANDARD'),
         p.doc->'checksum'->>'algorithm', p.doc->'checksum'->>'type', p.doc->'checksum'->>'value',
         p.doc->'retention'->>'mode', (p.doc->'retention'->>'until')::timestamptz,
         coalesce((p.doc->>'legalHold')::boolean, false),
         coalesce(p.doc->'system', '{}'), coalesce(p.doc->'user', '{}'), coalesce(p.doc->'tags', '{}')
  FROM unnest(plan) p WHERE p.reason IS NULL AND p.action = 'insert';
END
$$;

-- An overwrite where nothing is kept of the old version: the row stays, with its seq.
CREATE FUNCTION antipode.replace_versions(plan antipode.decision[], now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE antipode.version v
  SET is_delete_marker = p.marker,
      size = coalesce((p.doc->>'size')::bigint, 0), part_count = (p.doc->>'partCount')::integer,
      blob_id = (p.doc->'blob'->>'id')::uuid, manifest_id = (p.doc->>'manifest')::bigint,
      write_id = (p.doc->>'writeId')::uuid,
      last_modified = now, etag = coalesce(p.doc->>'etag', ''), owner = p.doc->>'owner',
      storage_class = coalesce(p.doc->>'storageClass', 'STANDARD'),
      checksum_algorithm = p.doc->'checksum'->>'algorithm', checksum_type = p.doc->'checksum'->>'type',
      checksum_value = p.doc->'checksum'->>'value',
      retention_mode = p.doc->'retention'->>'mode', retention_until = (p.doc->'retention'->>'until')::timestamptz,
      legal_hold = coalesce((p.doc->>'legalHold')::boolean, false),
      system_metadata = coalesce(p.doc->'system', '{}'), user_metadata = coalesce(p.doc->'user', '{}'),
      tags = coalesce(p.doc->'tags', '{}')
  FROM unnest(plan) p
  WHERE p.reason IS NULL AND p.action = 'replace'
    AND v.bucket_id = p.bucket_id AND v.key = p.key AND v.seq = p.seq;
END
$$;

CREATE FUNCTION antipode.replace_tags(plan antipode.decision[]) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  UPDATE antipode.version v SET tags = p.doc->'tags'
  FROM unnest(plan) p
  WHERE p.reason IS NULL AND p.action = 'tags'
    AND v.bucket_id = p.bucket_id AND v.key = p.key AND v.seq = p.seq;
END
$$;

-- What the caller is told, and what the outbox keeps to tell it again when the first answer was lost.
CREATE FUNCTION antipode.result_of(p antipode.decision, now timestamptz) RETURNS jsonb
LANGUAGE sql AS $$
  SELECT CASE WHEN p.reason IS NOT NULL THEN jsonb_build_object('reason', p.reason)
    ELSE jsonb_build_object(
      'versionId', p.version_id,
      'marker', p.marker,
      'action', p.action,
      'lastModifiedMs', (extract(epoch FROM now) * 1000)::bigint) END
$$;

-- Usage and outbox.
CREATE FUNCTION antipode.record_changes(plan antipode.decision[], now timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO antipode.usage_delta (bucket_id, versions, bytes)
  SELECT d.bucket_id, d.versions, d.bytes
  FROM (
    SELECT p.bucket_id,
           sum(CASE WHEN p.action IN ('insert', 'replace') AND NOT p.marker THEN 1 ELSE 0 END - p.old_versions) AS versions,
           sum(CASE WHEN p.action IN ('insert', 'replace') THEN coalesce((p.doc->>'size')::bigint, 0) ELSE 0 END
               - p.old_bytes) AS bytes
    FROM unnest(plan) p
    WHERE p.reason IS NULL AND p.action IN ('insert', 'replace', 'remove')
    GROUP BY p.bucket_id
  ) d
  WHERE d.versions <> 0 OR d.bytes <> 0;
  INSERT INTO antipode.outbox (event, bucket_id, key, kind, payload, at)
  SELECT (p.doc->>'writeId')::uuid, p.bucket_id, p.key,
         CASE p.action WHEN 'remove' THEN 'delete' WHEN 'tags' THEN 'tags'
                       ELSE CASE WHEN p.marker THEN 'delete-marker' ELSE 'put' END END,
         jsonb_build_object('result', antipode.result_of(p, now), 'size', p.doc->'size', 'etag', p.doc->'etag'), now
  FROM unnest(plan) p WHERE p.reason IS NULL AND p.action <> 'none'
  ORDER BY p.ord;
END
$$;

-- Evaluates and carries out operations whose keys are locked by this transaction.
CREATE FUNCTION antipode.apply_batch(ops jsonb, intent_ms bigint) RETURNS jsonb
LANGUAGE plpgsql AS $$
DECLARE
  plan antipode.decision[] := antipode.decide(ops, intent_ms);
  now timestamptz := date_trunc('milliseconds', clock_timestamp());
  shares boolean;
  inserts boolean;
  replaces boolean;
  retires boolean;
  retags boolean;
BEGIN
  SELECT bool_or(p.old_blob IS NOT NULL OR p.old_manifest IS NOT NULL OR p.doc->>'content' LIKE 'share-%'),
         bool_or(p.action = 'insert'), bool_or(p.action = 'replace'),
         bool_or(p.promote OR p.demote_seq IS NOT NULL OR p.action IN ('insert', 'remove') AND p.old_seq IS NOT NULL),
         bool_or(p.action = 'tags')
  INTO shares, inserts, replaces, retires, retags
  FROM unnest(plan) p WHERE p.reason IS NULL;
  IF shares THEN plan := antipode.lock_content(plan); END IF;
  IF inserts OR replaces THEN PERFORM antipode.insert_blobs(plan); END IF;
  IF retires THEN PERFORM antipode.retire_versions(plan); END IF;
  IF inserts THEN PERFORM antipode.insert_versions(plan, now); END IF;
  IF replaces THEN PERFORM antipode.replace_versions(plan, now); END IF;
  IF retags THEN PERFORM antipode.replace_tags(plan); END IF;
  IF shares THEN PERFORM antipode.count_references(plan); END IF;
  PERFORM antipode.record_changes(plan, now);
  RETURN (SELECT jsonb_agg(antipode.result_of(p, now) ORDER BY p.ord) FROM unnest(plan) p);
END
$$;

-- Locks first, in a statement of its own: what follows then sees every commit that held the locks before.
-- The settings keep cached plans on the indexes whatever the statistics said when they were made.
CREATE FUNCTION antipode.commit_batch(ops jsonb, intent_ms bigint) RETURNS jsonb
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
BEGIN
  PERFORM antipode.lock_keys(ops);
  RETURN antipode.apply_batch(ops, intent_ms);
END
$$;
