-- The views for people. What stands here is a promise: columns are added, never changed or taken away (docs/catalog.md).
-- They run with the owner's rights, so that whoever reads them needs none below; and since a view's functions run with the
-- rights of who asks, they call none of ours. No view has security_barrier: none hides a row that another shows, and what
-- is secret is in none of them, while a barrier would keep `key LIKE 'prefix%'` from the index.

-- What a directory knows of the topology: its own pair, and all members with their conditions. In the root pair that is a
-- copy of the record, made by triggers; in others it is what a gateway told last.
CREATE TABLE antipode.directory (
  id   boolean PRIMARY KEY DEFAULT true CHECK (id),
  pair text COLLATE "C" NOT NULL
);
CREATE TABLE antipode.known_member (
  id      text COLLATE "C" PRIMARY KEY,
  pair    text COLLATE "C" NOT NULL,
  kind    text NOT NULL CHECK (kind IN ('node', 'directory')),
  center  text COLLATE "C" NOT NULL,
  address text NOT NULL,
  port    integer NOT NULL,
  -- Of nodes. The condition of a directory is its pair's decider's, not the record's.
  state   text,
  -- The cluster's epoch that the state was told under.
  epoch   bigint NOT NULL DEFAULT 0
);
INSERT INTO antipode.known_member (id, pair, kind, center, address, port, state, epoch)
SELECT m.id, m.pair_id, p.kind, m.center, m.address, m.port, CASE WHEN p.kind = 'node' THEN c.state END, coalesce(c.epoch, 0)
FROM root.member m JOIN root.pair p ON p.id = m.pair_id LEFT JOIN root.condition c ON c.subject = m.id;

-- members: [{ id, pair, kind, center, address, port }].
CREATE FUNCTION antipode.learn_members(members jsonb) RETURNS void
LANGUAGE sql AS $$
  INSERT INTO antipode.known_member AS m (id, pair, kind, center, address, port)
  SELECT x->>'id', x->>'pair', x->>'kind', x->>'center', x->>'address', (x->>'port')::integer
  FROM jsonb_array_elements(members) x ORDER BY 1
  ON CONFLICT (id) DO UPDATE
  SET pair = excluded.pair, kind = excluded.kind, center = excluded.center, address = excluded.address, port = excluded.port
  WHERE (m.pair, m.kind, m.center, m.address, m.port)
        IS DISTINCT FROM (excluded.pair, excluded.kind, excluded.center, excluded.address, excluded.port)
$$;
-- t: { pair, members }, members only where the record is another directory's.
CREATE FUNCTION antipode.learn_topology(t jsonb) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO antipode.directory AS d (pair) VALUES (t->>'pair')
  ON CONFLICT (id) DO UPDATE SET pair = excluded.pair WHERE d.pair <> excluded.pair;
  PERFORM antipode.learn_members(t->'members');
END
$$;
-- c: { epoch, states: { member: state } }. Older news change nothing.
CREATE FUNCTION antipode.learn_conditions(c jsonb) RETURNS void
LANGUAGE sql AS $$
  UPDATE antipode.known_member m SET state = s.state, epoch = (c->>'epoch')::bigint
  FROM (SELECT n.* FROM jsonb_each_text(c->'states') n(member, state) ORDER BY 1) s
  WHERE m.id = s.member AND m.kind = 'node' AND m.epoch <= (c->>'epoch')::bigint
    AND (m.state IS NULL OR m.state <> s.state OR m.epoch <> (c->>'epoch')::bigint)
$$;

CREATE FUNCTION root.copy_member() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM antipode.learn_members(jsonb_build_array(jsonb_build_object(
    'id', NEW.id, 'pair', NEW.pair_id, 'kind', (SELECT p.kind FROM root.pair p WHERE p.id = NEW.pair_id),
    'center', NEW.center, 'address', NEW.address, 'port', NEW.port)));
  RETURN NULL;
END
$$;
CREATE TRIGGER copy_member AFTER INSERT OR UPDATE ON root.member FOR EACH ROW EXECUTE FUNCTION root.copy_member();
CREATE FUNCTION root.copy_condition() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
  PERFORM antipode.learn_conditions(jsonb_build_object('epoch', NEW.epoch, 'states', jsonb_build_object(NEW.subject, NEW.state)));
  RETURN NULL;
END
$$;
CREATE TRIGGER copy_condition AFTER INSERT OR UPDATE ON root.condition FOR EACH ROW EXECUTE FUNCTION root.copy_condition();

-- The two members of this directory's pair: which of them answers here, and whether commits wait for the other. Its address
-- tells, or else its last promotion.
CREATE VIEW antipode.known_directory AS
SELECT m.id, m.pair, m.center, m.address, m.port,
       CASE WHEN host(inet_server_addr()) IN (SELECT o.address FROM antipode.known_member o WHERE o.pair = d.pair)
            THEN m.address = host(inet_server_addr())
            ELSE m.id = (SELECT t.member FROM antipode.timeline t ORDER BY t.timeline DESC LIMIT 1) END AS is_primary,
       current_setting('synchronous_standby_names') <> '' AS synchronous,
       l.at AS decided_at, l.why
FROM antipode.directory d JOIN antipode.known_member m ON m.pair = d.pair AND m.kind = 'directory'
LEFT JOIN LATERAL (
  SELECT c.at, c.why FROM antipode.directory_decision c WHERE c.pair = d.pair ORDER BY c.at DESC LIMIT 1
) l ON true;

-- Tags and metadata by what they contain (`tags @> '{"a": "b"}'`), one index for both.
-- Its list of what is not sorted in yet is short: a commit that has to sort in 4 MB of it (the default) waits 175 ms, 16 ms
-- with 128 kB.
CREATE INDEX version_labels ON antipode.version USING gin (tags jsonb_path_ops, user_metadata jsonb_path_ops)
WITH (gin_pending_list_limit = 128);

-- ------------------------------------------------------------------------------------------------- names and bytes

CREATE VIEW catalog.buckets AS
SELECT b.name AS bucket, b.owner, b.created_at, b.region, b.versioning, b.object_lock,
       coalesce(b.settings->>'durability', 'two-copies') AS durability, b.settings->'defaultRetention' AS default_retention,
       b.settings - 'durability' - 'defaultRetention' AS settings
FROM antipode.bucket b;

CREATE VIEW catalog.bucket_settings AS
SELECT b.name AS bucket, s.key AS setting, s.value FROM antipode.bucket b CROSS JOIN LATERAL jsonb_each(b.settings) s;

CREATE VIEW catalog.objects AS
SELECT b.name AS bucket, v.key, v.version_id, v.size, v.last_modified, v.etag, v.owner, v.storage_class,
       v.system_metadata->>'contentType' AS content_type, v.system_metadata AS headers, v.user_metadata AS metadata, v.tags,
       v.checksum_algorithm, v.checksum_type, v.checksum_value AS checksum, v.part_count, v.retention_mode,
       v.retention_until AS retain_until, coalesce(v.legal_hold, false) AS legal_hold, v.blob_id AS blob, v.seq AS sequence,
       v.write_id AS revision
FROM antipode.version v JOIN antipode.bucket b ON b.id = v.bucket_id
WHERE v.is_latest AND NOT v.is_delete_marker;

CREATE VIEW catalog.object_versions AS
SELECT b.name AS bucket, v.key, v.version_id, v.is_latest, v.is_delete_marker, v.size, v.last_modified, v.etag, v.owner,
       v.storage_class, v.system_metadata->>'contentType' AS content_type, v.system_metadata AS headers,
       v.user_metadata AS metadata, v.tags, v.checksum_algorithm, v.checksum_type, v.checksum_value AS checksum, v.part_count,
       v.retention_mode, v.retention_until AS retain_until, coalesce(v.legal_hold, false) AS legal_hold, v.blob_id AS blob,
       v.seq AS sequence, v.write_id AS revision
FROM antipode.version v JOIN antipode.bucket b ON b.id = v.bucket_id;

CREATE VIEW catalog.uploads AS
SELECT b.name AS bucket, u.key, u.upload_id, u.initiated AS initiated_at, u.owner,
       u.attributes->>'storageClass' AS storage_class, u.attributes->'system' AS headers, u.attributes->'user' AS metadata,
       u.attributes->'tags' AS tags, u.checksum_algorithm, u.checksum_type,
       (SELECT count(*) FROM antipode.upload_part p WHERE p.upload_id = u.upload_id) AS parts,
       (SELECT coalesce(sum(p.size), 0)::bigint FROM antipode.upload_part p WHERE p.upload_id = u.upload_id) AS bytes
FROM antipode.upload u JOIN antipode.bucket b ON b.id = u.bucket_id
WHERE u.state = 'open';

CREATE VIEW catalog.parts AS
SELECT b.name AS bucket, v.key, v.version_id, NULL::text AS upload_id, m.part_number, m."offset", m.size, m.etag, m.checksum,
       m.blob_id AS blob, v.last_modified
FROM antipode.version v JOIN antipode.bucket b ON b.id = v.bucket_id
JOIN antipode.manifest_part m ON m.manifest_id = v.manifest_id
UNION ALL
SELECT b.name, u.key, NULL, u.upload_id, p.part_number, NULL, p.size, p.etag, p.checksum, p.blob_id, p.last_modified
FROM antipode.upload u JOIN antipode.bucket b ON b.id = u.bucket_id JOIN antipode.upload_part p ON p.upload_id = u.upload_id
WHERE u.state = 'open';

CREATE VIEW catalog.blobs AS
SELECT b.id AS blob, b.pair, b.size, encode(b.root, 'hex') AS digest, b.ref_count AS uses, b.state, b.dying_since
FROM antipode.blob b;

CREATE VIEW catalog.blob_uses AS
SELECT v.blob_id AS blob, b.name AS bucket, v.key, v.version_id, v.is_latest, NULL::text AS upload_id, NULL::integer AS part_number
FROM antipode.version v JOIN antipode.bucket b ON b.id = v.bucket_id WHERE v.blob_id IS NOT NULL
UNION ALL
SELECT m.blob_id, b.name, v.key, v.version_id, v.is_latest, NULL, m.part_number
FROM antipode.manifest_part m JOIN antipode.version v ON v.manifest_id = m.manifest_id
JOIN antipode.bucket b ON b.id = v.bucket_id WHERE m.blob_id IS NOT NULL
UNION ALL
SELECT p.blob_id, b.name, u.key, NULL, NULL, u.upload_id, p.part_number
FROM antipode.upload_part p JOIN antipode.upload u ON u.upload_id = p.upload_id
JOIN antipode.bucket b ON b.id = u.bucket_id WHERE p.blob_id IS NOT NULL;

CREATE VIEW catalog.replicas AS
SELECT b.id AS blob, b.pair, m.id AS member, m.center, m.state AS condition,
       CASE WHEN r.reason IS NULL THEN 'present' WHEN r.reason = 'corrupt' THEN 'corrupt' ELSE 'missing' END AS state,
       NULL::text COLLATE "C" AS home, r.since, b.size
FROM antipode.blob b JOIN antipode.known_member m ON m.pair = b.pair
LEFT JOIN antipode.repair r ON r.blob_id = b.id AND r.member = m.id
WHERE b.state = 'live'
UNION ALL
SELECT b.id, b.pair, o.member, m.center, m.state,
       CASE WHEN o.surplus THEN 'surplus' WHEN o.home IS NULL THEN 'stray' ELSE 'handoff' END, o.home, o.since, b.size
FROM antipode.off_map_replica o JOIN antipode.blob b ON b.id = o.blob_id
LEFT JOIN antipode.known_member m ON m.id = o.member
WHERE b.state = 'live';

-- The view is made for sweeps: a join of it with a few objects would still read all blobs. This goes by the indexes.
CREATE FUNCTION catalog.locate(bucket text, key text, version_id text DEFAULT NULL)
RETURNS TABLE (version text, part_number integer, blob uuid, size bigint, pair text, member text, center text, condition text,
               state text, home text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT v.version_id, n.part_number, b.id, b.size, b.pair, h.member, h.center, h.condition, h.state, h.home
  FROM (
    SELECT t.version_id, t.blob_id, t.manifest_id FROM antipode.version t
    WHERE t.bucket_id = (SELECT k.id FROM antipode.bucket k WHERE k.name = locate.bucket) AND t.key = locate.key
      AND CASE WHEN locate.version_id IS NULL THEN t.is_latest ELSE t.version_id = locate.version_id END
  ) v
  CROSS JOIN LATERAL (
    SELECT NULL::integer AS part_number, v.blob_id AS blob WHERE v.blob_id IS NOT NULL
    UNION ALL
    SELECT m.part_number, m.blob_id FROM antipode.manifest_part m WHERE m.manifest_id = v.manifest_id
  ) n
  JOIN antipode.blob b ON b.id = n.blob
  CROSS JOIN LATERAL (
    SELECT m.id AS member, m.center, m.state AS condition,
           CASE WHEN r.reason IS NULL THEN 'present' WHEN r.reason = 'corrupt' THEN 'corrupt' ELSE 'missing' END AS state,
           NULL AS home
    FROM antipode.known_member m LEFT JOIN antipode.repair r ON r.blob_id = b.id AND r.member = m.id
    WHERE m.pair = b.pair
    UNION ALL
    SELECT o.member, m.center, m.state,
           CASE WHEN o.surplus THEN 'surplus' WHEN o.home IS NULL THEN 'stray' ELSE 'handoff' END, o.home
    FROM antipode.off_map_replica o LEFT JOIN antipode.known_member m ON m.id = o.member WHERE o.blob_id = b.id
  ) h
  ORDER BY n.part_number, h.member
$$;

-- As in 0015, with the blob's id as the other views have it, and pairs of directories.
DROP VIEW catalog.exceptions;
CREATE VIEW catalog.exceptions AS
SELECT r.blob_id AS blob, b.pair, r.member, r.reason, r.since, r.attempts, r.last_error, r.found_by, b.size, n.bucket, n.key,
       n.version_id, n.upload_id, n.part_number
FROM antipode.repair r JOIN antipode.blob b ON b.id = r.blob_id AND b.state = 'live'
LEFT JOIN catalog.blob_uses n ON n.blob = r.blob_id
UNION ALL
SELECT NULL, d.pair, d.id, 'unreplicated', d.decided_at, NULL, d.why, 'directory', NULL, NULL, NULL, NULL, NULL, NULL
FROM antipode.known_directory d WHERE NOT d.synchronous AND NOT d.is_primary;

-- --------------------------------------------------------------------------------------------------------- the store

CREATE VIEW catalog.pairs AS
SELECT p.id AS pair, p.kind, p.weight, p.epoch, p.created_at,
       ARRAY(SELECT m.id FROM root.member m WHERE m.pair_id = p.id ORDER BY m.id) AS members,
       (SELECT CASE count(*) WHEN 0 THEN 'redundant' WHEN 1 THEN 'degraded' ELSE 'lost' END
        FROM root.member m JOIN root.condition c ON c.subject = m.id WHERE m.pair_id = p.id AND c.state <> 'serving') AS state
FROM root.pair p WHERE p.kind = 'node'
UNION ALL
SELECT d.pair, 'directory', NULL, NULL, NULL,
       ARRAY(SELECT m.id FROM antipode.known_member m WHERE m.pair = d.pair ORDER BY m.id),
       CASE WHEN current_setting('synchronous_standby_names') = '' THEN 'degraded' ELSE 'redundant' END
FROM antipode.directory d;

CREATE VIEW catalog.members AS
SELECT m.id AS member, m.pair_id AS pair, p.kind, m.center, m.address, m.port, c.state AS condition, c.since,
       NULL::boolean AS is_primary
FROM root.member m JOIN root.pair p ON p.id = m.pair_id LEFT JOIN root.condition c ON c.subject = m.id
WHERE p.kind = 'node'
UNION ALL
SELECT d.id, d.pair, 'directory', d.center, d.address, d.port,
       CASE WHEN d.is_primary OR d.synchronous THEN 'serving' WHEN NOT d.is_primary THEN 'failed-over' END,
       CASE WHEN NOT d.is_primary THEN d.decided_at END, d.is_primary
FROM antipode.known_directory d;

CREATE VIEW catalog.conditions AS
SELECT c.subject, c.state, c.epoch, c.since, c.why, c.decided_by, c.may_return
FROM root.condition c
WHERE c.subject NOT IN (SELECT m.id FROM root.member m JOIN root.pair p ON p.id = m.pair_id WHERE p.kind = 'directory');

CREATE VIEW catalog.failovers AS
SELECT h.at, h.subject, CASE WHEN starts_with(h.subject, 'center ') THEN 'center' ELSE 'node' END AS kind, h.state, h.epoch,
       h.why, h.decided_by
FROM root.condition_history h
UNION ALL
SELECT t.at, t.member, 'directory', 'primary', t.timeline, t.why, t.decided_by FROM antipode.timeline t
UNION ALL
SELECT d.at, d.member, 'directory', CASE d.what WHEN 'left-out' THEN 'failed-over' WHEN 'returned' THEN 'serving' ELSE d.what END,
       d.timeline, d.why, d.decided_by
FROM antipode.directory_decision d WHERE d.what <> 'promoted';

CREATE VIEW catalog.resyncs AS
SELECT r.member, r.epoch, r.phase, r.started_at, r.updated_at, r.owner AS gateway, r.to_pull, r.pulled_blobs, r.pulled_bytes,
       r.removed_blobs, r.lag, r.last_error
FROM root.resync r;

CREATE VIEW catalog.accounts AS
SELECT a.id AS account, a.display_name, a.email, a.tenant, a.is_root, a.created_at FROM root.account a;

CREATE VIEW catalog.access_keys AS
SELECT k.access_key_id, k.account_id AS account, k.status, k.created_at FROM root.access_key k;

CREATE VIEW catalog.bucket_names AS
SELECT n.name AS bucket, n.owner, n.directory AS pair, n.state, n.created_at FROM root.bucket_name n;

-- ------------------------------------------------------------------------------------------------------------- usage

CREATE VIEW catalog.bucket_usage AS
SELECT b.name AS bucket, b.owner, coalesce(u.objects, 0) AS objects, coalesce(u.bytes, 0) AS bytes,
       coalesce(u.upload_bytes, 0) AS upload_bytes, q.objects_max, q.bytes_max
FROM antipode.bucket b
LEFT JOIN LATERAL (
  SELECT sum(t.versions)::bigint AS objects, sum(t.bytes)::bigint AS bytes, sum(t.upload_bytes)::bigint AS upload_bytes
  FROM (
    SELECT f.versions, f.bytes, f.upload_bytes FROM antipode.usage f WHERE f.bucket_id = b.id
    UNION ALL
    SELECT d.versions, d.bytes, d.upload_bytes FROM antipode.usage_delta d WHERE d.bucket_id = b.id
  ) t
) u ON true
LEFT JOIN antipode.quota q ON q.subject = 'bucket/' || b.id;

CREATE VIEW catalog.account_usage AS
SELECT u.owner AS account, count(*) AS buckets, sum(u.objects)::bigint AS objects, sum(u.bytes)::bigint AS bytes,
       sum(u.upload_bytes)::bigint AS upload_bytes, max(q.objects_max) AS objects_max, max(q.bytes_max) AS bytes_max
FROM catalog.bucket_usage u LEFT JOIN antipode.quota q ON q.subject = 'account/' || u.owner
GROUP BY u.owner;

CREATE FUNCTION catalog.prefix_usage(bucket text, delimiter text DEFAULT '/', depth integer DEFAULT 1, beneath text DEFAULT '')
RETURNS TABLE (prefix text, objects bigint, bytes bigint, oldest timestamptz, newest timestamptz)
LANGUAGE sql STABLE AS $$
  SELECT beneath || CASE WHEN n.levels > 0 THEN array_to_string(s.steps[1:n.levels], delimiter) || delimiter ELSE '' END,
         count(*), sum(o.size)::bigint, min(o.last_modified), max(o.last_modified)
  FROM catalog.objects o
  CROSS JOIN LATERAL (SELECT string_to_array(substr(o.key, length(beneath) + 1), delimiter) AS steps) s
  CROSS JOIN LATERAL (SELECT least(depth, cardinality(s.steps) - 1) AS levels) n
  WHERE o.bucket = prefix_usage.bucket AND starts_with(o.key, beneath)
  GROUP BY 1
$$;

-- ------------------------------------------------------------------------------------------------ what they all mean

COMMENT ON VIEW catalog.buckets IS 'The buckets of this directory';
COMMENT ON COLUMN catalog.buckets.bucket IS 'Name of the bucket';
COMMENT ON COLUMN catalog.buckets.owner IS 'The account that owns it';
COMMENT ON COLUMN catalog.buckets.created_at IS 'When it was made';
COMMENT ON COLUMN catalog.buckets.region IS 'The region that it was made for';
COMMENT ON COLUMN catalog.buckets.versioning IS 'unversioned, enabled or suspended';
COMMENT ON COLUMN catalog.buckets.object_lock IS 'Whether versions may be locked';
COMMENT ON COLUMN catalog.buckets.durability IS 'When a write is acknowledged: two-copies, both-centers or one';
COMMENT ON COLUMN catalog.buckets.default_retention IS 'What new versions are locked with: mode and days or years; null: with nothing';
COMMENT ON COLUMN catalog.buckets.settings IS 'The other settings, by name (see bucket_settings)';
COMMENT ON VIEW catalog.bucket_settings IS 'The settings of buckets, a row for each that has been set';
COMMENT ON COLUMN catalog.bucket_settings.bucket IS 'Name of the bucket';
COMMENT ON COLUMN catalog.bucket_settings.setting IS 'Name of the setting: durability, defaultRetention, tagging and others';
COMMENT ON COLUMN catalog.bucket_settings.value IS 'What it is set to';
COMMENT ON VIEW catalog.objects IS 'The objects of this directory: the latest version of each key, unless that is a delete marker';
COMMENT ON COLUMN catalog.objects.bucket IS 'Name of the bucket';
COMMENT ON COLUMN catalog.objects.key IS 'Key; compares bytewise';
COMMENT ON COLUMN catalog.objects.version_id IS 'Version id; null (the word) for one written without versioning';
COMMENT ON COLUMN catalog.objects.size IS 'Bytes';
COMMENT ON COLUMN catalog.objects.last_modified IS 'When it was written, by the directory''s clock';
COMMENT ON COLUMN catalog.objects.etag IS 'ETag, without quotes';
COMMENT ON COLUMN catalog.objects.owner IS 'The account that owns it';
COMMENT ON COLUMN catalog.objects.storage_class IS 'Storage class';
COMMENT ON COLUMN catalog.objects.content_type IS 'Content-Type';
COMMENT ON COLUMN catalog.objects.headers IS 'All headers kept with it: contentType, cacheControl, contentEncoding and others';
COMMENT ON COLUMN catalog.objects.metadata IS 'User metadata (x-amz-meta-…), by name; indexed: metadata @> ''{"name": "value"}''';
COMMENT ON COLUMN catalog.objects.tags IS 'Tags, by name; indexed: tags @> ''{"name": "value"}''';
COMMENT ON COLUMN catalog.objects.checksum_algorithm IS 'Algorithm of its checksum; null: it has none';
COMMENT ON COLUMN catalog.objects.checksum_type IS 'FULL_OBJECT or COMPOSITE';
COMMENT ON COLUMN catalog.objects.checksum IS 'Its checksum, base64';
COMMENT ON COLUMN catalog.objects.part_count IS 'Number of parts, where it was uploaded in parts';
COMMENT ON COLUMN catalog.objects.retention_mode IS 'GOVERNANCE or COMPLIANCE; null: no retention';
COMMENT ON COLUMN catalog.objects.retain_until IS 'Until when it is retained';
COMMENT ON COLUMN catalog.objects.legal_hold IS 'Whether a legal hold is on it';
COMMENT ON COLUMN catalog.objects.blob IS 'The blob that has its bytes; null: it has parts (see parts), or no bytes';
COMMENT ON COLUMN catalog.objects.sequence IS 'Order of the versions of a key: the latest has the highest';
COMMENT ON COLUMN catalog.objects.revision IS 'Another one after each write of this row''s content: tags and locks do not change it';
COMMENT ON VIEW catalog.object_versions IS 'All versions of all objects, delete markers too';
COMMENT ON COLUMN catalog.object_versions.bucket IS 'Name of the bucket';
COMMENT ON COLUMN catalog.object_versions.key IS 'Key; compares bytewise';
COMMENT ON COLUMN catalog.object_versions.version_id IS 'Version id; null (the word) for one written without versioning';
COMMENT ON COLUMN catalog.object_versions.size IS 'Bytes';
COMMENT ON COLUMN catalog.object_versions.last_modified IS 'When it was written, by the directory''s clock';
COMMENT ON COLUMN catalog.object_versions.etag IS 'ETag, without quotes';
COMMENT ON COLUMN catalog.object_versions.owner IS 'The account that owns it';
COMMENT ON COLUMN catalog.object_versions.storage_class IS 'Storage class';
COMMENT ON COLUMN catalog.object_versions.content_type IS 'Content-Type';
COMMENT ON COLUMN catalog.object_versions.headers IS 'All headers kept with it: contentType, cacheControl, contentEncoding and others';
COMMENT ON COLUMN catalog.object_versions.metadata IS 'User metadata (x-amz-meta-…), by name; indexed: metadata @> ''{"name": "value"}''';
COMMENT ON COLUMN catalog.object_versions.tags IS 'Tags, by name; indexed: tags @> ''{"name": "value"}''';
COMMENT ON COLUMN catalog.object_versions.checksum_algorithm IS 'Algorithm of its checksum; null: it has none';
COMMENT ON COLUMN catalog.object_versions.checksum_type IS 'FULL_OBJECT or COMPOSITE';
COMMENT ON COLUMN catalog.object_versions.checksum IS 'Its checksum, base64';
COMMENT ON COLUMN catalog.object_versions.part_count IS 'Number of parts, where it was uploaded in parts';
COMMENT ON COLUMN catalog.object_versions.retention_mode IS 'GOVERNANCE or COMPLIANCE; null: no retention';
COMMENT ON COLUMN catalog.object_versions.retain_until IS 'Until when it is retained';
COMMENT ON COLUMN catalog.object_versions.legal_hold IS 'Whether a legal hold is on it';
COMMENT ON COLUMN catalog.object_versions.blob IS 'The blob that has its bytes; null: it has parts (see parts), or no bytes';
COMMENT ON COLUMN catalog.object_versions.sequence IS 'Order of the versions of a key: the latest has the highest';
COMMENT ON COLUMN catalog.object_versions.revision IS 'Another one after each write of this row''s content: tags and locks do not change it';
COMMENT ON COLUMN catalog.object_versions.is_latest IS 'Whether it is the latest of its key';
COMMENT ON COLUMN catalog.object_versions.is_delete_marker IS 'Whether it is a delete marker';
COMMENT ON VIEW catalog.uploads IS 'Multipart uploads that are neither completed nor aborted';
COMMENT ON COLUMN catalog.uploads.bucket IS 'Name of the bucket';
COMMENT ON COLUMN catalog.uploads.key IS 'Key of the object to be';
COMMENT ON COLUMN catalog.uploads.upload_id IS 'Id of the upload';
COMMENT ON COLUMN catalog.uploads.initiated_at IS 'When it was begun';
COMMENT ON COLUMN catalog.uploads.owner IS 'The account that began it';
COMMENT ON COLUMN catalog.uploads.storage_class IS 'Storage class of the object to be';
COMMENT ON COLUMN catalog.uploads.headers IS 'Headers of the object to be';
COMMENT ON COLUMN catalog.uploads.metadata IS 'User metadata of the object to be';
COMMENT ON COLUMN catalog.uploads.tags IS 'Tags of the object to be';
COMMENT ON COLUMN catalog.uploads.checksum_algorithm IS 'Algorithm of its checksums; null: none asked for';
COMMENT ON COLUMN catalog.uploads.checksum_type IS 'FULL_OBJECT or COMPOSITE';
COMMENT ON COLUMN catalog.uploads.parts IS 'Number of parts uploaded so far';
COMMENT ON COLUMN catalog.uploads.bytes IS 'Bytes of those parts';
COMMENT ON VIEW catalog.parts IS 'Parts of object versions and of open uploads';
COMMENT ON COLUMN catalog.parts.bucket IS 'Name of the bucket';
COMMENT ON COLUMN catalog.parts.key IS 'Key of the object';
COMMENT ON COLUMN catalog.parts.version_id IS 'The version that it is a part of; SQL null for a part of an open upload';
COMMENT ON COLUMN catalog.parts.upload_id IS 'The open upload that it is a part of; null for a part of a version';
COMMENT ON COLUMN catalog.parts.part_number IS 'Number of the part';
COMMENT ON COLUMN catalog.parts."offset" IS 'First byte of the part in its object; null for a part of an open upload';
COMMENT ON COLUMN catalog.parts.size IS 'Bytes';
COMMENT ON COLUMN catalog.parts.etag IS 'ETag of the part, without quotes';
COMMENT ON COLUMN catalog.parts.checksum IS 'Checksum of the part, base64';
COMMENT ON COLUMN catalog.parts.blob IS 'The blob that has its bytes; null: it has none';
COMMENT ON COLUMN catalog.parts.last_modified IS 'When the part was uploaded, or the version completed';
COMMENT ON VIEW catalog.blobs IS 'Immutable bytes on a pair of nodes, each once however many versions share it';
COMMENT ON COLUMN catalog.blobs.blob IS 'Id of the blob';
COMMENT ON COLUMN catalog.blobs.pair IS 'The pair of nodes that it belongs on';
COMMENT ON COLUMN catalog.blobs.size IS 'Bytes';
COMMENT ON COLUMN catalog.blobs.digest IS 'Root of the tree of its chunks'' SHA-256 digests, hexadecimal';
COMMENT ON COLUMN catalog.blobs.uses IS 'How many versions, parts and manifests name it';
COMMENT ON COLUMN catalog.blobs.state IS 'live, or dying: nothing names it any more and its bytes are being reclaimed';
COMMENT ON COLUMN catalog.blobs.dying_since IS 'Since when nothing names it';
COMMENT ON VIEW catalog.blob_uses IS 'What names each blob: versions, and parts of versions and of open uploads';
COMMENT ON COLUMN catalog.blob_uses.blob IS 'Id of the blob';
COMMENT ON COLUMN catalog.blob_uses.bucket IS 'Name of the bucket';
COMMENT ON COLUMN catalog.blob_uses.key IS 'Key of the version or upload';
COMMENT ON COLUMN catalog.blob_uses.version_id IS 'The version; SQL null for a part of an open upload';
COMMENT ON COLUMN catalog.blob_uses.is_latest IS 'Whether that version is the latest of its key; null for a part of an open upload';
COMMENT ON COLUMN catalog.blob_uses.upload_id IS 'The open upload; null for a version';
COMMENT ON COLUMN catalog.blob_uses.part_number IS 'The part, where the version or upload has parts';
COMMENT ON VIEW catalog.replicas IS 'Where the replicas of live blobs are by the record: a row for each member of the blob''s pair, and for each other holder';
COMMENT ON COLUMN catalog.replicas.blob IS 'Id of the blob';
COMMENT ON COLUMN catalog.replicas.pair IS 'The pair of nodes that it belongs on';
COMMENT ON COLUMN catalog.replicas.member IS 'The node';
COMMENT ON COLUMN catalog.replicas.center IS 'The center of that node';
COMMENT ON COLUMN catalog.replicas.condition IS 'The node''s condition as this directory knows it: serving, failed-over or resyncing; only a serving one is read from';
COMMENT ON COLUMN catalog.replicas.state IS 'present; missing: a member of the pair lacks it (exceptions says why); corrupt: it has damaged bytes; handoff: it stands for home; stray: it was found off the map; surplus: its bytes are to be dropped';
COMMENT ON COLUMN catalog.replicas.home IS 'The member that a handoff stands for';
COMMENT ON COLUMN catalog.replicas.since IS 'Since when it is missing, corrupt or off the map';
COMMENT ON COLUMN catalog.replicas.size IS 'Bytes of the blob';
COMMENT ON VIEW catalog.exceptions IS 'What lacks redundancy or is lost: a row for each replica that a member should have and does not, with each version or part that names the blob, and one for a pair of directories whose commits wait for no twin';
COMMENT ON COLUMN catalog.exceptions.blob IS 'Id of the blob; null for a pair of directories';
COMMENT ON COLUMN catalog.exceptions.pair IS 'The pair that the blob belongs on, or the pair of directories';
COMMENT ON COLUMN catalog.exceptions.member IS 'The member that lacks the replica, or the directory that is out';
COMMENT ON COLUMN catalog.exceptions.reason IS 'handoff: written while the member was away, another node stands for it; lag: acknowledged after one replica, the other follows; missing: should be there and is not; corrupt: is there and does not verify; lost: no replica was found anywhere; unreplicated: a directory is out, commits are on its twin alone';
COMMENT ON COLUMN catalog.exceptions.since IS 'When it was noted';
COMMENT ON COLUMN catalog.exceptions.attempts IS 'How often its repair was begun';
COMMENT ON COLUMN catalog.exceptions.last_error IS 'Why the last attempt failed, or why the directory is out';
COMMENT ON COLUMN catalog.exceptions.found_by IS 'What noted it: write, read, scrub, verify, resync, search, directory';
COMMENT ON COLUMN catalog.exceptions.size IS 'Bytes of the blob';
COMMENT ON COLUMN catalog.exceptions.bucket IS 'The bucket of a version or open upload that names the blob';
COMMENT ON COLUMN catalog.exceptions.key IS 'The key of that version or upload';
COMMENT ON COLUMN catalog.exceptions.version_id IS 'The version; SQL null for a part of an open upload';
COMMENT ON COLUMN catalog.exceptions.upload_id IS 'The open upload; null for a version';
COMMENT ON COLUMN catalog.exceptions.part_number IS 'The part, where the object or upload has parts';
COMMENT ON VIEW catalog.pairs IS 'Pairs of twins: those of nodes in the root pair, and each pair of directories in itself';
COMMENT ON COLUMN catalog.pairs.pair IS 'Id of the pair';
COMMENT ON COLUMN catalog.pairs.kind IS 'node or directory';
COMMENT ON COLUMN catalog.pairs.weight IS 'Share of new blobs; 0: takes none; null for directories';
COMMENT ON COLUMN catalog.pairs.epoch IS 'The cluster''s epoch at its last change; null for directories';
COMMENT ON COLUMN catalog.pairs.created_at IS 'When it was made known; null for directories';
COMMENT ON COLUMN catalog.pairs.members IS 'Ids of its two members';
COMMENT ON COLUMN catalog.pairs.state IS 'redundant: both serve; degraded: one does; lost: none does';
COMMENT ON VIEW catalog.members IS 'Members of pairs: nodes in the root pair, and the two directories of each pair in itself';
COMMENT ON COLUMN catalog.members.member IS 'Id of the member';
COMMENT ON COLUMN catalog.members.pair IS 'Id of its pair';
COMMENT ON COLUMN catalog.members.kind IS 'node or directory';
COMMENT ON COLUMN catalog.members.center IS 'Its center';
COMMENT ON COLUMN catalog.members.address IS 'Its address';
COMMENT ON COLUMN catalog.members.port IS 'Its port';
COMMENT ON COLUMN catalog.members.condition IS 'serving, failed-over or resyncing';
COMMENT ON COLUMN catalog.members.since IS 'Since when; of a directory that is not the primary, the last decision about its pair';
COMMENT ON COLUMN catalog.members.is_primary IS 'Directories: whether it is the one that answers; null for nodes, and where addresses do not tell';
COMMENT ON VIEW catalog.conditions IS 'The present condition of each node and each center (root pair)';
COMMENT ON COLUMN catalog.conditions.subject IS 'A node''s id, or the word center and its name';
COMMENT ON COLUMN catalog.conditions.state IS 'serving, failed-over or resyncing';
COMMENT ON COLUMN catalog.conditions.epoch IS 'The cluster''s epoch that it began with';
COMMENT ON COLUMN catalog.conditions.since IS 'Since when';
COMMENT ON COLUMN catalog.conditions.why IS 'Why';
COMMENT ON COLUMN catalog.conditions.decided_by IS 'Who or what decided';
COMMENT ON COLUMN catalog.conditions.may_return IS 'Whether detection may bring it back; what an operator failed over waits for leave';
COMMENT ON VIEW catalog.failovers IS 'What happened to conditions: changes of nodes and centers (root pair), and what was decided about directories (each pair its own)';
COMMENT ON COLUMN catalog.failovers.at IS 'When';
COMMENT ON COLUMN catalog.failovers.subject IS 'A member''s id, or the word center and its name';
COMMENT ON COLUMN catalog.failovers.kind IS 'node, center or directory';
COMMENT ON COLUMN catalog.failovers.state IS 'What it became: serving, failed-over, resyncing; directories also primary (promoted) and may-return (an operator lets it)';
COMMENT ON COLUMN catalog.failovers.epoch IS 'The cluster''s epoch since then; for directories the Postgres timeline';
COMMENT ON COLUMN catalog.failovers.why IS 'Why';
COMMENT ON COLUMN catalog.failovers.decided_by IS 'Who or what decided';
COMMENT ON VIEW catalog.resyncs IS 'The last resync of each node that had one (root pair)';
COMMENT ON COLUMN catalog.resyncs.member IS 'The node';
COMMENT ON COLUMN catalog.resyncs.epoch IS 'The pair''s epoch that it runs under';
COMMENT ON COLUMN catalog.resyncs.phase IS 'tombstones, compare, pull, handoffs, audit, done or failed';
COMMENT ON COLUMN catalog.resyncs.started_at IS 'When it began';
COMMENT ON COLUMN catalog.resyncs.updated_at IS 'When it was last heard of';
COMMENT ON COLUMN catalog.resyncs.gateway IS 'The gateway that drives it';
COMMENT ON COLUMN catalog.resyncs.to_pull IS 'Blobs that it has to pull';
COMMENT ON COLUMN catalog.resyncs.pulled_blobs IS 'Blobs pulled so far';
COMMENT ON COLUMN catalog.resyncs.pulled_bytes IS 'Bytes pulled so far';
COMMENT ON COLUMN catalog.resyncs.removed_blobs IS 'Dead blobs removed';
COMMENT ON COLUMN catalog.resyncs.lag IS 'Repairs that still wait for the node';
COMMENT ON COLUMN catalog.resyncs.last_error IS 'What went wrong last';
COMMENT ON VIEW catalog.accounts IS 'Accounts (root pair)';
COMMENT ON COLUMN catalog.accounts.account IS 'Id of the account';
COMMENT ON COLUMN catalog.accounts.display_name IS 'Shown as owner in listings';
COMMENT ON COLUMN catalog.accounts.email IS 'Its address';
COMMENT ON COLUMN catalog.accounts.tenant IS 'Its tenant';
COMMENT ON COLUMN catalog.accounts.is_root IS 'Whether it is the root account';
COMMENT ON COLUMN catalog.accounts.created_at IS 'When it was made';
COMMENT ON VIEW catalog.access_keys IS 'Access keys without their secrets (root pair). When a key was last used is not recorded';
COMMENT ON COLUMN catalog.access_keys.access_key_id IS 'The access key id';
COMMENT ON COLUMN catalog.access_keys.account IS 'The account that it belongs to';
COMMENT ON COLUMN catalog.access_keys.status IS 'active or inactive';
COMMENT ON COLUMN catalog.access_keys.created_at IS 'When it was made';
COMMENT ON VIEW catalog.bucket_names IS 'The list of bucket names and the pair of directories that has each bucket (root pair)';
COMMENT ON COLUMN catalog.bucket_names.bucket IS 'Name of the bucket';
COMMENT ON COLUMN catalog.bucket_names.owner IS 'The account that owns it';
COMMENT ON COLUMN catalog.bucket_names.pair IS 'The pair of directories that has its rows';
COMMENT ON COLUMN catalog.bucket_names.state IS 'ready, or creating: a creation that was not finished; the next one finishes it';
COMMENT ON COLUMN catalog.bucket_names.created_at IS 'When the name was taken';
COMMENT ON VIEW catalog.bucket_usage IS 'What each bucket holds; kept with every commit, not counted when asked';
COMMENT ON COLUMN catalog.bucket_usage.bucket IS 'Name of the bucket';
COMMENT ON COLUMN catalog.bucket_usage.owner IS 'The account that owns it';
COMMENT ON COLUMN catalog.bucket_usage.objects IS 'Object versions, without delete markers';
COMMENT ON COLUMN catalog.bucket_usage.bytes IS 'Bytes of those versions';
COMMENT ON COLUMN catalog.bucket_usage.upload_bytes IS 'Bytes of parts of open uploads';
COMMENT ON COLUMN catalog.bucket_usage.objects_max IS 'The quota of objects; null: none';
COMMENT ON COLUMN catalog.bucket_usage.bytes_max IS 'The quota of bytes, of versions and uploads together; null: none';
COMMENT ON VIEW catalog.account_usage IS 'What the buckets of each account hold in this directory; with several pairs of directories, sum them';
COMMENT ON COLUMN catalog.account_usage.account IS 'Id of the account';
COMMENT ON COLUMN catalog.account_usage.buckets IS 'Number of its buckets here';
COMMENT ON COLUMN catalog.account_usage.objects IS 'Object versions, without delete markers';
COMMENT ON COLUMN catalog.account_usage.bytes IS 'Bytes of those versions';
COMMENT ON COLUMN catalog.account_usage.upload_bytes IS 'Bytes of parts of open uploads';
COMMENT ON COLUMN catalog.account_usage.objects_max IS 'The quota of objects; null: none';
COMMENT ON COLUMN catalog.account_usage.bytes_max IS 'The quota of bytes, of versions and uploads together; null: none';
COMMENT ON FUNCTION catalog.locate IS 'Where the replicas of an object are by the record (its latest version, or the one named), with the columns of replicas';
COMMENT ON FUNCTION catalog.prefix_usage IS 'What lies under each prefix of a bucket, as deep as asked: objects, their bytes, the oldest and the newest; beneath: only there. Reads every object of the bucket that lies there';

GRANT SELECT, INSERT, UPDATE ON antipode.directory, antipode.known_member TO antipode_app;
GRANT SELECT ON ALL TABLES IN SCHEMA catalog TO antipode_app, antipode_reader, antipode_writer;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode, catalog FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode TO antipode_app;
GRANT EXECUTE ON FUNCTION catalog.prefix_usage, catalog.locate TO antipode_app, antipode_reader, antipode_writer;
