-- The schema that the migrations make. Written by `node scripts/dump-schema.ts`; a test compares it.

CREATE SEQUENCE antipode.version_seq AS bigint

CREATE SEQUENCE root.name_change AS bigint

CREATE TYPE antipode.decision AS (ord bigint, doc jsonb, bucket_id bigint, key text, reason text, action text, seq bigint, version_id text, marker boolean, old_seq bigint, old_blob uuid, old_manifest bigint, old_bytes bigint, old_versions integer, demote_seq bigint, promote boolean)

TABLE antipode.barrier (
  id boolean NOT NULL DEFAULT true,
  at timestamp with time zone NOT NULL,
  CONSTRAINT barrier_id_check CHECK (id),
  CONSTRAINT barrier_pkey PRIMARY KEY (id)
)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.blob (
  id uuid NOT NULL,
  pair text COLLATE "C" NOT NULL,
  size bigint NOT NULL,
  root bytea NOT NULL,
  ref_count integer NOT NULL DEFAULT 1,
  state text NOT NULL DEFAULT 'live'::text,
  dying_since timestamp with time zone,
  taken_at timestamp with time zone,
  encryption_key_id text COLLATE "C",
  CONSTRAINT blob_check CHECK (((state = 'dying'::text) = (dying_since IS NOT NULL))),
  CONSTRAINT blob_check1 CHECK (((state = 'dying'::text) = (ref_count = 0))),
  CONSTRAINT blob_pkey PRIMARY KEY (id),
  CONSTRAINT blob_ref_count_check CHECK ((ref_count >= 0)),
  CONSTRAINT blob_root_check CHECK ((length(root) = 32)),
  CONSTRAINT blob_size_check CHECK ((size > 0)),
  CONSTRAINT blob_state_check CHECK ((state = ANY (ARRAY['live'::text, 'dying'::text])))
) WITH (fillfactor=90, autovacuum_vacuum_scale_factor=0.01, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_limit=2000, vacuum_index_cleanup=on)
CREATE INDEX blob_dying ON antipode.blob USING btree (dying_since) WHERE (state = 'dying'::text)
CREATE INDEX blob_dying_pair ON antipode.blob USING btree (pair, id) WHERE (state = 'dying'::text)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.bucket (
  id bigint NOT NULL,
  name text COLLATE "C" NOT NULL,
  owner text COLLATE "C" NOT NULL,
  region text NOT NULL,
  created_at timestamp with time zone NOT NULL,
  versioning text NOT NULL DEFAULT 'unversioned'::text,
  object_lock boolean NOT NULL DEFAULT false,
  settings jsonb NOT NULL DEFAULT '{}'::jsonb,
  counted boolean NOT NULL DEFAULT false,
  CONSTRAINT bucket_check CHECK (((NOT object_lock) OR (versioning = 'enabled'::text))),
  CONSTRAINT bucket_name_key UNIQUE (name),
  CONSTRAINT bucket_pkey PRIMARY KEY (id),
  CONSTRAINT bucket_versioning_check CHECK ((versioning = ANY (ARRAY['unversioned'::text, 'enabled'::text, 'suspended'::text])))
)
CREATE INDEX bucket_lifecycle ON antipode.bucket USING btree (id) WHERE (settings ? 'lifecycle'::text)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.bucket_move (
  bucket_id bigint NOT NULL,
  epoch bigint NOT NULL,
  turn bigint NOT NULL,
  role text NOT NULL,
  state text NOT NULL,
  other text COLLATE "C" NOT NULL,
  owner text COLLATE "C",
  bucket jsonb,
  quota jsonb,
  versions bigint NOT NULL DEFAULT 0,
  bytes bigint NOT NULL DEFAULT 0,
  upload_bytes bigint NOT NULL DEFAULT 0,
  seq bigint NOT NULL DEFAULT 0,
  since timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT bucket_move_check CHECK ((((role = 'source'::text) AND (state = ANY (ARRAY['copying'::text, 'frozen'::text, 'gone'::text, 'ended'::text]))) OR ((role = 'target'::text) AND (state = ANY (ARRAY['incoming'::text, 'ready'::text, 'ended'::text]))))),
  CONSTRAINT bucket_move_pkey PRIMARY KEY (bucket_id),
  CONSTRAINT bucket_move_role_check CHECK ((role = ANY (ARRAY['source'::text, 'target'::text]))),
  CONSTRAINT bucket_move_state_check CHECK ((state = ANY (ARRAY['copying'::text, 'frozen'::text, 'gone'::text, 'incoming'::text, 'ready'::text, 'ended'::text])))
)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.dead_letter (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  target text COLLATE "C" NOT NULL,
  bucket_id bigint NOT NULL,
  bucket text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  event uuid NOT NULL,
  name text NOT NULL,
  at timestamp with time zone NOT NULL,
  body text NOT NULL,
  queued_at timestamp with time zone NOT NULL,
  attempts integer NOT NULL,
  error text NOT NULL,
  died_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT dead_letter_pkey PRIMARY KEY (id)
)
CREATE INDEX dead_letter_died ON antipode.dead_letter USING btree (died_at, id)
CREATE INDEX dead_letter_target ON antipode.dead_letter USING btree (target, id)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.directory (
  id boolean NOT NULL DEFAULT true,
  pair text COLLATE "C" NOT NULL,
  CONSTRAINT directory_id_check CHECK (id),
  CONSTRAINT directory_pkey PRIMARY KEY (id)
)
-- GRANT INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.directory_decision (
  pair text COLLATE "C" NOT NULL,
  at timestamp with time zone NOT NULL,
  what text NOT NULL,
  member text COLLATE "C" NOT NULL,
  why text NOT NULL,
  decided_by text NOT NULL,
  timeline integer NOT NULL,
  CONSTRAINT directory_decision_pkey PRIMARY KEY (pair, at, what),
  CONSTRAINT directory_decision_what_check CHECK ((what = ANY (ARRAY['left-out'::text, 'may-return'::text, 'returned'::text, 'promoted'::text])))
)
-- GRANT SELECT TO antipode_app

TABLE antipode.identity (
  id boolean NOT NULL DEFAULT true,
  catalog uuid NOT NULL DEFAULT gen_random_uuid(),
  rebuilding boolean NOT NULL DEFAULT false,
  replaces uuid[] NOT NULL DEFAULT '{}'::uuid[],
  CONSTRAINT identity_id_check CHECK (id),
  CONSTRAINT identity_pkey PRIMARY KEY (id)
)
-- GRANT SELECT, UPDATE TO antipode_app

TABLE antipode.known_member (
  id text COLLATE "C" NOT NULL,
  pair text COLLATE "C" NOT NULL,
  kind text NOT NULL,
  center text COLLATE "C" NOT NULL,
  address text NOT NULL,
  port integer NOT NULL,
  state text,
  epoch bigint NOT NULL DEFAULT 0,
  CONSTRAINT known_member_kind_check CHECK ((kind = ANY (ARRAY['node'::text, 'directory'::text]))),
  CONSTRAINT known_member_pkey PRIMARY KEY (id)
)
-- GRANT INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.lifecycle_run (
  bucket_id bigint NOT NULL,
  rules text NOT NULL,
  owner text COLLATE "C",
  turn bigint NOT NULL DEFAULT 0,
  leased_until timestamp with time zone NOT NULL DEFAULT '-infinity'::timestamp with time zone,
  touched_at timestamp with time zone NOT NULL DEFAULT '-infinity'::timestamp with time zone,
  under_way boolean NOT NULL DEFAULT false,
  "position" jsonb,
  started_at timestamp with time zone,
  finished_at timestamp with time zone,
  next_at timestamp with time zone NOT NULL DEFAULT '-infinity'::timestamp with time zone,
  passes bigint NOT NULL DEFAULT 0,
  scanned bigint NOT NULL DEFAULT 0,
  expired bigint NOT NULL DEFAULT 0,
  removed bigint NOT NULL DEFAULT 0,
  transitioned bigint NOT NULL DEFAULT 0,
  aborted bigint NOT NULL DEFAULT 0,
  kept bigint NOT NULL DEFAULT 0,
  last_error text,
  CONSTRAINT lifecycle_run_pkey PRIMARY KEY (bucket_id)
)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.manifest (
  id bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY,
  size bigint NOT NULL,
  part_count integer NOT NULL,
  ref_count integer NOT NULL DEFAULT 1,
  dying_since timestamp with time zone,
  CONSTRAINT manifest_check CHECK (((ref_count = 0) = (dying_since IS NOT NULL))),
  CONSTRAINT manifest_pkey PRIMARY KEY (id),
  CONSTRAINT manifest_ref_count_check CHECK ((ref_count >= 0))
) WITH (autovacuum_vacuum_scale_factor=0.01, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_limit=2000, vacuum_index_cleanup=on)
CREATE INDEX manifest_dying ON antipode.manifest USING btree (dying_since) WHERE (dying_since IS NOT NULL)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.manifest_part (
  manifest_id bigint NOT NULL,
  part_number integer NOT NULL,
  "offset" bigint NOT NULL,
  size bigint NOT NULL,
  etag text COLLATE "C" NOT NULL,
  checksum text COLLATE "C",
  blob_id uuid,
  CONSTRAINT manifest_part_pkey PRIMARY KEY (manifest_id, part_number)
) WITH (autovacuum_vacuum_scale_factor=0.01, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_limit=2000, vacuum_index_cleanup=on)
CREATE INDEX manifest_part_offset ON antipode.manifest_part USING btree (manifest_id, "offset")
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.name_walk (
  one boolean NOT NULL DEFAULT true,
  floor bigint NOT NULL DEFAULT 0,
  horizon xid8,
  bucket_id bigint NOT NULL DEFAULT 0,
  key text COLLATE "C" NOT NULL DEFAULT ''::text,
  seq bigint NOT NULL DEFAULT 0,
  done boolean NOT NULL DEFAULT false,
  CONSTRAINT name_walk_one_check CHECK (one),
  CONSTRAINT name_walk_pkey PRIMARY KEY (one)
)
-- GRANT SELECT, UPDATE TO antipode_app

TABLE antipode.notification (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  target text COLLATE "C" NOT NULL,
  bucket_id bigint NOT NULL,
  bucket text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  event uuid NOT NULL,
  name text NOT NULL,
  at timestamp with time zone NOT NULL,
  body text NOT NULL,
  queued_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  attempts integer NOT NULL DEFAULT 0,
  due_at timestamp with time zone,
  error text,
  CONSTRAINT notification_pkey PRIMARY KEY (id)
)
CREATE INDEX notification_due ON antipode.notification USING btree (target, due_at, id) WHERE (due_at IS NOT NULL)
CREATE INDEX notification_of_key ON antipode.notification USING btree (target, bucket_id, key, id)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.notification_bucket (
  id bigint NOT NULL,
  record jsonb NOT NULL,
  CONSTRAINT notification_bucket_pkey PRIMARY KEY (id)
)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.notification_target (
  name text COLLATE "C" NOT NULL,
  owner text NOT NULL DEFAULT ''::text,
  leased_until timestamp with time zone NOT NULL DEFAULT '-infinity'::timestamp with time zone,
  CONSTRAINT notification_target_pkey PRIMARY KEY (name)
)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.off_map_replica (
  blob_id uuid NOT NULL,
  member text COLLATE "C" NOT NULL,
  since timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  home text COLLATE "C",
  surplus boolean NOT NULL DEFAULT false,
  CONSTRAINT off_map_replica_pkey PRIMARY KEY (blob_id, member)
) WITH (autovacuum_vacuum_scale_factor=0.01, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_limit=2000, vacuum_index_cleanup=on)
CREATE INDEX off_map_replica_surplus ON antipode.off_map_replica USING btree (blob_id) WHERE surplus
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.outbox (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  tx xid8 NOT NULL DEFAULT GREATEST(pg_current_xact_id(), (((((pg_snapshot_xmax(pg_current_snapshot()))::text)::bigint - 1))::text)::xid8),
  event uuid NOT NULL,
  bucket_id bigint NOT NULL,
  key text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  payload jsonb NOT NULL,
  at timestamp with time zone NOT NULL,
  cause jsonb,
  CONSTRAINT outbox_event_key UNIQUE (event),
  CONSTRAINT outbox_kind_check CHECK ((kind = ANY (ARRAY['put'::text, 'delete-marker'::text, 'delete'::text, 'tags'::text, 'retention'::text, 'legal-hold'::text, 'acl'::text, 'encryption'::text, 'storage-class'::text, 'bucket-created'::text, 'bucket-changed'::text, 'bucket-deleted'::text, 'bucket-arrived'::text, 'bucket-left'::text]))),
  CONSTRAINT outbox_pkey PRIMARY KEY (tx, id)
) WITH (autovacuum_vacuum_scale_factor=0.01, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_limit=2000, vacuum_index_cleanup=on)
-- GRANT DELETE, INSERT, SELECT TO antipode_app

TABLE antipode.outbox_reader (
  name text COLLATE "C" NOT NULL,
  tx xid8 NOT NULL,
  id bigint NOT NULL,
  created_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  advanced_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  gap_event uuid,
  gap_tx xid8,
  gap_id bigint,
  gap_rows bigint,
  CONSTRAINT outbox_reader_check CHECK ((num_nulls(gap_event, gap_tx, gap_id, gap_rows) = ANY (ARRAY[0, 4]))),
  CONSTRAINT outbox_reader_name_check CHECK ((name <> ''::text)),
  CONSTRAINT outbox_reader_pkey PRIMARY KEY (name)
)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.outbox_trim (
  one boolean NOT NULL DEFAULT true,
  tx xid8 NOT NULL,
  id bigint NOT NULL,
  at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT outbox_trim_one_check CHECK (one),
  CONSTRAINT outbox_trim_pkey PRIMARY KEY (one)
)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.pair_epoch (
  pair text COLLATE "C" NOT NULL,
  epoch bigint NOT NULL,
  CONSTRAINT pair_epoch_pkey PRIMARY KEY (pair)
)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.past_bucket (
  id bigint NOT NULL,
  name text COLLATE "C" NOT NULL,
  gone_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT past_bucket_pkey PRIMARY KEY (id)
)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.quota (
  subject text COLLATE "C" NOT NULL,
  bytes_max bigint,
  objects_max bigint,
  bytes bigint NOT NULL,
  objects bigint NOT NULL,
  deal bigint NOT NULL DEFAULT 0,
  CONSTRAINT quota_bytes_max_check CHECK ((bytes_max >= 0)),
  CONSTRAINT quota_check CHECK (((bytes_max IS NOT NULL) OR (objects_max IS NOT NULL))),
  CONSTRAINT quota_objects_max_check CHECK ((objects_max >= 0)),
  CONSTRAINT quota_pkey PRIMARY KEY (subject)
) WITH (fillfactor=10)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.repair (
  blob_id uuid NOT NULL,
  member text COLLATE "C" NOT NULL,
  reason text COLLATE "C" NOT NULL,
  found_by text COLLATE "C" NOT NULL,
  since timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  attempts integer NOT NULL DEFAULT 0,
  next_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  last_error text,
  CONSTRAINT repair_pkey PRIMARY KEY (blob_id, member),
  CONSTRAINT repair_reason_check CHECK ((reason = ANY (ARRAY['handoff'::text, 'lag'::text, 'missing'::text, 'corrupt'::text, 'lost'::text])))
) WITH (autovacuum_vacuum_scale_factor=0.01, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_limit=2000, vacuum_index_cleanup=on)
CREATE INDEX repair_due ON antipode.repair USING btree (member, next_at)
CREATE INDEX repair_member ON antipode.repair USING btree (member, blob_id)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.sql_change (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  tx xid8 NOT NULL,
  bucket bigint NOT NULL,
  key text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  op jsonb NOT NULL,
  CONSTRAINT sql_change_pkey PRIMARY KEY (id)
)
CREATE INDEX sql_change_tx ON antipode.sql_change USING btree (tx)

TABLE antipode.sql_write (
  tx xid8 NOT NULL,
  CONSTRAINT apply_sql_write TRIGGER DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT sql_write_pkey PRIMARY KEY (tx)
)

TABLE antipode.this_directory (
  id boolean NOT NULL DEFAULT true,
  pair text COLLATE "C" NOT NULL,
  ordinal integer NOT NULL,
  CONSTRAINT this_directory_id_check CHECK (id),
  CONSTRAINT this_directory_pkey PRIMARY KEY (id)
)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.timeline (
  timeline integer NOT NULL,
  member text COLLATE "C" NOT NULL,
  at timestamp with time zone NOT NULL,
  why text NOT NULL,
  decided_by text NOT NULL,
  CONSTRAINT timeline_pkey PRIMARY KEY (timeline)
)
-- GRANT SELECT TO antipode_app

TABLE antipode.upload (
  upload_id text COLLATE "C" NOT NULL,
  bucket_id bigint NOT NULL,
  key text COLLATE "C" NOT NULL,
  initiated timestamp with time zone NOT NULL,
  owner text COLLATE "C" NOT NULL,
  state text NOT NULL DEFAULT 'open'::text,
  attributes jsonb NOT NULL,
  checksum_algorithm text COLLATE "C",
  checksum_type text COLLATE "C",
  completed_at timestamp with time zone,
  completed_parts text,
  result jsonb,
  CONSTRAINT upload_check CHECK (((state = 'completed'::text) = (result IS NOT NULL))),
  CONSTRAINT upload_pkey PRIMARY KEY (upload_id),
  CONSTRAINT upload_state_check CHECK ((state = ANY (ARRAY['open'::text, 'completed'::text])))
) WITH (autovacuum_vacuum_scale_factor=0.01, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_limit=2000, vacuum_index_cleanup=on)
CREATE INDEX upload_bucket ON antipode.upload USING btree (bucket_id)
CREATE INDEX upload_completed ON antipode.upload USING btree (completed_at) WHERE (state = 'completed'::text)
CREATE INDEX upload_open ON antipode.upload USING btree (bucket_id, key, upload_id) WHERE (state = 'open'::text)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.upload_part (
  upload_id text COLLATE "C" NOT NULL,
  part_number integer NOT NULL,
  size bigint NOT NULL,
  etag text COLLATE "C" NOT NULL,
  checksum text COLLATE "C",
  blob_id uuid,
  last_modified timestamp with time zone NOT NULL,
  write_id uuid NOT NULL,
  CONSTRAINT upload_part_pkey PRIMARY KEY (upload_id, part_number)
) WITH (autovacuum_vacuum_scale_factor=0.01, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_limit=2000, vacuum_index_cleanup=on)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.usage (
  bucket_id bigint NOT NULL,
  versions bigint NOT NULL,
  bytes bigint NOT NULL,
  upload_bytes bigint NOT NULL DEFAULT 0,
  CONSTRAINT usage_pkey PRIMARY KEY (bucket_id)
)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.usage_delta (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  bucket_id bigint NOT NULL,
  versions bigint NOT NULL,
  bytes bigint NOT NULL,
  upload_bytes bigint NOT NULL DEFAULT 0,
  CONSTRAINT usage_delta_pkey PRIMARY KEY (id)
) WITH (autovacuum_vacuum_scale_factor=0.01, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_limit=2000, vacuum_index_cleanup=on)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE antipode.version (
  bucket_id bigint NOT NULL,
  key text COLLATE "C" NOT NULL,
  seq bigint NOT NULL,
  version_id text COLLATE "C" NOT NULL,
  is_latest boolean NOT NULL,
  is_delete_marker boolean NOT NULL DEFAULT false,
  size bigint NOT NULL,
  part_count integer,
  blob_id uuid,
  manifest_id bigint,
  write_id uuid NOT NULL,
  last_modified timestamp with time zone NOT NULL,
  etag text COLLATE "C" NOT NULL,
  owner text COLLATE "C" NOT NULL,
  storage_class text COLLATE "C" NOT NULL DEFAULT 'STANDARD'::text,
  checksum_algorithm text COLLATE "C",
  checksum_type text COLLATE "C",
  checksum_value text COLLATE "C",
  retention_mode text COLLATE "C",
  retention_until timestamp with time zone,
  legal_hold boolean,
  system_metadata jsonb NOT NULL DEFAULT '{}'::jsonb,
  user_metadata jsonb NOT NULL DEFAULT '{}'::jsonb,
  tags jsonb NOT NULL DEFAULT '{}'::jsonb,
  acl jsonb,
  encryption jsonb,
  CONSTRAINT version_check CHECK (((blob_id IS NULL) OR (manifest_id IS NULL))),
  CONSTRAINT version_check1 CHECK (((retention_mode IS NULL) = (retention_until IS NULL))),
  CONSTRAINT version_retention_mode_check CHECK ((retention_mode = ANY (ARRAY['GOVERNANCE'::text, 'COMPLIANCE'::text])))
) WITH (fillfactor=90, autovacuum_vacuum_scale_factor=0.01, autovacuum_vacuum_threshold=5000, autovacuum_vacuum_cost_limit=2000, vacuum_index_cleanup=on)
CREATE INDEX version_labels ON antipode.version USING gin (tags jsonb_path_ops, user_metadata jsonb_path_ops) WITH (gin_pending_list_limit='128')
CREATE UNIQUE INDEX version_live ON antipode.version USING btree (bucket_id, key) WHERE (is_latest AND (NOT is_delete_marker))
CREATE UNIQUE INDEX version_null ON antipode.version USING btree (bucket_id, key) WHERE ((version_id = 'null'::text) AND (NOT is_latest))
CREATE UNIQUE INDEX version_pk ON antipode.version USING btree (bucket_id, key, seq DESC) -- replica identity
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE root.access_key (
  access_key_id text COLLATE "C" NOT NULL,
  account_id text COLLATE "C" NOT NULL,
  status text NOT NULL DEFAULT 'active'::text,
  sealed_secret bytea NOT NULL,
  created_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  user_id text COLLATE "C",
  CONSTRAINT access_key_account_id_fkey FOREIGN KEY (account_id) REFERENCES root.account(id),
  CONSTRAINT access_key_pkey PRIMARY KEY (access_key_id),
  CONSTRAINT access_key_status_check CHECK ((status = ANY (ARRAY['active'::text, 'inactive'::text]))),
  CONSTRAINT access_key_user_id_fkey FOREIGN KEY (user_id) REFERENCES root.entity(id)
)
CREATE INDEX access_key_account ON root.access_key USING btree (account_id, access_key_id)
CREATE INDEX access_key_user ON root.access_key USING btree (user_id) WHERE (user_id IS NOT NULL)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE root.account (
  id text COLLATE "C" NOT NULL,
  display_name text NOT NULL,
  email text,
  tenant text,
  is_root boolean NOT NULL DEFAULT false,
  created_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT account_id_check CHECK (((length(id) >= 1) AND (length(id) <= 128))),
  CONSTRAINT account_pkey PRIMARY KEY (id)
)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE root.account_quota (
  account text COLLATE "C" NOT NULL,
  bytes_max bigint,
  objects_max bigint,
  deal bigint NOT NULL DEFAULT 0,
  CONSTRAINT account_quota_bytes_max_check CHECK ((bytes_max >= 0)),
  CONSTRAINT account_quota_objects_max_check CHECK ((objects_max >= 0)),
  CONSTRAINT account_quota_pkey PRIMARY KEY (account)
)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE root.bucket_move (
  bucket_id bigint NOT NULL,
  epoch bigint NOT NULL,
  name text COLLATE "C" NOT NULL,
  source text COLLATE "C" NOT NULL,
  target text COLLATE "C" NOT NULL,
  phase text NOT NULL,
  decided_by text NOT NULL,
  started_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  owner text NOT NULL DEFAULT ''::text,
  leased_until timestamp with time zone NOT NULL DEFAULT '-infinity'::timestamp with time zone,
  turn bigint NOT NULL DEFAULT 0,
  progress jsonb NOT NULL DEFAULT '{}'::jsonb,
  versions bigint NOT NULL DEFAULT 0,
  freezes integer NOT NULL DEFAULT 0,
  frozen_ms bigint NOT NULL DEFAULT 0,
  last_error text,
  CONSTRAINT bucket_move_phase_check CHECK ((phase = ANY (ARRAY['copying'::text, 'frozen'::text, 'switched'::text, 'done'::text, 'cancelling'::text, 'cancelled'::text]))),
  CONSTRAINT bucket_move_pkey PRIMARY KEY (bucket_id, epoch)
)
CREATE UNIQUE INDEX bucket_move_open ON root.bucket_move USING btree (bucket_id) WHERE (phase <> ALL (ARRAY['done'::text, 'cancelled'::text]))
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE root.bucket_name (
  name text COLLATE "C" NOT NULL,
  bucket_id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  owner text COLLATE "C" NOT NULL,
  directory text COLLATE "C" NOT NULL,
  state text NOT NULL DEFAULT 'creating'::text,
  created_at timestamp with time zone NOT NULL DEFAULT date_trunc('milliseconds'::text, clock_timestamp()),
  move_epoch bigint NOT NULL DEFAULT 0,
  CONSTRAINT bucket_name_bucket_id_key UNIQUE (bucket_id),
  CONSTRAINT bucket_name_pkey PRIMARY KEY (name),
  CONSTRAINT bucket_name_state_check CHECK ((state = ANY (ARRAY['creating'::text, 'ready'::text])))
)
CREATE INDEX bucket_name_owner ON root.bucket_name USING btree (owner, name)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE root.cluster (
  id boolean NOT NULL DEFAULT true,
  epoch bigint NOT NULL DEFAULT 1,
  CONSTRAINT cluster_id_check CHECK (id),
  CONSTRAINT cluster_pkey PRIMARY KEY (id)
)
-- GRANT SELECT, UPDATE TO antipode_app

TABLE root.condition (
  subject text COLLATE "C" NOT NULL,
  state text NOT NULL,
  epoch bigint NOT NULL DEFAULT 1,
  since timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  why text NOT NULL DEFAULT ''::text,
  decided_by text NOT NULL DEFAULT ''::text,
  may_return boolean NOT NULL DEFAULT true,
  store_id text,
  CONSTRAINT condition_pkey PRIMARY KEY (subject),
  CONSTRAINT condition_state_check CHECK ((state = ANY (ARRAY['serving'::text, 'failed-over'::text, 'resyncing'::text])))
)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE root.condition_history (
  id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
  subject text COLLATE "C" NOT NULL,
  state text NOT NULL,
  epoch bigint NOT NULL,
  at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  why text NOT NULL DEFAULT ''::text,
  decided_by text NOT NULL DEFAULT ''::text,
  CONSTRAINT condition_history_pkey PRIMARY KEY (id),
  CONSTRAINT condition_history_state_check CHECK ((state = ANY (ARRAY['serving'::text, 'suspect'::text, 'failed-over'::text, 'resyncing'::text])))
)
CREATE INDEX condition_history_subject ON root.condition_history USING btree (subject, id)
-- GRANT INSERT, SELECT TO antipode_app

TABLE root.directory (
  pair text COLLATE "C" NOT NULL,
  ordinal integer NOT NULL,
  since timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT directory_ordinal_check CHECK (((ordinal >= 0) AND (ordinal <= 255))),
  CONSTRAINT directory_ordinal_key UNIQUE (ordinal),
  CONSTRAINT directory_pkey PRIMARY KEY (pair)
)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE root.entity (
  id text COLLATE "C" NOT NULL,
  kind text NOT NULL,
  account_id text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  path text COLLATE "C" NOT NULL DEFAULT '/'::text,
  policies jsonb NOT NULL DEFAULT '{}'::jsonb,
  tags jsonb NOT NULL DEFAULT '{}'::jsonb,
  trust text,
  description text,
  session_seconds integer,
  created_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT entity_account_id_fkey FOREIGN KEY (account_id) REFERENCES root.account(id),
  CONSTRAINT entity_check CHECK (((kind = 'role'::text) = (trust IS NOT NULL))),
  CONSTRAINT entity_kind_check CHECK ((kind = ANY (ARRAY['user'::text, 'role'::text]))),
  CONSTRAINT entity_name_check CHECK (((length(name) >= 1) AND (length(name) <= 64))),
  CONSTRAINT entity_pkey PRIMARY KEY (id)
)
CREATE INDEX entity_listing ON root.entity USING btree (account_id, kind, name)
CREATE UNIQUE INDEX entity_name ON root.entity USING btree (account_id, kind, lower(name))
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE root.member (
  id text COLLATE "C" NOT NULL,
  pair_id text COLLATE "C" NOT NULL,
  center text COLLATE "C" NOT NULL,
  address text NOT NULL,
  port integer NOT NULL,
  CONSTRAINT member_pair_id_fkey FOREIGN KEY (pair_id) REFERENCES root.pair(id),
  CONSTRAINT member_pkey PRIMARY KEY (id),
  CONSTRAINT member_port_check CHECK (((port >= 1) AND (port <= 65535)))
)
CREATE INDEX member_pair ON root.member USING btree (pair_id)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE root.name_feed (
  one boolean NOT NULL DEFAULT true,
  owner text COLLATE "C",
  leased_until timestamp with time zone NOT NULL DEFAULT '-infinity'::timestamp with time zone,
  floor bigint NOT NULL DEFAULT 0,
  trimmed boolean NOT NULL DEFAULT false,
  restored boolean NOT NULL DEFAULT false,
  layout text NOT NULL DEFAULT ''::text,
  told jsonb NOT NULL DEFAULT '{}'::jsonb,
  marks jsonb NOT NULL DEFAULT '[]'::jsonb,
  CONSTRAINT name_feed_one_check CHECK (one),
  CONSTRAINT name_feed_pkey PRIMARY KEY (one)
)
-- GRANT SELECT, UPDATE TO antipode_app

TABLE root.pair (
  id text COLLATE "C" NOT NULL,
  kind text NOT NULL,
  weight double precision NOT NULL DEFAULT 1,
  created_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  epoch bigint NOT NULL DEFAULT 1,
  weight_set_at timestamp with time zone,
  CONSTRAINT pair_kind_check CHECK ((kind = ANY (ARRAY['node'::text, 'directory'::text]))),
  CONSTRAINT pair_pkey PRIMARY KEY (id),
  CONSTRAINT pair_weight_check CHECK ((weight >= (0)::double precision))
)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

TABLE root.resync (
  member text COLLATE "C" NOT NULL,
  epoch bigint NOT NULL,
  phase text NOT NULL,
  started_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  updated_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  owner text NOT NULL,
  leased_until timestamp with time zone NOT NULL,
  compared_ranges bigint NOT NULL DEFAULT 0,
  to_pull bigint NOT NULL DEFAULT 0,
  pulled_blobs bigint NOT NULL DEFAULT 0,
  pulled_bytes bigint NOT NULL DEFAULT 0,
  removed_blobs bigint NOT NULL DEFAULT 0,
  lag bigint NOT NULL DEFAULT 0,
  last_error text,
  CONSTRAINT resync_phase_check CHECK ((phase = ANY (ARRAY['tombstones'::text, 'compare'::text, 'pull'::text, 'handoffs'::text, 'audit'::text, 'done'::text, 'failed'::text]))),
  CONSTRAINT resync_pkey PRIMARY KEY (member)
)
-- GRANT DELETE, INSERT, SELECT, UPDATE TO antipode_app

VIEW antipode.known_directory (
  id text -- ,
  pair text -- ,
  center text -- ,
  address text -- ,
  port integer -- ,
  is_primary boolean -- ,
  synchronous boolean -- ,
  decided_at timestamp with time zone -- ,
  why text -- 
)
-- 

VIEW catalog.access_keys (
  access_key_id text -- The access key id,
  account text -- The account that it belongs to,
  status text -- active or inactive,
  created_at timestamp with time zone -- When it was made,
  user_name text -- The user of the account whose key it is; null: the account's own
)
-- Access keys without their secrets (root pair). When a key was last used is not recorded

VIEW catalog.account_usage (
  account text -- Id of the account,
  buckets bigint -- Number of its buckets here,
  objects bigint -- Object versions, without delete markers,
  bytes bigint -- Bytes of those versions,
  upload_bytes bigint -- Bytes of parts of open uploads,
  objects_max bigint -- The quota of objects; null: none,
  bytes_max bigint -- The quota of bytes, of versions and uploads together; null: none
)
-- What the buckets of each account hold in this directory; with several pairs of directories, sum them

VIEW catalog.accounts (
  account text -- Id of the account,
  display_name text -- Shown as owner in listings,
  email text -- Its address,
  tenant text -- Its tenant,
  is_root boolean -- Whether it is the root account,
  created_at timestamp with time zone -- When it was made
)
-- Accounts (root pair)

VIEW catalog.blob_uses (
  blob uuid -- Id of the blob,
  bucket text -- Name of the bucket,
  key text -- Key of the version or upload,
  version_id text -- The version; SQL null for a part of an open upload,
  is_latest boolean -- Whether that version is the latest of its key; null for a part of an open upload,
  upload_id text -- The open upload; null for a version,
  part_number integer -- The part, where the version or upload has parts
)
-- What names each blob: versions, and parts of versions and of open uploads

VIEW catalog.blobs (
  blob uuid -- Id of the blob,
  pair text -- The pair of nodes that it belongs on,
  size bigint -- Bytes,
  digest text -- Root of the tree of its chunks' SHA-256 digests, hexadecimal,
  uses integer -- How many versions, parts and manifests name it,
  state text -- live, or dying: nothing names it any more and its bytes are being reclaimed,
  dying_since timestamp with time zone -- Since when nothing names it
)
-- Immutable bytes on a pair of nodes, each once however many versions share it

VIEW catalog.bucket_names (
  bucket text -- Name of the bucket,
  owner text -- The account that owns it,
  pair text -- The pair of directories that has its rows,
  state text -- ready, or creating: a creation that was not finished; the next one finishes it,
  created_at timestamp with time zone -- When the name was taken
)
-- The list of bucket names and the pair of directories that has each bucket (root pair)

VIEW catalog.bucket_settings (
  bucket text -- Name of the bucket,
  setting text -- Name of the setting: durability, defaultRetention, tagging and others,
  value jsonb -- What it is set to
)
-- The settings of buckets, a row for each that has been set

VIEW catalog.bucket_usage (
  bucket text -- Name of the bucket,
  owner text -- The account that owns it,
  objects bigint -- Object versions, without delete markers,
  bytes bigint -- Bytes of those versions,
  upload_bytes bigint -- Bytes of parts of open uploads,
  objects_max bigint -- The quota of objects; null: none,
  bytes_max bigint -- The quota of bytes, of versions and uploads together; null: none
)
-- What each bucket holds; kept with every commit, not counted when asked

VIEW catalog.buckets (
  bucket text -- Name of the bucket,
  owner text -- The account that owns it,
  created_at timestamp with time zone -- When it was made,
  region text -- The region that it was made for,
  versioning text -- unversioned, enabled or suspended,
  object_lock boolean -- Whether versions may be locked,
  durability text -- When a write is acknowledged: two-copies, both-centers or one,
  default_retention jsonb -- What new versions are locked with: mode and days or years; null: with nothing,
  settings jsonb -- The other settings, by name (see bucket_settings)
)
-- The buckets of this directory

VIEW catalog.changes (
  event uuid -- Id of the change, the same however often it is read,
  at timestamp with time zone -- When it was made, by the directory's clock,
  kind text -- put, delete-marker, delete, tags, retention, legal-hold, acl, encryption, storage-class; bucket-created, bucket-changed, bucket-deleted, bucket-arrived, bucket-left,
  bucket text -- The bucket, also one that is gone,
  key text -- The key; null for a bucket's own changes,
  version_id text -- The version that came, went or was changed; a put of null takes the place of the null version before it,
  deleted_marker boolean -- Of a delete: whether what was removed was a delete marker,
  size bigint -- Of a put: bytes of the object,
  etag text -- Of a put: its ETag, without quotes,
  bucket_record jsonb -- Of a bucket's own change: the bucket after it, or before it went,
  transaction xid8 -- First half of the place in the feed,
  number bigint -- Second half of the place in the feed; rises with every change of a key,
  "position" text -- Both halves, as antipode changes shows them for a directory,
  cause jsonb -- By what request or job it was made (via) and by whom, where that is known
)
-- Every change of the namespace that is still kept, below the snapshot horizon; in order per key by (transaction, number)

VIEW catalog.conditions (
  subject text -- A node's id, or the word center and its name,
  state text -- serving, failed-over or resyncing,
  epoch bigint -- The cluster's epoch that it began with,
  since timestamp with time zone -- Since when,
  why text -- Why,
  decided_by text -- Who or what decided,
  may_return boolean -- Whether detection may bring it back; what an operator failed over waits for leave
)
-- The present condition of each node and each center (root pair)

VIEW catalog.dead_letters (
  event uuid -- Id of the change that it tells of, as in catalog.changes; sent as webhook-id,
  target text -- The webhook,
  bucket text -- The bucket, by the name that it had then,
  key text -- The key; empty for a test event,
  name text -- Type of the event, such as ObjectCreated:Put,
  at timestamp with time zone -- When the change was made,
  attempts integer -- How often it was sent,
  error text -- Why the last attempt failed,
  died_at timestamp with time zone -- When it was given up,
  message jsonb -- What was sent
)
-- Notifications that were given up: their webhook did not take them in time, or refused them

VIEW catalog.entities (
  entity_id text -- The id that policies and logs know it by; never used again,
  account text -- The account that it belongs to,
  kind text -- user or role,
  name text -- Its name, unique among the users, or the roles, of the account,
  path text -- The path in front of its name in ARNs,
  policies jsonb -- Inline policies: their text by name,
  trust_policy text -- Of a role: who may assume it,
  tags jsonb -- Its tags,
  created_at timestamp with time zone -- When it was made
)
-- Users and roles of accounts (root pair)

VIEW catalog.exceptions (
  blob uuid -- Id of the blob; null for a pair of directories,
  pair text -- The pair that the blob belongs on, or the pair of directories,
  member text -- The member that lacks the replica, or the directory that is out,
  reason text -- handoff: written while the member was away, another node stands for it; lag: acknowledged after one replica, the other follows; missing: should be there and is not; corrupt: is there and does not verify; lost: no replica was found anywhere; unreplicated: a directory is out, commits are on its twin alone,
  since timestamp with time zone -- When it was noted,
  attempts integer -- How often its repair was begun,
  last_error text -- Why the last attempt failed, or why the directory is out,
  found_by text -- What noted it: write, read, scrub, verify, resync, search, directory,
  size bigint -- Bytes of the blob,
  bucket text -- The bucket of a version or open upload that names the blob,
  key text -- The key of that version or upload,
  version_id text -- The version; SQL null for a part of an open upload,
  upload_id text -- The open upload; null for a version,
  part_number integer -- The part, where the object or upload has parts
)
-- What lacks redundancy or is lost: a row for each replica that a member should have and does not, with each version or part that names the blob, and one for a pair of directories whose commits wait for no twin

VIEW catalog.failovers (
  at timestamp with time zone -- When,
  subject text -- A member's id, or the word center and its name,
  kind text -- node, center or directory,
  state text -- What it became: serving, failed-over, resyncing; directories also primary (promoted) and may-return (an operator lets it),
  epoch bigint -- The cluster's epoch since then; for directories the Postgres timeline,
  why text -- Why,
  decided_by text -- Who or what decided
)
-- What happened to conditions: changes of nodes and centers (root pair), and what was decided about directories (each pair its own)

VIEW catalog.lifecycle (
  bucket text -- Name of the bucket,
  rules integer -- How many rules it has, those included that are not enabled,
  state text -- running: a gateway goes through it; waiting: one will; idle: nothing is due before next_at,
  after_key text -- Of a pass under way: the last key that it has come to,
  started_at timestamp with time zone -- When the pass under way, or the last one, began,
  finished_at timestamp with time zone -- When the last pass ended,
  next_at timestamp with time zone -- When the next one begins; null while one is under way,
  passes bigint -- Passes that ended,
  scanned bigint -- Versions and open uploads looked at,
  expired bigint -- Objects that expired: deleted, or given a delete marker where the bucket has versions,
  removed bigint -- Noncurrent versions and delete markers removed for good,
  transitioned bigint -- Versions moved to another storage class,
  aborted bigint -- Uploads aborted,
  kept bigint -- Versions that were due and stayed, as they are locked; counted in each pass,
  last_error text -- Why the last turn broke off; null: it did not
)
-- Buckets with lifecycle rules: how far their rules have been applied. Counts are of all passes since the bucket has rules

VIEW catalog.members (
  member text -- Id of the member,
  pair text -- Id of its pair,
  kind text -- node or directory,
  center text -- Its center,
  address text -- Its address,
  port integer -- Its port,
  condition text -- serving, failed-over or resyncing,
  since timestamp with time zone -- Since when; of a directory that is not the primary, the last decision about its pair,
  is_primary boolean -- Directories: whether it is the one that answers; null for nodes, and where addresses do not tell
)
-- Members of pairs: nodes in the root pair, and the two directories of each pair in itself

VIEW catalog.object_versions (
  bucket text -- Name of the bucket,
  key text -- Key; compares bytewise,
  version_id text -- Version id; null (the word) for one written without versioning,
  is_latest boolean -- Whether it is the latest of its key,
  is_delete_marker boolean -- Whether it is a delete marker,
  size bigint -- Bytes,
  last_modified timestamp with time zone -- When it was written, by the directory's clock,
  etag text -- ETag, without quotes,
  owner text -- The account that owns it,
  storage_class text -- Storage class,
  content_type text -- Content-Type,
  headers jsonb -- All headers kept with it: contentType, cacheControl, contentEncoding and others,
  metadata jsonb -- User metadata (x-amz-meta-…), by name; indexed: metadata @> '{"name": "value"}',
  tags jsonb -- Tags, by name; indexed: tags @> '{"name": "value"}',
  checksum_algorithm text -- Algorithm of its checksum; null: it has none,
  checksum_type text -- FULL_OBJECT or COMPOSITE,
  checksum text -- Its checksum, base64,
  part_count integer -- Number of parts, where it was uploaded in parts,
  retention_mode text -- GOVERNANCE or COMPLIANCE; null: no retention,
  retain_until timestamp with time zone -- Until when it is retained,
  legal_hold boolean -- Whether a legal hold is on it,
  blob uuid -- The blob that has its bytes; null: it has parts (see parts), or no bytes,
  sequence bigint -- Order of the versions of a key: the latest has the highest,
  revision uuid -- Another one after each write of this row's content: tags, locks, ACLs and storage classes do not change it
)
-- All versions of all objects, delete markers too

VIEW catalog.objects (
  bucket text -- Name of the bucket,
  key text -- Key; compares bytewise,
  version_id text -- Version id; null (the word) for one written without versioning,
  size bigint -- Bytes,
  last_modified timestamp with time zone -- When it was written, by the directory's clock,
  etag text -- ETag, without quotes,
  owner text -- The account that owns it,
  storage_class text -- Storage class,
  content_type text -- Content-Type,
  headers jsonb -- All headers kept with it: contentType, cacheControl, contentEncoding and others,
  metadata jsonb -- User metadata (x-amz-meta-…), by name; indexed: metadata @> '{"name": "value"}',
  tags jsonb -- Tags, by name; indexed: tags @> '{"name": "value"}',
  checksum_algorithm text -- Algorithm of its checksum; null: it has none,
  checksum_type text -- FULL_OBJECT or COMPOSITE,
  checksum text -- Its checksum, base64,
  part_count integer -- Number of parts, where it was uploaded in parts,
  retention_mode text -- GOVERNANCE or COMPLIANCE; null: no retention,
  retain_until timestamp with time zone -- Until when it is retained,
  legal_hold boolean -- Whether a legal hold is on it,
  blob uuid -- The blob that has its bytes; null: it has parts (see parts), or no bytes,
  sequence bigint -- Order of the versions of a key: the latest has the highest,
  revision uuid -- Another one after each write of this row's content: tags, locks, ACLs and storage classes do not change it
)
-- The objects of this directory: the latest version of each key, unless that is a delete marker

VIEW catalog.pairs (
  pair text -- Id of the pair,
  kind text -- node or directory,
  weight double precision -- Share of new blobs; 0: takes none; null for directories,
  epoch bigint -- The cluster's epoch at its last change; null for directories,
  created_at timestamp with time zone -- When it was made known; null for directories,
  members text[] -- Ids of its two members,
  state text -- redundant: both serve; degraded: one does; lost: none does
)
-- Pairs of twins: those of nodes in the root pair, and each pair of directories in itself

VIEW catalog.parts (
  bucket text -- Name of the bucket,
  key text -- Key of the object,
  version_id text -- The version that it is a part of; SQL null for a part of an open upload,
  upload_id text -- The open upload that it is a part of; null for a part of a version,
  part_number integer -- Number of the part,
  "offset" bigint -- First byte of the part in its object; null for a part of an open upload,
  size bigint -- Bytes,
  etag text -- ETag of the part, without quotes,
  checksum text -- Checksum of the part, base64,
  blob uuid -- The blob that has its bytes; null: it has none,
  last_modified timestamp with time zone -- When the part was uploaded, or the version completed
)
-- Parts of object versions and of open uploads

VIEW catalog.replicas (
  blob uuid -- Id of the blob,
  pair text -- The pair of nodes that it belongs on,
  member text -- The node,
  center text -- The center of that node,
  condition text -- The node's condition as this directory knows it: serving, failed-over or resyncing; only a serving one is read from,
  state text -- present; missing: a member of the pair lacks it (exceptions says why); corrupt: it has damaged bytes; handoff: it stands for home; stray: it was found off the map; surplus: its bytes are to be dropped,
  home text -- The member that a handoff stands for,
  since timestamp with time zone -- Since when it is missing, corrupt or off the map,
  size bigint -- Bytes of the blob
)
-- Where the replicas of live blobs are by the record: a row for each member of the blob's pair, and for each other holder

VIEW catalog.resyncs (
  member text -- The node,
  epoch bigint -- The pair's epoch that it runs under,
  phase text -- tombstones, compare, pull, handoffs, audit, done or failed,
  started_at timestamp with time zone -- When it began,
  updated_at timestamp with time zone -- When it was last heard of,
  gateway text -- The gateway that drives it,
  to_pull bigint -- Blobs that it has to pull,
  pulled_blobs bigint -- Blobs pulled so far,
  pulled_bytes bigint -- Bytes pulled so far,
  removed_blobs bigint -- Dead blobs removed,
  lag bigint -- Repairs that still wait for the node,
  last_error text -- What went wrong last
)
-- The last resync of each node that had one (root pair)

VIEW catalog.uploads (
  bucket text -- Name of the bucket,
  key text -- Key of the object to be,
  upload_id text -- Id of the upload,
  initiated_at timestamp with time zone -- When it was begun,
  owner text -- The account that began it,
  storage_class text -- Storage class of the object to be,
  headers jsonb -- Headers of the object to be,
  metadata jsonb -- User metadata of the object to be,
  tags jsonb -- Tags of the object to be,
  checksum_algorithm text -- Algorithm of its checksums; null: none asked for,
  checksum_type text -- FULL_OBJECT or COMPOSITE,
  parts bigint -- Number of parts uploaded so far,
  bytes bigint -- Bytes of those parts
)
-- Multipart uploads that are neither completed nor aborted

CREATE OR REPLACE FUNCTION antipode.abort_upload(p_bucket bigint, p_key text, p_upload text)
 RETURNS boolean
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
BEGIN
  PERFORM antipode.lock_bucket_shared(p_bucket);
  PERFORM antipode.lock_upload(p_upload);
  IF NOT EXISTS (SELECT FROM antipode.bucket b WHERE b.id = p_bucket)
     OR NOT EXISTS (SELECT FROM antipode.upload u WHERE u.upload_id = p_upload AND u.bucket_id = p_bucket
                    AND u.key = p_key AND u.state = 'open') THEN
    RETURN false;
  END IF;
  PERFORM antipode.drop_uploads(ARRAY[p_upload]);
  RETURN true;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.add_notification(p_target text, p_bucket_id bigint, p_bucket text, p_key text, p_event uuid, p_name text, p_at timestamp with time zone, p_body text)
 RETURNS void
 LANGUAGE sql
AS $function$
  INSERT INTO antipode.notification (target, bucket_id, bucket, key, event, name, at, body, due_at)
  SELECT p_target, p_bucket_id, p_bucket, p_key, p_event, p_name, p_at, p_body,
         CASE WHEN EXISTS (SELECT FROM antipode.notification n
                           WHERE n.target = p_target AND n.bucket_id = p_bucket_id AND n.key = p_key)
              THEN NULL ELSE clock_timestamp() END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.add_repairs(repairs jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  WITH asked AS MATERIALIZED (
    -- The first reason counts, or the last one that overrules.
    SELECT DISTINCT ON (1, 2) (x->>'blob')::uuid AS blob_id, x->>'member' AS member, x->>'reason' AS reason,
           x->>'foundBy' AS found_by
    FROM jsonb_array_elements(repairs) WITH ORDINALITY e(x, ord)
    ORDER BY 1, 2, x->>'reason' IN ('lost', 'corrupt') DESC,
             CASE WHEN x->>'reason' IN ('lost', 'corrupt') THEN -ord ELSE ord END
  ), live AS MATERIALIZED (
    SELECT b.id FROM antipode.blob b
    WHERE b.id = ANY (ARRAY(SELECT a.blob_id FROM asked a)) AND b.state = 'live' ORDER BY b.id FOR NO KEY UPDATE
  )
  INSERT INTO antipode.repair AS r (blob_id, member, reason, found_by)
  SELECT a.blob_id, a.member, a.reason, a.found_by FROM asked a
  WHERE a.blob_id IN (SELECT l.id FROM live l)
  ORDER BY a.blob_id, a.member
  ON CONFLICT (blob_id, member) DO UPDATE SET reason = excluded.reason, found_by = excluded.found_by
  WHERE excluded.reason IN ('lost', 'corrupt') AND r.reason <> excluded.reason;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.advance_reader(p_name text, p_tx xid8, p_id bigint)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.apply_batch(ops jsonb, intent_ms bigint)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
DECLARE
  plan antipode.decision[] := antipode.decide(ops, intent_ms);
  now timestamptz := date_trunc('milliseconds', clock_timestamp());
  quotas antipode.quota[];
  counted boolean;
  shares boolean;
  inserts boolean;
  replaces boolean;
  retires boolean;
  changes boolean;
  parks boolean;
BEGIN
  SELECT bool_or(p.old_blob IS NOT NULL OR p.old_manifest IS NOT NULL OR p.doc->>'content' LIKE 'share-%'),
         bool_or(p.action = 'insert'), bool_or(p.action = 'replace'),
         bool_or(p.promote OR p.demote_seq IS NOT NULL OR p.action IN ('insert', 'remove') AND p.old_seq IS NOT NULL),
         bool_or(p.action IN ('tags', 'retention', 'legal-hold', 'amend')),
         bool_or(p.doc->>'content' = 'blob' AND (p.doc->'blob' ? 'offMap' OR p.doc ? 'lagging')),
         EXISTS (SELECT FROM antipode.bucket b
                 WHERE b.id = ANY (ARRAY(SELECT DISTINCT d.bucket_id FROM unnest(plan) d)) AND b.counted)
  INTO shares, inserts, replaces, retires, changes, parks, counted
  FROM unnest(plan) p WHERE p.reason IS NULL;
  IF counted THEN quotas := antipode.lock_quotas(ARRAY(SELECT p.bucket_id FROM unnest(plan) p)); END IF;
  IF shares THEN plan := antipode.lock_content(plan); END IF;
  IF counted THEN plan := antipode.charge_quotas(plan, quotas); END IF;
  IF inserts OR replaces THEN PERFORM antipode.insert_blobs(plan); END IF;
  IF parks THEN
    PERFORM antipode.park_blobs(ARRAY(
      SELECT p.doc FROM unnest(plan) p
      WHERE p.reason IS NULL AND p.doc->>'content' = 'blob' AND (p.doc->'blob' ? 'offMap' OR p.doc ? 'lagging')));
  END IF;
  IF retires THEN PERFORM antipode.retire_versions(plan); END IF;
  IF inserts THEN PERFORM antipode.insert_versions(plan, now); END IF;
  IF replaces THEN PERFORM antipode.replace_versions(plan, now); END IF;
  IF changes THEN PERFORM antipode.change_versions(plan); END IF;
  IF shares THEN PERFORM antipode.count_references(plan); END IF;
  PERFORM antipode.record_changes(plan, now);
  RETURN (SELECT jsonb_agg(antipode.result_of(p, now) ORDER BY p.ord) FROM unnest(plan) p);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.apply_lifecycle(p_bucket bigint, p_rules text, actions jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_round integer;
  v_rounds integer;
  v_ords bigint[];
  v_ops jsonb;
  v_said jsonb := '{}';
BEGIN
  PERFORM antipode.lock_keys(actions);
  IF (SELECT md5((b.settings->'lifecycle')::text) FROM antipode.bucket b WHERE b.id = p_bucket) IS DISTINCT FROM p_rules THEN
    RETURN NULL;
  END IF;
  SELECT coalesce(max(n.many), 0) INTO v_rounds
  FROM (SELECT count(*) AS many FROM jsonb_array_elements(actions) x GROUP BY x->>'key') n;
  FOR v_round IN 1..v_rounds LOOP
    SELECT array_agg(a.ord ORDER BY a.ord), jsonb_agg(a.doc->'op' ORDER BY a.ord) INTO v_ords, v_ops
    FROM (
      SELECT x.doc, x.ord, row_number() OVER (PARTITION BY x.doc->>'key' ORDER BY (x.doc->>'seq')::bigint) AS round
      FROM jsonb_array_elements(actions) WITH ORDINALITY x(doc, ord)
    ) a
    WHERE a.round = v_round AND antipode.lifecycle_holds(a.doc);
    CONTINUE WHEN v_ops IS NULL;
    SELECT v_said || jsonb_object_agg(v_ords[r.ord]::text, coalesce(r.result->>'reason', 'done')) INTO v_said
    FROM jsonb_array_elements(antipode.apply_batch(v_ops, 0)) WITH ORDINALITY r(result, ord);
  END LOOP;
  RETURN v_said;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.apply_sql_write()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.arrive_bucket(p_bucket bigint, p_epoch bigint, p_turn bigint)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
DECLARE
  m antipode.bucket_move;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(5, hashtext(o.owner)) FROM antipode.bucket_move o
  WHERE o.bucket_id = p_bucket AND o.state = 'ready';
  PERFORM antipode.lock_bucket(p_bucket);
  m := antipode.enter_move(p_bucket, p_epoch, p_turn);
  IF m.bucket_id IS NULL OR m.role <> 'target' OR m.state = 'incoming' THEN RETURN 'stale'; END IF;
  IF m.state = 'ready' THEN
    -- New versions come after those that moved. Far ahead, so that nobody who takes a number now passes it.
    PERFORM pg_advisory_xact_lock(7, 0);
    IF (SELECT s.last_value FROM antipode.version_seq s) <= m.seq THEN
      PERFORM setval('antipode.version_seq', m.seq + 1048576);
    END IF;
    INSERT INTO antipode.quota (subject, bytes_max, objects_max, bytes, objects)
    SELECT 'bucket/' || p_bucket, (m.quota->>'bytes_max')::bigint, (m.quota->>'objects_max')::bigint,
           m.bytes + m.upload_bytes, m.versions
    WHERE m.quota IS NOT NULL;
    PERFORM antipode.place_bucket(m);
    UPDATE antipode.bucket_move o SET state = 'ended', bucket = NULL, quota = NULL WHERE o.bucket_id = p_bucket;
  END IF;
  RETURN 'done';
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.audit_usage()
 RETURNS TABLE(subject text, objects bigint, objects_counted bigint, bytes bigint, bytes_counted bigint)
 LANGUAGE sql
 STABLE
AS $function$
  WITH counted AS (
    SELECT b.id, b.owner, coalesce(v.objects, 0) AS objects, coalesce(v.bytes, 0) AS bytes, coalesce(p.bytes, 0) AS upload_bytes
    FROM antipode.bucket b
    LEFT JOIN (
      SELECT t.bucket_id, count(*) FILTER (WHERE NOT t.is_delete_marker) AS objects, sum(t.size) AS bytes
      FROM antipode.version t GROUP BY t.bucket_id
    ) v ON v.bucket_id = b.id
    LEFT JOIN (
      SELECT u.bucket_id, sum(t.size) AS bytes
      FROM antipode.upload u JOIN antipode.upload_part t ON t.upload_id = u.upload_id GROUP BY u.bucket_id
    ) p ON p.bucket_id = b.id
  ), compared AS (
    SELECT 'usage/' || c.id AS subject, u.objects, c.objects AS objects_counted, u.bytes, c.bytes AS bytes_counted
    FROM counted c JOIN antipode.bucket_usage(ARRAY(SELECT k.id FROM counted k)) u ON u.bucket_id = c.id
    UNION ALL
    SELECT 'uploads/' || c.id, 0, 0, u.upload_bytes, c.upload_bytes
    FROM counted c JOIN antipode.bucket_usage(ARRAY(SELECT k.id FROM counted k)) u ON u.bucket_id = c.id
    UNION ALL
    SELECT q.subject, q.objects, coalesce(s.objects, 0), q.bytes, coalesce(s.bytes, 0)
    FROM antipode.quota q
    LEFT JOIN (
      SELECT 'bucket/' || c.id AS subject, c.objects, c.bytes + c.upload_bytes AS bytes FROM counted c
      UNION ALL
      SELECT 'account/' || c.owner, sum(c.objects), sum(c.bytes + c.upload_bytes) FROM counted c GROUP BY c.owner
    ) s ON s.subject = q.subject
  )
  SELECT c.subject, c.objects, c.objects_counted::bigint, c.bytes, c.bytes_counted::bigint
  FROM compared c
  WHERE c.objects <> c.objects_counted OR c.bytes <> c.bytes_counted
  ORDER BY c.subject
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.become_directory(p_pair text, p_ordinal integer)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_first bigint := p_ordinal::bigint << 45;
BEGIN
  PERFORM pg_advisory_xact_lock(6, 0);
  INSERT INTO antipode.this_directory (pair, ordinal) VALUES (p_pair, p_ordinal) ON CONFLICT DO NOTHING;
  IF FOUND AND v_first > (SELECT s.last_value FROM antipode.manifest_id_seq s) THEN
    PERFORM setval('antipode.manifest_id_seq', v_first);
  END IF;
  RETURN EXISTS (SELECT FROM antipode.this_directory d WHERE d.pair = p_pair AND d.ordinal = p_ordinal);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.begin_move(p_bucket bigint, p_epoch bigint, p_turn bigint, p_role text, p_other text)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
BEGIN
  -- Blobs do not change their pair while a bucket is copied: see antipode.move_blobs_unless.
  PERFORM pg_advisory_xact_lock(8, 0);
  INSERT INTO antipode.bucket_move AS m (bucket_id, epoch, turn, role, state, other)
  VALUES (p_bucket, p_epoch, p_turn, p_role, CASE p_role WHEN 'source' THEN 'copying' ELSE 'incoming' END, p_other)
  ON CONFLICT (bucket_id) DO UPDATE
  SET epoch = p_epoch, turn = p_turn, role = p_role, state = excluded.state, other = p_other, owner = NULL, bucket = NULL,
      quota = NULL, versions = 0, bytes = 0, upload_bytes = 0, seq = 0, since = clock_timestamp()
  WHERE m.epoch < p_epoch AND m.state = 'ended';
  IF (antipode.enter_move(p_bucket, p_epoch, p_turn)).bucket_id IS NULL THEN RETURN 'stale'; END IF;
  IF p_role = 'source' AND NOT EXISTS (SELECT FROM antipode.bucket b WHERE b.id = p_bucket)
     AND EXISTS (SELECT FROM antipode.bucket_move m WHERE m.bucket_id = p_bucket AND m.state = 'copying') THEN
    RETURN 'no-such-bucket';
  END IF;
  RETURN 'done';
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.begin_rebuild()
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
BEGIN
  IF NOT (SELECT i.rebuilding FROM antipode.identity i)
     AND (EXISTS (SELECT FROM antipode.bucket) OR EXISTS (SELECT FROM antipode.version) OR EXISTS (SELECT FROM antipode.blob)) THEN
    RETURN false;
  END IF;
  UPDATE antipode.identity SET rebuilding = true;
  UPDATE antipode.name_walk SET floor = 0, horizon = NULL, done = false;
  DELETE FROM antipode.version; DELETE FROM antipode.manifest_part; DELETE FROM antipode.manifest;
  DELETE FROM antipode.off_map_replica; DELETE FROM antipode.repair; DELETE FROM antipode.blob;
  DELETE FROM antipode.usage; DELETE FROM antipode.usage_delta; DELETE FROM antipode.quota; DELETE FROM antipode.bucket;
  RETURN true;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.begin_sql_write()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
BEGIN
  IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
    RAISE EXCEPTION 'the catalog is changed in READ COMMITTED alone, not in %', upper(current_setting('transaction_isolation'))
      USING ERRCODE = 'invalid_transaction_state';
  END IF;
  INSERT INTO antipode.sql_write (tx) VALUES (pg_current_xact_id()) ON CONFLICT DO NOTHING;
  RETURN NULL;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.begin_walk(p_floor bigint)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
DECLARE
  w antipode.name_walk;
BEGIN
  UPDATE antipode.name_walk SET floor = p_floor, horizon = pg_current_xact_id(), bucket_id = 0, key = '', seq = 0, done = false
  WHERE floor <> p_floor OR horizon IS NULL;
  SELECT * INTO w FROM antipode.name_walk;
  RETURN jsonb_build_object('bucket', w.bucket_id, 'key', w.key, 'seq', w.seq, 'done', w.done,
    'ready', w.horizon < pg_snapshot_xmin(pg_current_snapshot()));
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.bound_login(p_role text, p_connections integer, p_read_only boolean)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  EXECUTE format('ALTER ROLE %I CONNECTION LIMIT %s', p_role, p_connections);
  EXECUTE format('ALTER ROLE %I SET default_transaction_read_only = %s', p_role, CASE WHEN p_read_only THEN 'on' ELSE 'off' END);
  EXECUTE format('ALTER ROLE %I SET statement_timeout = ''60s''', p_role);
  EXECUTE format('ALTER ROLE %I SET lock_timeout = ''5s''', p_role);
  EXECUTE format('ALTER ROLE %I SET idle_in_transaction_session_timeout = ''60s''', p_role);
  EXECUTE format('ALTER ROLE %I SET max_parallel_workers_per_gather = 0', p_role);
  EXECUTE format('ALTER ROLE %I SET search_path = catalog', p_role);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.bucket_usage(buckets bigint[])
 RETURNS TABLE(bucket_id bigint, objects bigint, bytes bigint, upload_bytes bigint)
 LANGUAGE sql
 STABLE
AS $function$
  SELECT k.id, coalesce(sum(u.versions), 0)::bigint, coalesce(sum(u.bytes), 0)::bigint, coalesce(sum(u.upload_bytes), 0)::bigint
  FROM unnest(buckets) k(id)
  LEFT JOIN (
    SELECT t.bucket_id, t.versions, t.bytes, t.upload_bytes FROM antipode.usage t WHERE t.bucket_id = ANY (buckets)
    UNION ALL
    SELECT d.bucket_id, d.versions, d.bytes, d.upload_bytes FROM antipode.usage_delta d WHERE d.bucket_id = ANY (buckets)
  ) u ON u.bucket_id = k.id
  GROUP BY k.id
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.build_manifest(p_manifest bigint, p_upload text, parts jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_unused uuid[];
BEGIN
  INSERT INTO antipode.manifest_part (manifest_id, part_number, "offset", size, etag, checksum, blob_id)
  SELECT p_manifest, u.part_number, sum(u.size) OVER (ORDER BY u.part_number) - u.size, u.size, u.etag, u.checksum, u.blob_id
  FROM antipode.upload_part u
  WHERE u.upload_id = p_upload
    AND u.part_number IN (SELECT (x->>'partNumber')::integer FROM jsonb_array_elements(parts) x);
  INSERT INTO antipode.manifest (id, size, part_count)
  SELECT p_manifest, sum(m.size), count(*) FROM antipode.manifest_part m WHERE m.manifest_id = p_manifest;
  WITH gone AS (DELETE FROM antipode.upload_part u WHERE u.upload_id = p_upload RETURNING u.part_number, u.blob_id)
  SELECT coalesce(array_agg(g.blob_id), '{}') INTO v_unused
  FROM gone g
  WHERE g.blob_id IS NOT NULL
    AND g.part_number NOT IN (SELECT m.part_number FROM antipode.manifest_part m WHERE m.manifest_id = p_manifest);
  PERFORM antipode.release_blobs(v_unused);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.change_quota(p_subject text, buckets bigint[], change jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
DECLARE
  v antipode.quota;
BEGIN
  SELECT * INTO v FROM antipode.quota q WHERE q.subject = p_subject FOR UPDATE;
  IF change ? 'bytes' THEN v.bytes_max := (change->>'bytes')::bigint; END IF;
  IF change ? 'objects' THEN v.objects_max := (change->>'objects')::bigint; END IF;
  IF v.bytes_max IS NULL AND v.objects_max IS NULL THEN
    DELETE FROM antipode.quota q WHERE q.subject = p_subject;
  ELSE
    INSERT INTO antipode.quota AS q (subject, bytes_max, objects_max, bytes, objects)
    SELECT p_subject, v.bytes_max, v.objects_max, coalesce(sum(u.bytes + u.upload_bytes), 0), coalesce(sum(u.versions), 0)
    FROM (
      SELECT t.versions, t.bytes, t.upload_bytes FROM antipode.usage t WHERE t.bucket_id = ANY (buckets)
      UNION ALL
      SELECT d.versions, d.bytes, d.upload_bytes FROM antipode.usage_delta d WHERE d.bucket_id = ANY (buckets)
      UNION ALL
      SELECT m.versions, m.bytes, m.upload_bytes FROM antipode.bucket_move m
      WHERE m.state IN ('frozen', 'ready') AND p_subject = 'account/' || m.owner
    ) u
    ON CONFLICT (subject) DO UPDATE SET bytes_max = excluded.bytes_max, objects_max = excluded.objects_max;
  END IF;
  UPDATE antipode.bucket b SET counted = c.counted
  FROM (
    SELECT k.id, EXISTS (SELECT FROM antipode.quota q WHERE q.subject IN ('bucket/' || k.id, 'account/' || k.owner)) AS counted
    FROM antipode.bucket k WHERE k.id = ANY (buckets)
  ) c
  WHERE b.id = c.id AND b.counted <> c.counted;
  RETURN jsonb_build_object('bytes', v.bytes_max, 'objects', v.objects_max);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.change_versions(plan antipode.decision[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  UPDATE antipode.version v
  SET tags = CASE WHEN p.action = 'tags' THEN p.doc->'tags' ELSE v.tags END,
      retention_mode = CASE WHEN p.action = 'retention' THEN p.doc->'retention'->>'mode' ELSE v.retention_mode END,
      retention_until = CASE WHEN p.action = 'retention' THEN (p.doc->'retention'->>'until')::timestamptz
                             ELSE v.retention_until END,
      legal_hold = CASE WHEN p.action = 'legal-hold' THEN (p.doc->>'legalHold')::boolean ELSE v.legal_hold END,
      acl = CASE WHEN p.action = 'amend' AND p.doc ? 'acl' THEN nullif(p.doc->'acl', 'null') ELSE v.acl END,
      encryption = CASE WHEN p.action = 'amend' AND p.doc ? 'encryption' THEN nullif(p.doc->'encryption', 'null')
                        ELSE v.encryption END,
      storage_class = CASE WHEN p.action = 'amend' AND p.doc ? 'storageClass' THEN p.doc->>'storageClass'
                           ELSE v.storage_class END
  FROM unnest(plan) p
  WHERE p.reason IS NULL AND p.action IN ('tags', 'retention', 'legal-hold', 'amend')
    AND v.bucket_id = p.bucket_id AND v.key = p.key AND v.seq = p.seq;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.charge_parts(p_bucket bigint, p_bytes bigint)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
DECLARE
  quotas antipode.quota[];
BEGIN
  IF p_bytes = 0 THEN RETURN true; END IF;
  quotas := antipode.lock_quotas(ARRAY[p_bucket]);
  IF cardinality(quotas) > 0 THEN
    IF p_bytes > 0 AND EXISTS (SELECT FROM unnest(quotas) q WHERE q.bytes + p_bytes > q.bytes_max) THEN
      RETURN false;
    END IF;
    UPDATE antipode.quota q SET bytes = q.bytes + p_bytes FROM unnest(quotas) n WHERE q.subject = n.subject;
  END IF;
  INSERT INTO antipode.usage_delta (bucket_id, versions, bytes, upload_bytes) VALUES (p_bucket, 0, 0, p_bytes);
  RETURN true;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.charge_quotas(plan antipode.decision[], quotas antipode.quota[])
 RETURNS antipode.decision[]
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
DECLARE
  names text[] := ARRAY(SELECT q.subject FROM unnest(quotas) q);
  v_bucket bigint;
  v_owner text;
  spots integer[];
  at integer;
  v_bytes bigint;
  v_objects bigint;
BEGIN
  FOR i IN 1 .. cardinality(plan) LOOP
    CONTINUE WHEN plan[i].reason IS NOT NULL OR plan[i].action NOT IN ('insert', 'replace', 'remove');
    IF plan[i].bucket_id IS DISTINCT FROM v_bucket THEN
      v_bucket := plan[i].bucket_id;
      SELECT b.owner INTO v_owner FROM antipode.bucket b WHERE b.id = v_bucket;
      spots := array_remove(
        ARRAY[array_position(names, 'bucket/' || v_bucket), array_position(names, 'account/' || v_owner)], NULL);
    END IF;
    v_objects := CASE WHEN plan[i].action <> 'remove' AND NOT plan[i].marker THEN 1 ELSE 0 END - plan[i].old_versions;
    v_bytes := CASE WHEN plan[i].action <> 'remove' THEN coalesce((plan[i].doc->>'size')::bigint, 0) ELSE 0 END
               - plan[i].old_bytes - coalesce((plan[i].doc->>'partBytes')::bigint, 0);
    FOREACH at IN ARRAY spots LOOP
      IF v_bytes > 0 AND quotas[at].bytes + v_bytes > quotas[at].bytes_max
         OR v_objects > 0 AND quotas[at].objects + v_objects > quotas[at].objects_max THEN
        plan[i].reason := 'over-quota';
      END IF;
    END LOOP;
    CONTINUE WHEN plan[i].reason IS NOT NULL;
    FOREACH at IN ARRAY spots LOOP
      quotas[at].bytes := quotas[at].bytes + v_bytes;
      quotas[at].objects := quotas[at].objects + v_objects;
    END LOOP;
  END LOOP;
  UPDATE antipode.quota q SET bytes = n.bytes, objects = n.objects
  FROM unnest(quotas) n
  WHERE q.subject = n.subject AND (q.bytes <> n.bytes OR q.objects <> n.objects);
  RETURN plan;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.check_metadata(metadata jsonb, headers jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.check_tags(tags jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.collect_sql_change()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.commit_batch(ops jsonb, intent_ms bigint)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
BEGIN
  PERFORM antipode.lock_keys(ops);
  RETURN antipode.apply_batch(ops, intent_ms);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.common_prefix(key text, prefix text, delimiter text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE STRICT
AS $function$
  SELECT CASE WHEN delimiter <> '' AND position(delimiter IN substr(key, length(prefix) + 1)) > 0
    THEN left(key, length(prefix) + position(delimiter IN substr(key, length(prefix) + 1)) + length(delimiter) - 1) END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.complete_upload(c jsonb, intent_ms bigint)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_upload antipode.upload;
  v_manifest bigint;
  v_count integer := jsonb_array_length(c->'parts');
  v_size bigint;
  v_matched integer;
  v_part_bytes bigint;
  v_result jsonb;
BEGIN
  PERFORM antipode.lock_bucket_shared((c->>'bucket')::bigint);
  PERFORM antipode.lock_upload(c->>'uploadId');
  IF NOT EXISTS (SELECT FROM antipode.bucket b WHERE b.id = (c->>'bucket')::bigint) THEN
    RETURN jsonb_build_object('reason', 'bucket-gone');
  END IF;
  SELECT * INTO v_upload FROM antipode.upload u
  WHERE u.upload_id = c->>'uploadId' AND u.bucket_id = (c->>'bucket')::bigint AND u.key = c->>'key';
  IF NOT FOUND THEN RETURN jsonb_build_object('reason', 'no-such-upload'); END IF;
  IF v_upload.state = 'completed' THEN
    RETURN CASE WHEN v_upload.completed_parts = md5((c->'parts')::text) THEN v_upload.result
                ELSE jsonb_build_object('reason', 'no-such-upload') END;
  END IF;
  SELECT count(*), coalesce(sum(p.size), 0) INTO v_matched, v_size
  FROM jsonb_array_elements(c->'parts') x
  JOIN antipode.upload_part p
    ON p.upload_id = v_upload.upload_id AND p.part_number = (x->>'partNumber')::integer AND p.etag = x->>'etag';
  IF v_matched <> v_count OR v_count = 0 OR v_size <> (c->>'size')::bigint
     OR v_count <> (SELECT count(DISTINCT x->>'partNumber') FROM jsonb_array_elements(c->'parts') x) THEN
    RETURN jsonb_build_object('reason', 'invalid-part');
  END IF;
  SELECT sum(p.size) INTO v_part_bytes FROM antipode.upload_part p WHERE p.upload_id = v_upload.upload_id;
  PERFORM antipode.lock_keys(jsonb_build_array(c));
  v_manifest := nextval(pg_get_serial_sequence('antipode.manifest', 'id'));
  v_result := antipode.apply_batch(jsonb_build_array(
    v_upload.attributes || jsonb_strip_nulls(jsonb_build_object(
      'op', 'put', 'writeId', c->'writeId', 'bucket', c->'bucket', 'key', c->'key', 'owner', v_upload.owner,
      'size', c->'size', 'etag', c->'etag', 'checksum', c->'checksum', 'condition', c->'condition',
      'content', 'manifest', 'manifest', v_manifest, 'partCount', v_count,
      'partBytes', v_part_bytes, 'cause', c->'cause'))), intent_ms)->0;
  IF v_result ? 'reason' THEN RETURN v_result; END IF;
  -- The quotas know: the decision had partBytes.
  INSERT INTO antipode.usage_delta (bucket_id, versions, bytes, upload_bytes)
  SELECT v_upload.bucket_id, 0, 0, -v_part_bytes WHERE v_part_bytes <> 0;
  v_result := v_result || jsonb_build_object('etag', c->'etag');
  PERFORM antipode.build_manifest(v_manifest, v_upload.upload_id, c->'parts');
  UPDATE antipode.upload u
  SET state = 'completed', completed_at = clock_timestamp(), completed_parts = md5((c->'parts')::text), result = v_result
  WHERE u.upload_id = v_upload.upload_id;
  RETURN v_result;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.count_references(plan antipode.decision[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  UPDATE antipode.blob b
  SET ref_count = b.ref_count + d.n,
      state = CASE WHEN b.ref_count + d.n = 0 THEN 'dying' ELSE 'live' END,
      dying_since = CASE WHEN b.ref_count + d.n = 0 THEN clock_timestamp() END
  FROM (
    SELECT r.id, sum(r.n)::integer AS n
    FROM (
      SELECT p.old_blob AS id, -1 AS n FROM unnest(plan) p WHERE p.reason IS NULL AND p.old_blob IS NOT NULL
      UNION ALL
      SELECT (p.doc->'blob'->>'id')::uuid, 1 FROM unnest(plan) p
      WHERE p.reason IS NULL AND p.doc->>'content' = 'share-blob'
    ) r GROUP BY r.id HAVING sum(r.n) <> 0
  ) d
  WHERE b.id = d.id;
  UPDATE antipode.manifest m
  SET ref_count = m.ref_count + d.n,
      dying_since = CASE WHEN m.ref_count + d.n = 0 THEN clock_timestamp() END
  FROM (
    SELECT r.id, sum(r.n)::integer AS n
    FROM (
      SELECT p.old_manifest AS id, -1 AS n FROM unnest(plan) p WHERE p.reason IS NULL AND p.old_manifest IS NOT NULL
      UNION ALL
      SELECT (p.doc->>'manifest')::bigint, 1 FROM unnest(plan) p
      WHERE p.reason IS NULL AND p.doc->>'content' = 'share-manifest'
    ) r GROUP BY r.id HAVING sum(r.n) <> 0
  ) d
  WHERE m.id = d.id;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.count_repairs()
 RETURNS TABLE(member text, queued bigint)
 LANGUAGE sql
 STABLE
 SET enable_seqscan TO 'on'
 SET enable_hashjoin TO 'on'
 SET enable_mergejoin TO 'on'
AS $function$
  SELECT r.member, count(*) FROM antipode.repair r JOIN antipode.blob b ON b.id = r.blob_id AND b.state = 'live'
  GROUP BY r.member
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.create_bucket(p_id bigint, p_name text, p_owner text, p_region text, p_created_at timestamp with time zone, p_object_lock boolean, p_settings jsonb)
 RETURNS SETOF antipode.bucket
 LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(5, hashtext(p_owner));
  PERFORM antipode.lock_bucket(p_id);
  INSERT INTO antipode.bucket (id, name, owner, region, created_at, versioning, object_lock, settings, counted)
  VALUES (p_id, p_name, p_owner, p_region, p_created_at,
          CASE WHEN p_object_lock THEN 'enabled' ELSE 'unversioned' END, p_object_lock, p_settings,
          EXISTS (SELECT FROM antipode.quota q WHERE q.subject = 'account/' || p_owner))
  ON CONFLICT (id) DO NOTHING;
  RETURN QUERY SELECT * FROM antipode.bucket b WHERE b.id = p_id;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.create_upload(u jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
DECLARE
  now timestamptz := date_trunc('milliseconds', clock_timestamp());
BEGIN
  PERFORM antipode.lock_bucket_shared((u->>'bucket')::bigint);
  IF NOT EXISTS (SELECT FROM antipode.bucket b WHERE b.id = (u->>'bucket')::bigint) THEN
    RETURN jsonb_build_object('reason', 'bucket-gone');
  END IF;
  INSERT INTO antipode.upload (upload_id, bucket_id, key, initiated, owner, attributes, checksum_algorithm, checksum_type)
  VALUES (u->>'uploadId', (u->>'bucket')::bigint, u->>'key', now, u->>'owner', u->'attributes',
          u->>'checksumAlgorithm', u->>'checksumType');
  RETURN jsonb_build_object('initiatedMs', (extract(epoch FROM now) * 1000)::bigint);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.decide(ops jsonb, intent_ms bigint)
 RETURNS antipode.decision[]
 LANGUAGE plpgsql
AS $function$
BEGIN
  RETURN (WITH op AS (
    SELECT o.ord, o.doc, (o.doc->>'bucket')::bigint AS bucket_id, (o.doc->>'key') COLLATE "C" AS key,
           o.doc->>'op' AS op, o.doc->>'versionId' AS wanted, (o.doc->>'versionSeq')::bigint AS wanted_seq
    FROM jsonb_array_elements(ops) WITH ORDINALITY o(doc, ord)
  ), found AS (
    SELECT op.*, b.versioning, b.object_lock, b.default_retention, latest.v AS latest,
           CASE
             WHEN op.wanted IS NULL THEN latest.v
             WHEN op.wanted <> 'null' THEN named.v
             WHEN (latest.v).version_id = 'null' THEN latest.v
             ELSE nulls.v
           END AS subject,
           -- The null version that a write without versioning takes the place of, where it is not the latest.
           nulls.v AS nulls
    FROM op
    LEFT JOIN LATERAL (
      SELECT b.versioning, b.object_lock, CASE WHEN b.object_lock THEN b.settings->'defaultRetention' END AS default_retention
      FROM antipode.bucket b WHERE b.id = op.bucket_id OFFSET 0
    ) b ON true
    LEFT JOIN LATERAL (
      SELECT t AS v FROM antipode.version t
      WHERE t.bucket_id = op.bucket_id AND t.key = op.key ORDER BY t.seq DESC LIMIT 1
    ) latest ON true
    LEFT JOIN LATERAL (
      SELECT t AS v FROM antipode.version t
      WHERE t.bucket_id = op.bucket_id AND t.key = op.key AND t.version_id = 'null' AND NOT t.is_latest
        AND b.versioning <> 'unversioned' AND (latest.v).version_id <> 'null'
        AND (op.wanted = 'null' OR op.wanted IS NULL AND b.versioning = 'suspended')
      OFFSET 0
    ) nulls ON true
    LEFT JOIN LATERAL (
      SELECT t AS v FROM antipode.version t
      WHERE t.bucket_id = op.bucket_id AND t.key = op.key AND t.seq = op.wanted_seq AND t.version_id = op.wanted
        AND op.wanted <> 'null'
      OFFSET 0
    ) named ON true
  ), acted AS MATERIALIZED (
    SELECT f.*,
      CASE
        WHEN f.op IN ('tags', 'retention', 'legal-hold', 'amend') THEN f.op
        WHEN f.op = 'delete' AND (f.wanted IS NOT NULL OR f.versioning = 'unversioned')
          THEN CASE WHEN (f.subject).seq IS NULL THEN 'none' ELSE 'remove' END
        WHEN f.op = 'delete' AND f.doc ? 'condition' AND (f.subject).seq IS NULL THEN 'none'
        WHEN f.versioning <> 'enabled' AND (f.latest).version_id = 'null' THEN 'replace'
        ELSE 'insert'
      END AS action
    FROM found f
  ), ruled AS (
    SELECT a.*,
      -- The row that this operation takes away or replaces.
      CASE a.action WHEN 'remove' THEN a.subject WHEN 'replace' THEN a.latest WHEN 'insert' THEN a.nulls END AS old,
      CASE
        WHEN a.versioning IS NULL THEN 'bucket-gone'
        WHEN NOT a.object_lock
             AND (a.op IN ('retention', 'legal-hold') OR a.op = 'put' AND (a.doc ? 'retention' OR a.doc ? 'legalHold'))
          THEN 'no-object-lock'
        WHEN a.op IN ('tags', 'retention', 'legal-hold', 'amend') AND ((a.subject).seq IS NULL OR (a.subject).is_delete_marker)
          THEN CASE WHEN a.wanted IS NULL THEN 'no-such-key' ELSE 'no-such-version' END
        ELSE coalesce(
          antipode.failed_condition(a.op, a.doc->'condition', a.subject),
          CASE
            WHEN a.action = 'remove' AND antipode.is_locked(a.subject, coalesce((a.doc->>'bypass')::boolean, false))
              THEN 'locked'
            WHEN a.action = 'retention'
                 AND NOT antipode.may_retain(a.subject, a.doc->'retention', coalesce((a.doc->>'bypass')::boolean, false))
              THEN 'locked'
            WHEN (a.doc->>'intentAt')::bigint + intent_ms < extract(epoch FROM clock_timestamp()) * 1000
              THEN 'intent-expired'
            WHEN (a.doc->>'epoch')::bigint
                 < (SELECT e.epoch FROM antipode.pair_epoch e WHERE e.pair = a.doc->'blob'->>'pair')
              THEN 'stale-epoch'
          END)
      END AS reason,
      CASE WHEN a.action = 'insert' THEN nextval('antipode.version_seq')
           WHEN a.action = 'replace' THEN (a.latest).seq ELSE (a.subject).seq END AS seq
    FROM acted a
  )
  SELECT array_agg(ROW(
    r.ord,
    CASE WHEN r.default_retention IS NOT NULL AND r.op = 'put' AND NOT r.doc ? 'retention'
         THEN r.doc || jsonb_build_object('retention', r.default_retention) ELSE r.doc END
    || CASE WHEN r.op = 'put' AND r.doc->'condition' ? 'seen' THEN jsonb_strip_nulls(jsonb_build_object(
              'acl', (r.subject).acl, 'encryption', (r.subject).encryption, 'storageClass', (r.subject).storage_class))
       ELSE '{}' END,
    r.bucket_id, r.key, r.reason, r.action, r.seq,
    CASE WHEN r.action = 'insert' AND r.versioning = 'enabled' THEN antipode.new_version_id(r.seq)
         WHEN r.action IN ('insert', 'replace') THEN 'null' ELSE (r.subject).version_id END,
    CASE WHEN r.action IN ('insert', 'replace') THEN r.op = 'delete' ELSE (r.subject).is_delete_marker END,
    (r.old).seq, (r.old).blob_id, (r.old).manifest_id, coalesce((r.old).size, 0),
    CASE WHEN (r.old).seq IS NOT NULL AND NOT (r.old).is_delete_marker THEN 1 ELSE 0 END,
    CASE WHEN r.action = 'insert' THEN (r.latest).seq END,
    r.action = 'remove' AND (r.subject).is_latest
  )::antipode.decision ORDER BY r.ord)
  FROM ruled r);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.delete_bucket(p_id bigint)
 RETURNS text
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
BEGIN
  PERFORM antipode.lock_bucket(p_id);
  IF NOT EXISTS (SELECT FROM antipode.bucket b WHERE b.id = p_id) THEN RETURN 'no-such-bucket'; END IF;
  IF EXISTS (SELECT FROM antipode.version v WHERE v.bucket_id = p_id) THEN RETURN 'not-empty'; END IF;
  PERFORM antipode.drop_uploads(ARRAY(SELECT u.upload_id FROM antipode.upload u WHERE u.bucket_id = p_id ORDER BY 1));
  DELETE FROM antipode.usage u WHERE u.bucket_id = p_id;
  DELETE FROM antipode.quota q WHERE q.subject = 'bucket/' || p_id;
  DELETE FROM antipode.bucket b WHERE b.id = p_id;
  RETURN 'done';
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.dissolve_manifests(p_max integer)
 RETURNS integer
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_ids bigint[];
  v_blobs uuid[];
BEGIN
  SELECT coalesce(array_agg(m.id), '{}') INTO v_ids
  FROM (SELECT d.id FROM antipode.manifest d WHERE d.dying_since IS NOT NULL ORDER BY d.dying_since LIMIT p_max
        FOR UPDATE SKIP LOCKED) m;
  IF cardinality(v_ids) = 0 THEN RETURN 0; END IF;
  WITH gone AS (DELETE FROM antipode.manifest_part p WHERE p.manifest_id = ANY (v_ids) RETURNING p.blob_id)
  SELECT coalesce(array_agg(g.blob_id), '{}') INTO v_blobs FROM gone g WHERE g.blob_id IS NOT NULL;
  DELETE FROM antipode.manifest m WHERE m.id = ANY (v_ids);
  PERFORM antipode.release_blobs(v_blobs);
  RETURN cardinality(v_ids);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.drop_uploads(ids text[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_blobs uuid[];
BEGIN
  PERFORM antipode.charge_parts(t.bucket_id, -t.bytes)
  FROM (
    SELECT u.bucket_id, sum(p.size)::bigint AS bytes
    FROM antipode.upload u JOIN antipode.upload_part p ON p.upload_id = u.upload_id
    WHERE u.upload_id = ANY (ids) GROUP BY u.bucket_id
  ) t;
  WITH gone AS (DELETE FROM antipode.upload_part p WHERE p.upload_id = ANY (ids) RETURNING p.blob_id)
  SELECT coalesce(array_agg(g.blob_id), '{}') INTO v_blobs FROM gone g WHERE g.blob_id IS NOT NULL;
  DELETE FROM antipode.upload u WHERE u.upload_id = ANY (ids);
  PERFORM antipode.release_blobs(v_blobs);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.enter_move(p_bucket bigint, p_epoch bigint, p_turn bigint)
 RETURNS antipode.bucket_move
 LANGUAGE plpgsql
AS $function$
DECLARE
  m antipode.bucket_move;
BEGIN
  UPDATE antipode.bucket_move o SET turn = p_turn
  WHERE o.bucket_id = p_bucket AND o.epoch = p_epoch AND o.turn <= p_turn
  RETURNING * INTO m;
  RETURN m;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.export_content(p_blobs uuid[], p_manifests bigint[])
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_all uuid[] := ARRAY(
    SELECT i FROM unnest(p_blobs) i WHERE i IS NOT NULL
    UNION SELECT p.blob_id FROM antipode.manifest_part p WHERE p.manifest_id = ANY (p_manifests) AND p.blob_id IS NOT NULL);
BEGIN
  RETURN jsonb_build_object(
    'manifests', (SELECT coalesce(jsonb_agg(to_jsonb(m)), '[]') FROM antipode.manifest m WHERE m.id = ANY (p_manifests)),
    'parts', (SELECT coalesce(jsonb_agg(to_jsonb(p)), '[]') FROM antipode.manifest_part p WHERE p.manifest_id = ANY (p_manifests)),
    'blobs', (SELECT coalesce(jsonb_agg(to_jsonb(b)), '[]') FROM antipode.blob b WHERE b.id = ANY (v_all)),
    'offMap', (SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]') FROM antipode.off_map_replica r WHERE r.blob_id = ANY (v_all)),
    'repairs', (SELECT coalesce(jsonb_agg(to_jsonb(r)), '[]') FROM antipode.repair r WHERE r.blob_id = ANY (v_all)));
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.export_upload(p_bucket bigint, p_upload text)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
BEGIN
  RETURN jsonb_build_object(
    'upload', (SELECT to_jsonb(u) FROM antipode.upload u WHERE u.upload_id = p_upload AND u.bucket_id = p_bucket),
    'parts', (SELECT coalesce(jsonb_agg(to_jsonb(p)), '[]') FROM antipode.upload_part p WHERE p.upload_id = p_upload),
    'content', antipode.export_content(
      ARRAY(SELECT p.blob_id FROM antipode.upload_part p WHERE p.upload_id = p_upload AND p.blob_id IS NOT NULL), '{}'));
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.export_versions(p_bucket bigint, p_after_key text, p_after_seq bigint, p_until text, p_max integer, p_parts integer)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_rows antipode.version[];
  v_seen integer;
  v_last antipode.version;
BEGIN
  WITH page AS MATERIALIZED (
    SELECT u.v FROM (
      (SELECT t AS v FROM antipode.version t
       WHERE t.bucket_id = p_bucket AND t.key = p_after_key AND t.seq < p_after_seq ORDER BY t.seq DESC LIMIT p_max)
      UNION ALL
      (SELECT t FROM antipode.version t
       WHERE t.bucket_id = p_bucket AND t.key > p_after_key AND (p_until IS NULL OR t.key <= p_until)
       ORDER BY t.key, t.seq DESC LIMIT p_max)
    ) u ORDER BY (u.v).key, (u.v).seq DESC LIMIT p_max
  ), counted AS (
    SELECT p.v, row_number() OVER w AS n, sum(coalesce((p.v).part_count, 0)) OVER w AS parts
    FROM page p WINDOW w AS (ORDER BY (p.v).key, (p.v).seq DESC)
  )
  SELECT array_agg(c.v ORDER BY c.n) FILTER (WHERE c.n = 1 OR c.parts <= p_parts), count(*) INTO v_rows, v_seen FROM counted c;
  IF v_rows IS NULL THEN
    RETURN jsonb_build_object('rows', '[]'::jsonb, 'content', NULL, 'more', false);
  END IF;
  v_last := v_rows[cardinality(v_rows)];
  RETURN jsonb_build_object(
    'rows', to_jsonb(v_rows),
    'content', antipode.export_content(
      ARRAY(SELECT r.blob_id FROM unnest(v_rows) r), ARRAY(SELECT r.manifest_id FROM unnest(v_rows) r WHERE r.manifest_id IS NOT NULL)),
    'toKey', v_last.key, 'toSeq', v_last.seq,
    'more', v_seen >= p_max OR v_seen > cardinality(v_rows));
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.failed_condition(op text, cond jsonb, subject antipode.version)
 RETURNS text
 LANGUAGE sql
 STABLE
AS $function$
  SELECT CASE
    WHEN cond IS NULL THEN NULL
    WHEN cond ? 'seen' AND antipode.has_changed(cond->'seen', subject) THEN 'changed'
    WHEN op = 'put' AND (subject.seq IS NULL OR subject.is_delete_marker)
      THEN CASE WHEN cond ? 'ifMatch' THEN 'no-such-key' END
    -- DELETE: a condition on what is not there holds (and nothing is done, see decide).
    WHEN subject.seq IS NULL THEN NULL
    WHEN cond->>'ifNoneMatch' IN ('*', subject.etag)
      OR cond->>'ifMatch' NOT IN ('*', subject.etag)
      OR cond ? 'ifEncryption' AND subject.encryption IS DISTINCT FROM nullif(cond->'ifEncryption', 'null')
      OR (cond->>'ifMatchSize')::bigint <> subject.size
      OR date_trunc('second', (cond->>'ifMatchLastModified')::timestamptz) <> date_trunc('second', subject.last_modified)
      THEN 'precondition-failed'
  END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.finish_repairs(done jsonb)
 RETURNS TABLE(blob_id uuid, member text)
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
DECLARE
  v_blobs uuid[] := ARRAY(SELECT DISTINCT (x->>'blob')::uuid FROM jsonb_array_elements(done) x ORDER BY 1);
BEGIN
  PERFORM 1 FROM antipode.blob b WHERE b.id = ANY (v_blobs) ORDER BY b.id FOR NO KEY UPDATE;
  DELETE FROM antipode.repair r USING jsonb_array_elements(done) x
  WHERE r.blob_id = (x->>'blob')::uuid AND r.member = x->>'member';
  UPDATE antipode.off_map_replica o SET home = NULL
  FROM jsonb_array_elements(done) x
  WHERE o.blob_id = (x->>'blob')::uuid AND o.home = x->>'member';
  UPDATE antipode.off_map_replica o SET surplus = true
  WHERE o.blob_id = ANY (v_blobs) AND NOT o.surplus
    AND NOT EXISTS (SELECT FROM antipode.repair r WHERE r.blob_id = o.blob_id)
    AND EXISTS (SELECT FROM antipode.blob b WHERE b.id = o.blob_id AND b.state = 'live');
  RETURN QUERY SELECT o.blob_id, o.member FROM antipode.off_map_replica o
  WHERE o.blob_id = ANY (v_blobs) AND o.surplus ORDER BY o.blob_id, o.member;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.forget_blobs(ids uuid[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  WITH gone AS (
    DELETE FROM antipode.blob b WHERE b.id = ANY (ids) AND b.state = 'dying' AND b.taken_at IS NOT NULL RETURNING b.id
  ), repairs AS (
    DELETE FROM antipode.repair r USING gone g WHERE r.blob_id = g.id
  )
  DELETE FROM antipode.off_map_replica r USING gone g WHERE r.blob_id = g.id;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.freeze_bucket(p_bucket bigint, p_epoch bigint, p_turn bigint)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
DECLARE
  m antipode.bucket_move;
  b antipode.bucket;
BEGIN
  PERFORM antipode.lock_bucket(p_bucket);
  m := antipode.enter_move(p_bucket, p_epoch, p_turn);
  IF m.bucket_id IS NULL OR m.role <> 'source' THEN RETURN jsonb_build_object('reason', 'stale'); END IF;
  IF m.state = 'copying' THEN
    SELECT * INTO b FROM antipode.bucket k WHERE k.id = p_bucket;
    IF NOT FOUND THEN RETURN jsonb_build_object('reason', 'no-such-bucket'); END IF;
    UPDATE antipode.bucket_move o
    SET state = 'frozen', owner = b.owner, bucket = to_jsonb(b),
        quota = (SELECT to_jsonb(q) FROM antipode.quota q WHERE q.subject = 'bucket/' || p_bucket),
        versions = u.objects, bytes = u.bytes, upload_bytes = u.upload_bytes,
        seq = (SELECT s.last_value FROM antipode.version_seq s)
    FROM antipode.bucket_usage(ARRAY[p_bucket]) u
    WHERE o.bucket_id = p_bucket RETURNING o.* INTO m;
    DELETE FROM antipode.usage t WHERE t.bucket_id = p_bucket;
    DELETE FROM antipode.usage_delta t WHERE t.bucket_id = p_bucket;
    -- In the change feed it leaves here; with its row in place again it arrives.
    PERFORM set_config('antipode.bucket_change', 'bucket-left', true);
    DELETE FROM antipode.bucket k WHERE k.id = p_bucket;
  END IF;
  RETURN jsonb_build_object('state', m.state, 'bucket', m.bucket, 'quota', m.quota, 'versions', m.versions,
    'bytes', m.bytes, 'uploadBytes', m.upload_bytes, 'seq', m.seq);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.has_changed(seen jsonb, v antipode.version)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  SELECT v.seq IS DISTINCT FROM (seen->>'seq')::bigint
      OR v.write_id IS DISTINCT FROM (seen->>'writeId')::uuid
      OR v.is_latest IS DISTINCT FROM (seen->>'latest')::boolean
      OR v.tags IS DISTINCT FROM seen->'tags'
      OR coalesce(v.legal_hold, false) IS DISTINCT FROM (seen->>'legalHold')::boolean
      OR v.retention_mode IS DISTINCT FROM seen->>'retentionMode'
      OR v.retention_until IS DISTINCT FROM (seen->>'retainUntil')::timestamptz
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.hold_share(p_account text, p_deal bigint, limits jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
DECLARE
  v antipode.quota;
BEGIN
  PERFORM pg_advisory_xact_lock(5, hashtext(p_account));
  SELECT * INTO v FROM antipode.quota q WHERE q.subject = 'account/' || p_account;
  IF v.deal > p_deal THEN RETURN jsonb_build_object('stale', true); END IF;
  IF v.subject IS NULL THEN
    PERFORM antipode.set_account_quota(p_account, jsonb_build_object('bytes', 0, 'objects', 0));
  END IF;
  UPDATE antipode.quota q
  SET deal = p_deal,
      bytes_max = CASE WHEN jsonb_typeof(limits->'bytes') = 'number' THEN q.bytes END,
      objects_max = CASE WHEN jsonb_typeof(limits->'objects') = 'number' THEN q.objects END
  WHERE q.subject = 'account/' || p_account RETURNING * INTO v;
  RETURN jsonb_build_object('bytes', v.bytes, 'objects', v.objects);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.import_content(content jsonb, p_blobs uuid[], p_manifests bigint[])
 RETURNS void
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_made bigint[];
  v_refs uuid[];
  v_fresh uuid[];
BEGIN
  PERFORM 1 FROM antipode.manifest m WHERE m.id = ANY (p_manifests) ORDER BY m.id FOR UPDATE;
  WITH made AS (
    INSERT INTO antipode.manifest (id, size, part_count, ref_count, dying_since)
    SELECT m.id, m.size, m.part_count, n.n, NULL
    FROM jsonb_populate_recordset(NULL::antipode.manifest, content->'manifests') m
    JOIN (SELECT i.id, count(*)::integer AS n FROM unnest(p_manifests) i(id) GROUP BY i.id) n ON n.id = m.id
    ORDER BY m.id
    ON CONFLICT (id) DO NOTHING RETURNING id
  )
  SELECT coalesce(array_agg(m.id), '{}') INTO v_made FROM made m;
  UPDATE antipode.manifest m SET ref_count = m.ref_count + n.n, dying_since = NULL
  FROM (SELECT i.id, count(*)::integer AS n FROM unnest(p_manifests) i(id) WHERE i.id <> ALL (v_made) GROUP BY i.id) n
  WHERE m.id = n.id;
  INSERT INTO antipode.manifest_part
  SELECT p.* FROM jsonb_populate_recordset(NULL::antipode.manifest_part, content->'parts') p WHERE p.manifest_id = ANY (v_made);
  v_refs := p_blobs || ARRAY(
    SELECT p.blob_id FROM antipode.manifest_part p WHERE p.manifest_id = ANY (v_made) AND p.blob_id IS NOT NULL);
  PERFORM 1 FROM antipode.blob b WHERE b.id = ANY (v_refs) ORDER BY b.id FOR UPDATE;
  WITH made AS (
    INSERT INTO antipode.blob (id, pair, size, root, ref_count, encryption_key_id)
    SELECT b.id, b.pair, b.size, b.root, 1, b.encryption_key_id
    FROM jsonb_populate_recordset(NULL::antipode.blob, content->'blobs') b WHERE b.id = ANY (v_refs) ORDER BY b.id
    ON CONFLICT (id) DO NOTHING RETURNING id
  )
  SELECT coalesce(array_agg(m.id), '{}') INTO v_fresh FROM made m;
  v_fresh := v_fresh || ARRAY(SELECT b.id FROM antipode.blob b WHERE b.id = ANY (v_refs) AND b.state = 'dying');
  UPDATE antipode.blob b
  SET ref_count = b.ref_count + n.n - CASE WHEN b.id = ANY (v_fresh) AND b.state = 'live' THEN 1 ELSE 0 END,
      state = 'live', dying_since = NULL, taken_at = NULL
  FROM (SELECT i.id, count(*)::integer AS n FROM unnest(v_refs) i(id) GROUP BY i.id) n
  WHERE b.id = n.id AND (n.n > 1 OR b.state = 'dying' OR b.id <> ALL (v_fresh));
  INSERT INTO antipode.off_map_replica
  SELECT r.* FROM jsonb_populate_recordset(NULL::antipode.off_map_replica, content->'offMap') r WHERE r.blob_id = ANY (v_fresh)
  ON CONFLICT DO NOTHING;
  INSERT INTO antipode.repair
  SELECT r.* FROM jsonb_populate_recordset(NULL::antipode.repair, content->'repairs') r WHERE r.blob_id = ANY (v_fresh)
  ON CONFLICT DO NOTHING;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.import_upload(p_bucket bigint, p_epoch bigint, p_turn bigint, p_upload text, doc jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  m antipode.bucket_move := antipode.enter_move(p_bucket, p_epoch, p_turn);
  v_old uuid[];
  v_bytes bigint := coalesce((SELECT sum(p.size) FROM antipode.upload_part p WHERE p.upload_id = p_upload), 0);
BEGIN
  IF m.bucket_id IS NULL OR m.state <> 'incoming' THEN RETURN false; END IF;
  PERFORM antipode.import_content(doc->'content', ARRAY(
    SELECT p.blob_id FROM jsonb_populate_recordset(NULL::antipode.upload_part, doc->'parts') p WHERE p.blob_id IS NOT NULL), '{}');
  WITH gone AS (DELETE FROM antipode.upload_part p WHERE p.upload_id = p_upload RETURNING p.blob_id)
  SELECT coalesce(array_agg(g.blob_id), '{}') INTO v_old FROM gone g WHERE g.blob_id IS NOT NULL;
  DELETE FROM antipode.upload u WHERE u.upload_id = p_upload;
  IF jsonb_typeof(doc->'upload') = 'object' THEN
    INSERT INTO antipode.upload SELECT u.* FROM jsonb_populate_record(NULL::antipode.upload, doc->'upload') u;
    INSERT INTO antipode.upload_part SELECT p.* FROM jsonb_populate_recordset(NULL::antipode.upload_part, doc->'parts') p;
  END IF;
  PERFORM antipode.release_content(v_old, '{}');
  UPDATE antipode.bucket_move o
  SET upload_bytes = o.upload_bytes - v_bytes
      + coalesce((SELECT sum(p.size) FROM antipode.upload_part p WHERE p.upload_id = p_upload), 0)
  WHERE o.bucket_id = p_bucket;
  RETURN true;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.import_versions(p_bucket bigint, p_epoch bigint, p_turn bigint, p_after_key text, p_after_seq bigint, p_to_key text, p_to_seq bigint, p_rows jsonb, p_content jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  m antipode.bucket_move := antipode.enter_move(p_bucket, p_epoch, p_turn);
  v_new antipode.version[];
  v_old antipode.version[];
BEGIN
  IF m.bucket_id IS NULL OR m.state <> 'incoming' THEN RETURN false; END IF;
  v_new := ARRAY(SELECT r FROM jsonb_populate_recordset(NULL::antipode.version, p_rows) r);
  PERFORM antipode.import_content(
    p_content, ARRAY(SELECT r.blob_id FROM unnest(v_new) r WHERE r.blob_id IS NOT NULL),
    ARRAY(SELECT r.manifest_id FROM unnest(v_new) r WHERE r.manifest_id IS NOT NULL));
  WITH gone AS (
    DELETE FROM antipode.version t
    WHERE t.bucket_id = p_bucket AND t.key >= p_after_key AND t.key <= p_to_key
      AND ((t.key > p_after_key OR t.seq < p_after_seq) AND (t.key < p_to_key OR t.seq >= p_to_seq)
           -- Outside: what cannot stand beside the page is of an earlier state, and its key comes again.
           OR EXISTS (SELECT FROM unnest(v_new) r WHERE r.key = t.key
                      AND (r.is_latest AND t.is_latest OR r.version_id = 'null' AND t.version_id = 'null' OR r.seq = t.seq)))
    RETURNING t AS v
  )
  SELECT coalesce(array_agg(g.v), '{}') INTO v_old FROM gone g;
  INSERT INTO antipode.version SELECT r.* FROM unnest(v_new) r;
  PERFORM antipode.release_content(
    ARRAY(SELECT r.blob_id FROM unnest(v_old) r WHERE r.blob_id IS NOT NULL),
    ARRAY(SELECT r.manifest_id FROM unnest(v_old) r WHERE r.manifest_id IS NOT NULL));
  UPDATE antipode.bucket_move o
  SET versions = o.versions + n.versions - g.versions, bytes = o.bytes + n.bytes - g.bytes
  FROM (SELECT count(*) FILTER (WHERE NOT r.is_delete_marker) AS versions, coalesce(sum(r.size), 0)::bigint AS bytes FROM unnest(v_new) r) n,
       (SELECT count(*) FILTER (WHERE NOT r.is_delete_marker) AS versions, coalesce(sum(r.size), 0)::bigint AS bytes FROM unnest(v_old) r) g
  WHERE o.bucket_id = p_bucket;
  RETURN true;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.insert_blobs(plan antipode.decision[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  INSERT INTO antipode.blob (id, pair, size, root)
  SELECT (p.doc->'blob'->>'id')::uuid, p.doc->'blob'->>'pair', (p.doc->'blob'->>'size')::bigint,
         decode(p.doc->'blob'->>'root', 'hex')
  FROM unnest(plan) p WHERE p.reason IS NULL AND p.doc->>'content' = 'blob';
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.insert_versions(plan antipode.decision[], now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  INSERT INTO antipode.version (
    bucket_id, key, seq, version_id, is_latest, is_delete_marker, size, part_count, blob_id, manifest_id, write_id,
    last_modified, etag, owner, storage_class, checksum_algorithm, checksum_type, checksum_value,
    retention_mode, retention_until, legal_hold, system_metadata, user_metadata, tags, acl, encryption)
  SELECT p.bucket_id, p.key, p.seq, p.version_id, true, p.marker,
         coalesce((p.doc->>'size')::bigint, 0), (p.doc->>'partCount')::integer,
         (p.doc->'blob'->>'id')::uuid, (p.doc->>'manifest')::bigint, (p.doc->>'writeId')::uuid,
         now, coalesce(p.doc->>'etag', ''), p.doc->>'owner', coalesce(p.doc->>'storageClass', 'STANDARD'),
         p.doc->'checksum'->>'algorithm', p.doc->'checksum'->>'type', p.doc->'checksum'->>'value',
         p.doc->'retention'->>'mode', antipode.retained_until(p.doc->'retention', now),
         (p.doc->>'legalHold')::boolean,
         coalesce(p.doc->'system', '{}'), coalesce(p.doc->'user', '{}'), coalesce(p.doc->'tags', '{}'),
         nullif(p.doc->'acl', 'null'), nullif(p.doc->'encryption', 'null')
  FROM unnest(plan) p WHERE p.reason IS NULL AND p.action = 'insert';
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.is_locked(v antipode.version, bypass boolean)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  SELECT coalesce(v.legal_hold, false)
      OR coalesce(v.retention_until > clock_timestamp() AND NOT (v.retention_mode = 'GOVERNANCE' AND bypass), false)
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.keep_bucket(p_bucket bigint, p_epoch bigint, p_turn bigint)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
DECLARE
  m antipode.bucket_move := antipode.enter_move(p_bucket, p_epoch, p_turn);
BEGIN
  IF m.bucket_id IS NULL OR m.state NOT IN ('copying', 'ended') THEN RETURN 'stale'; END IF;
  UPDATE antipode.bucket_move o SET state = 'ended' WHERE o.bucket_id = p_bucket;
  RETURN 'done';
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.learn_conditions(c jsonb)
 RETURNS void
 LANGUAGE sql
AS $function$
  UPDATE antipode.known_member m SET state = s.state, epoch = (c->>'epoch')::bigint
  FROM (SELECT n.* FROM jsonb_each_text(c->'states') n(member, state) ORDER BY 1) s
  WHERE m.id = s.member AND m.kind = 'node' AND m.epoch <= (c->>'epoch')::bigint
    AND (m.state IS NULL OR m.state <> s.state OR m.epoch <> (c->>'epoch')::bigint)
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.learn_members(members jsonb)
 RETURNS void
 LANGUAGE sql
AS $function$
  INSERT INTO antipode.known_member AS m (id, pair, kind, center, address, port)
  SELECT x->>'id', x->>'pair', x->>'kind', x->>'center', x->>'address', (x->>'port')::integer
  FROM jsonb_array_elements(members) x ORDER BY 1
  ON CONFLICT (id) DO UPDATE
  SET pair = excluded.pair, kind = excluded.kind, center = excluded.center, address = excluded.address, port = excluded.port
  WHERE (m.pair, m.kind, m.center, m.address, m.port)
        IS DISTINCT FROM (excluded.pair, excluded.kind, excluded.center, excluded.address, excluded.port)
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.learn_topology(t jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  INSERT INTO antipode.directory AS d (pair) VALUES (t->>'pair')
  ON CONFLICT (id) DO UPDATE SET pair = excluded.pair WHERE d.pair <> excluded.pair;
  PERFORM antipode.learn_members(t->'members');
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.lease_notifications(p_target text, p_owner text, p_lease_ms bigint)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
BEGIN
  INSERT INTO antipode.notification_target (name) VALUES (p_target) ON CONFLICT (name) DO NOTHING;
  UPDATE antipode.notification_target t
  SET owner = p_owner, leased_until = clock_timestamp() + p_lease_ms * interval '1 millisecond'
  WHERE t.name = p_target AND (t.owner = p_owner OR t.leased_until < clock_timestamp());
  RETURN FOUND;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.leave_bucket(p_bucket bigint, p_epoch bigint, p_turn bigint)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
DECLARE
  m antipode.bucket_move;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(5, hashtext(o.owner)) FROM antipode.bucket_move o
  WHERE o.bucket_id = p_bucket AND o.state = 'frozen';
  PERFORM antipode.lock_bucket(p_bucket);
  m := antipode.enter_move(p_bucket, p_epoch, p_turn);
  IF m.bucket_id IS NULL OR m.role <> 'source' OR m.state NOT IN ('frozen', 'gone') THEN RETURN 'stale'; END IF;
  IF m.state = 'frozen' THEN
    PERFORM antipode.release_share(m);
    DELETE FROM antipode.quota q WHERE q.subject = 'bucket/' || p_bucket;
    UPDATE antipode.bucket_move o SET state = 'gone' WHERE o.bucket_id = p_bucket;
  END IF;
  RETURN 'done';
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.lifecycle_holds(a jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$
DECLARE
  v_bucket bigint := (a->>'bucket')::bigint;
  v_key text COLLATE "C" := a->>'key';
  v_seq bigint := (a->>'seq')::bigint;
  v antipode.version;
  s antipode.version;
BEGIN
  SELECT t.* INTO v FROM antipode.version t WHERE t.bucket_id = v_bucket AND t.key = v_key AND t.seq = v_seq;
  IF NOT FOUND THEN RETURN false; END IF;
  IF NOT v.is_latest THEN
    SELECT t.* INTO s FROM antipode.version t
    WHERE t.bucket_id = v_bucket AND t.key = v_key AND t.seq > v_seq ORDER BY t.seq LIMIT 1;
  END IF;
  RETURN antipode.lifecycle_mark(v, s) = a->>'mark'
    AND (NOT a ? 'keepNewer'
         OR antipode.newer_noncurrent(v_bucket, v_key, v_seq, (a->>'keepNewer')::integer) >= (a->>'keepNewer')::integer)
    AND (NOT a ? 'alone' OR NOT EXISTS (
           SELECT FROM antipode.version o WHERE o.bucket_id = v_bucket AND o.key = v_key AND o.seq <> v_seq));
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.lifecycle_mark(v antipode.version, s antipode.version)
 RETURNS text
 LANGUAGE sql
 STABLE
AS $function$
  SELECT md5(concat_ws('/', v.seq, v.write_id, v.is_latest, v.storage_class, v.tags, s.seq, s.write_id))
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.lifecycle_page(p_bucket bigint, p_prefix text, p_key text, p_seq bigint, p_max integer, p_keep integer)
 RETURNS TABLE(key text, seq bigint, version_id text, is_latest boolean, is_delete_marker boolean, size bigint, last_modified timestamp with time zone, storage_class text, tags jsonb, locked boolean, alone boolean, successor_at timestamp with time zone, newer integer, mark text, read_at timestamp with time zone)
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
DECLARE
  v_end text COLLATE "C" := antipode.text_after(p_prefix);
BEGIN
  RETURN QUERY
  WITH page AS MATERIALIZED (
    SELECT u.v FROM (
      (SELECT t AS v FROM antipode.version t
       WHERE t.bucket_id = p_bucket AND t.key = p_key AND t.seq < p_seq ORDER BY t.seq DESC LIMIT p_max)
      UNION ALL
      (SELECT t FROM antipode.version t
       WHERE t.bucket_id = p_bucket AND t.key > p_key AND t.key >= p_prefix AND (v_end IS NULL OR t.key < v_end)
       ORDER BY t.key, t.seq DESC LIMIT p_max)
    ) u ORDER BY (u.v).key, (u.v).seq DESC LIMIT p_max
  )
  SELECT (p.v).key, (p.v).seq, (p.v).version_id, (p.v).is_latest, (p.v).is_delete_marker, (p.v).size, (p.v).last_modified,
         (p.v).storage_class, (p.v).tags, coalesce(antipode.is_locked(p.v, false), false),
         (p.v).is_latest AND NOT EXISTS (
           SELECT FROM antipode.version o
           WHERE o.bucket_id = p_bucket AND o.key = (p.v).key AND o.seq < (p.v).seq),
         (s.v).last_modified,
         CASE WHEN p_keep > 0 AND NOT (p.v).is_latest
              THEN antipode.newer_noncurrent(p_bucket, (p.v).key, (p.v).seq, p_keep) ELSE 0 END,
         antipode.lifecycle_mark(p.v, s.v), clock_timestamp()
  FROM page p
  LEFT JOIN LATERAL (
    SELECT n AS v FROM antipode.version n
    WHERE NOT (p.v).is_latest AND n.bucket_id = p_bucket AND n.key = (p.v).key AND n.seq > (p.v).seq
    ORDER BY n.seq LIMIT 1
  ) s ON true
  ORDER BY (p.v).key, (p.v).seq DESC;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.list_blobs(p_after uuid, p_max integer, p_pair text, p_scan integer)
 RETURNS TABLE(id uuid, pair text, size bigint, root bytea, seen bigint, reached uuid)
 LANGUAGE sql
 STABLE
AS $function$
  WITH page AS MATERIALIZED (
    SELECT b.id, b.pair, b.size, b.root, b.state FROM antipode.blob b
    WHERE b.id > p_after ORDER BY b.id LIMIT p_scan
  ), wanted AS (
    SELECT p.id, p.pair, p.size, p.root FROM page p
    WHERE p.state = 'live' AND (p_pair IS NULL OR p.pair = p_pair) ORDER BY p.id LIMIT p_max
  ), ending AS (
    SELECT count(*) AS seen, (SELECT l.id FROM page l ORDER BY l.id DESC LIMIT 1) AS reached FROM page p
  )
  SELECT w.id, w.pair, w.size, w.root, e.seen, e.reached FROM ending e LEFT JOIN wanted w ON true ORDER BY w.id
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.list_bucket_blobs(p_bucket bigint, p_after uuid, p_max integer, p_pair text)
 RETURNS TABLE(id uuid, pair text, size bigint, root bytea)
 LANGUAGE sql
 STABLE
 SET enable_hashjoin TO 'on'
 SET enable_mergejoin TO 'on'
 SET enable_seqscan TO 'on'
AS $function$
  WITH named AS (
    SELECT v.blob_id FROM antipode.version v WHERE v.bucket_id = p_bucket AND v.blob_id > p_after
    UNION
    SELECT m.blob_id FROM antipode.version v JOIN antipode.manifest_part m ON m.manifest_id = v.manifest_id
    WHERE v.bucket_id = p_bucket AND m.blob_id > p_after
    UNION
    SELECT t.blob_id FROM antipode.upload u JOIN antipode.upload_part t ON t.upload_id = u.upload_id
    WHERE u.bucket_id = p_bucket AND t.blob_id > p_after
  )
  SELECT b.id, b.pair, b.size, b.root FROM named n JOIN antipode.blob b ON b.id = n.blob_id
  WHERE b.state = 'live' AND (p_pair IS NULL OR b.pair = p_pair)
  ORDER BY b.id LIMIT p_max
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.list_objects(p_bucket bigint, p_prefix text, p_delimiter text, p_after text, p_max integer)
 RETURNS TABLE(name text, is_prefix boolean, seq bigint)
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET jit TO 'off'
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.list_uploads(p_bucket bigint, p_prefix text, p_delimiter text, p_after text, p_upload text, p_max integer)
 RETURNS TABLE(name text, is_prefix boolean, upload_id text)
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET jit TO 'off'
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.list_versions(p_bucket bigint, p_prefix text, p_delimiter text, p_after text, p_seq bigint, p_max integer)
 RETURNS TABLE(name text, is_prefix boolean, seq bigint)
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET jit TO 'off'
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.live_blobs(p_ids uuid[])
 RETURNS SETOF uuid
 LANGUAGE sql
 STABLE
AS $function$
  SELECT b.id FROM antipode.blob b WHERE b.id = ANY (p_ids) AND b.state = 'live'
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.lock_bucket(p_bucket bigint)
 RETURNS void
 LANGUAGE sql
AS $function$ SELECT pg_advisory_xact_lock(1, (p_bucket % 2147483647)::integer) $function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.lock_bucket_shared(p_bucket bigint)
 RETURNS void
 LANGUAGE sql
AS $function$ SELECT pg_advisory_xact_lock_shared(1, (p_bucket % 2147483647)::integer) $function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.lock_content(plan antipode.decision[])
 RETURNS antipode.decision[]
 LANGUAGE plpgsql
AS $function$
DECLARE
  i integer;
BEGIN
  PERFORM 1 FROM antipode.manifest m
  WHERE m.id = ANY (ARRAY(
    SELECT p.old_manifest FROM unnest(plan) p WHERE p.reason IS NULL AND p.old_manifest IS NOT NULL
    UNION SELECT (p.doc->>'manifest')::bigint FROM unnest(plan) p
    WHERE p.reason IS NULL AND p.doc->>'content' = 'share-manifest'))
  ORDER BY m.id FOR UPDATE;
  PERFORM 1 FROM antipode.blob b
  WHERE b.id = ANY (ARRAY(
    SELECT p.old_blob FROM unnest(plan) p WHERE p.reason IS NULL AND p.old_blob IS NOT NULL
    UNION SELECT (p.doc->'blob'->>'id')::uuid FROM unnest(plan) p
    WHERE p.reason IS NULL AND p.doc->>'content' = 'share-blob'))
  ORDER BY b.id FOR UPDATE;
  FOR i IN 1 .. cardinality(plan) LOOP
    IF plan[i].reason IS NULL AND plan[i].doc->>'content' = 'share-blob'
       AND NOT EXISTS (SELECT FROM antipode.blob b WHERE b.id = (plan[i].doc->'blob'->>'id')::uuid AND b.state = 'live')
       OR plan[i].reason IS NULL AND plan[i].doc->>'content' = 'share-manifest'
       AND NOT EXISTS (SELECT FROM antipode.manifest m WHERE m.id = (plan[i].doc->>'manifest')::bigint AND m.ref_count > 0)
    THEN
      plan[i].reason := 'blob-dying';
    END IF;
  END LOOP;
  RETURN plan;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.lock_keys(ops jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM antipode.lock_bucket_shared(b.id)
  FROM (SELECT DISTINCT (o->>'bucket')::bigint AS id FROM jsonb_array_elements(ops) o ORDER BY 1) b;
  PERFORM pg_advisory_xact_lock(k.h)
  FROM (
    SELECT DISTINCT hashtextextended(o->>'key', (o->>'bucket')::bigint) AS h FROM jsonb_array_elements(ops) o ORDER BY 1
  ) k;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.lock_quotas(buckets bigint[])
 RETURNS antipode.quota[]
 LANGUAGE plpgsql
 SET plan_cache_mode TO 'force_generic_plan'
AS $function$
DECLARE
  names text[] := ARRAY(
    SELECT s.subject
    FROM antipode.bucket b CROSS JOIN LATERAL (VALUES ('bucket/' || b.id), ('account/' || b.owner)) s(subject)
    WHERE b.id = ANY (buckets) AND b.counted);
BEGIN
  IF cardinality(names) = 0 THEN RETURN '{}'; END IF;
  RETURN ARRAY(SELECT q FROM antipode.quota q WHERE q.subject = ANY (names) ORDER BY q.subject FOR UPDATE);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.lock_sql_changes(p_tx xid8, p_rows bigint)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  IF p_rows > 1000 THEN
    PERFORM antipode.lock_bucket(b.bucket)
    FROM (SELECT DISTINCT c.bucket FROM antipode.sql_change c WHERE c.tx = p_tx ORDER BY 1) b;
  ELSE
    PERFORM antipode.lock_keys((
      SELECT jsonb_agg(jsonb_build_object('bucket', c.bucket, 'key', c.key)) FROM antipode.sql_change c WHERE c.tx = p_tx));
  END IF;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.lock_upload(p_upload text)
 RETURNS void
 LANGUAGE sql
AS $function$ SELECT pg_advisory_xact_lock(2, hashtext(p_upload)) $function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.marker_seq(p_bucket bigint, p_key text, p_version_id text, p_seq bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.may_bypass_governance()
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.may_retain(v antipode.version, retention jsonb, bypass boolean)
 RETURNS boolean
 LANGUAGE sql
 STABLE
AS $function$
  SELECT coalesce(v.retention_until <= clock_timestamp(), true)
      OR v.retention_mode = 'GOVERNANCE' AND bypass
      OR coalesce(retention->>'mode' = v.retention_mode
                  AND (retention->>'until')::timestamptz >= v.retention_until, false)
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.move_blobs(moves jsonb)
 RETURNS SETOF uuid
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_moved uuid[];
BEGIN
  PERFORM 1 FROM antipode.blob b
  WHERE b.id = ANY (ARRAY(SELECT (x->>'blob')::uuid FROM jsonb_array_elements(moves) x)) ORDER BY b.id FOR UPDATE;
  WITH moved AS (
    UPDATE antipode.blob b SET pair = x->>'to'
    FROM jsonb_array_elements(moves) x
    WHERE b.id = (x->>'blob')::uuid AND b.state = 'live' AND b.pair = x->>'from'
      AND NOT EXISTS (SELECT FROM antipode.pair_epoch e WHERE e.pair = x->>'to' AND e.epoch > (x->>'toEpoch')::bigint)
    RETURNING b.id
  )
  SELECT coalesce(array_agg(m.id), '{}') INTO v_moved FROM moved m;
  DELETE FROM antipode.repair r WHERE r.blob_id = ANY (v_moved);
  -- Who is of the map now, is off it no longer; the others are not wanted.
  DELETE FROM antipode.off_map_replica o USING jsonb_array_elements(moves) x
  WHERE o.blob_id = (x->>'blob')::uuid AND o.blob_id = ANY (v_moved) AND x->'members' ? o.member;
  UPDATE antipode.off_map_replica o SET home = NULL, surplus = true WHERE o.blob_id = ANY (v_moved);
  RETURN QUERY SELECT m.id FROM unnest(v_moved) m(id);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.move_blobs_unless(moves jsonb)
 RETURNS SETOF uuid
 LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(8, 0);
  IF EXISTS (SELECT FROM antipode.bucket_move m WHERE m.state <> 'ended') THEN RETURN; END IF;
  RETURN QUERY SELECT b.id FROM antipode.move_blobs(moves) b(id);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.new_version_id(seq bigint)
 RETURNS text
 LANGUAGE sql
AS $function$
  SELECT lpad(to_hex(seq), 16, '0') || substr(replace(gen_random_uuid()::text, '-', ''), 1, 12)
      || substr(gen_random_uuid()::text, 1, 4)
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.newer_noncurrent(p_bucket bigint, p_key text, p_seq bigint, p_max integer)
 RETURNS integer
 LANGUAGE sql
 STABLE
AS $function$
  SELECT count(*)::integer FROM (
    SELECT FROM antipode.version t
    WHERE t.bucket_id = p_bucket AND t.key = p_key AND t.seq > p_seq AND NOT t.is_latest AND NOT t.is_delete_marker
    ORDER BY t.seq LIMIT p_max) n
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.next_notification(p_target text, p_bucket_id bigint, p_key text)
 RETURNS void
 LANGUAGE sql
AS $function$
  UPDATE antipode.notification u SET due_at = clock_timestamp()
  WHERE u.due_at IS NULL AND u.id = (
    SELECT n.id FROM antipode.notification n
    WHERE n.target = p_target AND n.bucket_id = p_bucket_id AND n.key = p_key
    ORDER BY n.target, n.bucket_id, n.key, n.id LIMIT 1)
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.note_notification_buckets()
 RETURNS void
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.off_map(p_blob uuid)
 RETURNS text[]
 LANGUAGE sql
 STABLE
AS $function$
  SELECT ARRAY(SELECT ARRAY[r.member, r.home] FROM antipode.off_map_replica r
               WHERE r.blob_id = p_blob AND NOT r.surplus ORDER BY r.home NULLS LAST, r.member)
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.open_notifications()
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  IF EXISTS (SELECT FROM antipode.outbox_reader r WHERE r.name = 'notifications') THEN RETURN; END IF;
  PERFORM antipode.open_reader('notifications', 'now', NULL, NULL);
  PERFORM antipode.note_notification_buckets();
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.open_reader(p_name text, p_from text, p_tx xid8, p_id bigint)
 RETURNS SETOF antipode.outbox_reader
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.park_blobs(docs jsonb[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  INSERT INTO antipode.off_map_replica (blob_id, member, home)
  SELECT (d->'blob'->>'id')::uuid, m.member, d->'blob'->'absent'->>(m.ord - 1)::integer
  FROM unnest(docs) d
  CROSS JOIN LATERAL jsonb_array_elements_text(d->'blob'->'offMap') WITH ORDINALITY m(member, ord)
  ON CONFLICT DO NOTHING;
  INSERT INTO antipode.repair (blob_id, member, reason, found_by)
  SELECT (d->'blob'->>'id')::uuid, r.member, r.reason, 'write'
  FROM unnest(docs) d
  CROSS JOIN LATERAL (
    SELECT a.member, 'handoff' AS reason FROM jsonb_array_elements_text(d->'blob'->'absent') a(member)
    UNION ALL
    SELECT l.member, 'lag' FROM jsonb_array_elements_text(d->'lagging') l(member)
  ) r
  ON CONFLICT DO NOTHING;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.place_bucket(m antipode.bucket_move)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM set_config('antipode.bucket_change', 'bucket-arrived', true);
  INSERT INTO antipode.bucket
  SELECT r.* FROM jsonb_populate_record(NULL::antipode.bucket, m.bucket || jsonb_build_object(
    'counted', EXISTS (SELECT FROM antipode.quota q
                       WHERE q.subject IN ('bucket/' || m.bucket_id, 'account/' || (m.bucket->>'owner'))))) r;
  INSERT INTO antipode.usage (bucket_id, versions, bytes, upload_bytes)
  VALUES (m.bucket_id, m.versions, m.bytes, m.upload_bytes);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.place_of(p_bucket bigint)
 RETURNS text
 LANGUAGE sql
 STABLE
AS $function$
  SELECT CASE
    WHEN EXISTS (SELECT FROM antipode.bucket b WHERE b.id = p_bucket) THEN 'here'
    ELSE (SELECT CASE m.state WHEN 'frozen' THEN 'frozen' WHEN 'gone' THEN 'gone' WHEN 'ready' THEN 'coming' END
          FROM antipode.bucket_move m WHERE m.bucket_id = p_bucket) END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.postpone_repairs(failed jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM 1 FROM antipode.blob b
  WHERE b.id = ANY (ARRAY(SELECT (x->>'blob')::uuid FROM jsonb_array_elements(failed) x)) ORDER BY b.id FOR NO KEY UPDATE;
  UPDATE antipode.repair r
  SET next_at = clock_timestamp() + (x->>'retryMs')::double precision * interval '1 millisecond',
      last_error = x->>'error', reason = coalesce(x->>'reason', r.reason)
  FROM jsonb_array_elements(failed) x
  WHERE r.blob_id = (x->>'blob')::uuid AND r.member = x->>'member';
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.purge_bucket(p_bucket bigint, p_epoch bigint, p_turn bigint, p_max integer)
 RETURNS text
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  m antipode.bucket_move := antipode.enter_move(p_bucket, p_epoch, p_turn);
  v_old antipode.version[];
  v_blobs uuid[];
  v_uploads text[];
BEGIN
  IF m.bucket_id IS NULL THEN RETURN 'stale'; END IF;
  IF m.state = 'ended' THEN RETURN 'done'; END IF;
  IF m.state NOT IN ('gone', 'incoming') OR EXISTS (SELECT FROM antipode.bucket b WHERE b.id = p_bucket) THEN RETURN 'stale'; END IF;
  WITH gone AS (
    DELETE FROM antipode.version t
    USING (SELECT k.key, k.seq FROM antipode.version k WHERE k.bucket_id = p_bucket ORDER BY k.key, k.seq DESC LIMIT p_max) k
    WHERE t.bucket_id = p_bucket AND t.key = k.key AND t.seq = k.seq RETURNING t AS v
  )
  SELECT coalesce(array_agg(g.v), '{}') INTO v_old FROM gone g;
  v_uploads := ARRAY(SELECT u.upload_id FROM antipode.upload u WHERE u.bucket_id = p_bucket ORDER BY u.upload_id LIMIT 100);
  WITH gone AS (DELETE FROM antipode.upload_part p WHERE p.upload_id = ANY (v_uploads) RETURNING p.blob_id)
  SELECT coalesce(array_agg(g.blob_id), '{}') INTO v_blobs FROM gone g WHERE g.blob_id IS NOT NULL;
  DELETE FROM antipode.upload u WHERE u.upload_id = ANY (v_uploads);
  PERFORM antipode.release_content(
    v_blobs || ARRAY(SELECT r.blob_id FROM unnest(v_old) r WHERE r.blob_id IS NOT NULL),
    ARRAY(SELECT r.manifest_id FROM unnest(v_old) r WHERE r.manifest_id IS NOT NULL));
  IF cardinality(v_old) > 0 OR cardinality(v_uploads) > 0 THEN RETURN 'more'; END IF;
  DELETE FROM antipode.usage u WHERE u.bucket_id = p_bucket;
  DELETE FROM antipode.usage_delta d WHERE d.bucket_id = p_bucket;
  UPDATE antipode.bucket_move o
  SET state = 'ended', bucket = NULL, quota = NULL, versions = 0, bytes = 0, upload_bytes = 0 WHERE o.bucket_id = p_bucket;
  RETURN 'done';
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.put_part(p jsonb, intent_ms bigint)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  now timestamptz;
  v_upload text := p->>'uploadId';
  v_number integer := (p->>'partNumber')::integer;
  v_blob uuid := (p->'blob'->>'id')::uuid;
  v_old uuid;
  v_old_size bigint;
BEGIN
  PERFORM antipode.lock_bucket_shared((p->>'bucket')::bigint);
  PERFORM pg_advisory_xact_lock_shared(2, hashtext(v_upload));
  PERFORM pg_advisory_xact_lock(hashtextextended(v_upload, v_number));
  IF NOT EXISTS (SELECT FROM antipode.bucket b WHERE b.id = (p->>'bucket')::bigint) THEN
    RETURN jsonb_build_object('reason', 'bucket-gone');
  END IF;
  IF NOT EXISTS (SELECT FROM antipode.upload u WHERE u.upload_id = v_upload AND u.bucket_id = (p->>'bucket')::bigint
                 AND u.state = 'open') THEN
    RETURN jsonb_build_object('reason', 'no-such-upload');
  END IF;
  IF (p->>'intentAt')::bigint + intent_ms < extract(epoch FROM clock_timestamp()) * 1000 THEN
    RETURN jsonb_build_object('reason', 'intent-expired');
  END IF;
  IF (p->>'epoch')::bigint
     < (SELECT e.epoch FROM antipode.pair_epoch e WHERE e.pair = p->'blob'->>'pair') THEN
    RETURN jsonb_build_object('reason', 'stale-epoch');
  END IF;
  SELECT o.blob_id, o.size INTO v_old, v_old_size
  FROM antipode.upload_part o WHERE o.upload_id = v_upload AND o.part_number = v_number;
  PERFORM antipode.lock_quotas(ARRAY[(p->>'bucket')::bigint]);
  PERFORM 1 FROM antipode.blob b WHERE b.id IN (v_old, v_blob) ORDER BY b.id FOR UPDATE;
  IF p->>'content' = 'share-blob'
     AND NOT EXISTS (SELECT FROM antipode.blob b WHERE b.id = v_blob AND b.state = 'live') THEN
    RETURN jsonb_build_object('reason', 'blob-dying');
  END IF;
  IF NOT antipode.charge_parts((p->>'bucket')::bigint, (p->>'size')::bigint - coalesce(v_old_size, 0)) THEN
    RETURN jsonb_build_object('reason', 'over-quota');
  END IF;
  IF p->>'content' = 'share-blob' THEN
    UPDATE antipode.blob b SET ref_count = b.ref_count + 1 WHERE b.id = v_blob;
  ELSIF v_blob IS NOT NULL THEN
    INSERT INTO antipode.blob (id, pair, size, root)
    VALUES (v_blob, p->'blob'->>'pair', (p->'blob'->>'size')::bigint, decode(p->'blob'->>'root', 'hex'));
    IF p->'blob' ? 'offMap' OR p ? 'lagging' THEN PERFORM antipode.park_blobs(ARRAY[p]); END IF;
  END IF;
  now := date_trunc('milliseconds', clock_timestamp());
  INSERT INTO antipode.upload_part (upload_id, part_number, size, etag, checksum, blob_id, last_modified, write_id)
  VALUES (v_upload, v_number, (p->>'size')::bigint, p->>'etag', p->>'checksum', v_blob, now, (p->>'writeId')::uuid)
  ON CONFLICT (upload_id, part_number) DO UPDATE
  SET size = excluded.size, etag = excluded.etag, checksum = excluded.checksum, blob_id = excluded.blob_id,
      last_modified = excluded.last_modified, write_id = excluded.write_id;
  IF v_old IS NOT NULL THEN PERFORM antipode.release_blobs(ARRAY[v_old]); END IF;
  RETURN jsonb_build_object('lastModifiedMs', (extract(epoch FROM now) * 1000)::bigint);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.queue_notifications(p_from_tx xid8, p_from_id bigint, p_tx xid8, p_id bigint, p_buckets jsonb, p_notifications jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.raise_pair_epochs(epochs jsonb)
 RETURNS void
 LANGUAGE sql
AS $function$
  INSERT INTO antipode.pair_epoch AS e (pair, epoch)
  SELECT n.pair, n.epoch::bigint FROM jsonb_each_text(epochs) n(pair, epoch) ORDER BY n.pair
  ON CONFLICT (pair) DO UPDATE SET epoch = excluded.epoch WHERE e.epoch < excluded.epoch
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.readable_buckets(p_ids bigint[])
 RETURNS SETOF antipode.bucket
 LANGUAGE plpgsql
 STABLE
AS $function$
BEGIN
  RETURN QUERY SELECT b.* FROM antipode.bucket b WHERE b.id = ANY (p_ids);
  RETURN QUERY
  SELECT r.* FROM antipode.bucket_move m CROSS JOIN LATERAL jsonb_populate_record(NULL::antipode.bucket, m.bucket) r
  WHERE m.bucket_id = ANY (p_ids) AND m.state = 'frozen';
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.record_bucket_change()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.record_changes(plan antipode.decision[], now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
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
  INSERT INTO antipode.outbox (event, bucket_id, key, kind, payload, at, cause)
  SELECT (p.doc->>'writeId')::uuid, p.bucket_id, p.key,
         CASE WHEN p.action = 'remove' THEN 'delete'
              WHEN p.action = 'amend' THEN CASE WHEN p.doc ? 'acl' THEN 'acl' WHEN p.doc ? 'encryption' THEN 'encryption'
                                                ELSE 'storage-class' END
              WHEN p.action NOT IN ('insert', 'replace') THEN p.action
              WHEN p.marker THEN 'delete-marker' ELSE 'put' END,
         jsonb_build_object('result', antipode.result_of(p, now), 'size', p.doc->'size', 'etag', p.doc->'etag'), now,
         nullif(p.doc->'cause', 'null')
  FROM unnest(plan) p WHERE p.reason IS NULL AND p.action <> 'none'
  ORDER BY p.ord;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.record_off_map(p_blob uuid, p_member text, p_pair_members text[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM 1 FROM antipode.blob b WHERE b.id = p_blob AND b.state = 'live' FOR NO KEY UPDATE;
  IF NOT FOUND OR p_member = ANY (p_pair_members) THEN RETURN; END IF;
  INSERT INTO antipode.off_map_replica AS o (blob_id, member) VALUES (p_blob, p_member)
  ON CONFLICT (blob_id, member) DO UPDATE SET surplus = false WHERE o.surplus;
  INSERT INTO antipode.repair (blob_id, member, reason, found_by)
  SELECT p_blob, m.member, 'missing', 'search' FROM unnest(p_pair_members) m(member)
  ON CONFLICT DO NOTHING;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.refuse_sql_change(reason text, op jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.refuse_too_many()
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  RAISE EXCEPTION 'one transaction changes at most % rows of the catalog', antipode.sql_rows_max()
    USING ERRCODE = 'program_limit_exceeded', HINT = 'Nothing was changed. Change fewer at once, again and again: ... AND key < ..., or key IN (SELECT ... LIMIT ...).';
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.release_blobs(ids uuid[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  IF cardinality(ids) = 0 THEN RETURN; END IF;
  PERFORM 1 FROM antipode.blob b WHERE b.id = ANY (ids) ORDER BY b.id FOR UPDATE;
  UPDATE antipode.blob b
  SET ref_count = b.ref_count - d.n,
      state = CASE WHEN b.ref_count = d.n THEN 'dying' ELSE 'live' END,
      dying_since = CASE WHEN b.ref_count = d.n THEN clock_timestamp() END
  FROM (SELECT i.id, count(*)::integer AS n FROM unnest(ids) i(id) GROUP BY i.id) d
  WHERE b.id = d.id;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.release_content(p_blobs uuid[], p_manifests bigint[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM 1 FROM antipode.manifest m WHERE m.id = ANY (p_manifests) ORDER BY m.id FOR UPDATE;
  UPDATE antipode.manifest m
  SET ref_count = m.ref_count - n.n, dying_since = CASE WHEN m.ref_count = n.n THEN clock_timestamp() END
  FROM (SELECT i.id, count(*)::integer AS n FROM unnest(p_manifests) i(id) GROUP BY i.id) n
  WHERE m.id = n.id;
  PERFORM antipode.release_blobs(p_blobs);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.release_share(m antipode.bucket_move)
 RETURNS void
 LANGUAGE sql
AS $function$
  UPDATE antipode.quota q
  SET bytes = q.bytes - m.bytes - m.upload_bytes, objects = q.objects - m.versions,
      bytes_max = greatest(0, q.bytes_max - m.bytes - m.upload_bytes), objects_max = greatest(0, q.objects_max - m.versions)
  WHERE q.subject = 'account/' || m.owner
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.replace_versions(plan antipode.decision[], now timestamp with time zone)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
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
      retention_mode = p.doc->'retention'->>'mode', retention_until = antipode.retained_until(p.doc->'retention', now),
      legal_hold = (p.doc->>'legalHold')::boolean,
      system_metadata = coalesce(p.doc->'system', '{}'), user_metadata = coalesce(p.doc->'user', '{}'),
      tags = coalesce(p.doc->'tags', '{}'),
      acl = nullif(p.doc->'acl', 'null'), encryption = nullif(p.doc->'encryption', 'null')
  FROM unnest(plan) p
  WHERE p.reason IS NULL AND p.action = 'replace'
    AND v.bucket_id = p.bucket_id AND v.key = p.key AND v.seq = p.seq;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.restore_bucket(doc jsonb)
 RETURNS void
 LANGUAGE sql
AS $function$
  INSERT INTO antipode.bucket SELECT (jsonb_populate_record(NULL::antipode.bucket, doc || '{"counted": false}')).*
  ON CONFLICT (id) DO NOTHING
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.restore_pairs(moves jsonb)
 RETURNS void
 LANGUAGE sql
AS $function$
  UPDATE antipode.blob b SET pair = m->>'pair' FROM jsonb_array_elements(moves) m WHERE b.id = (m->>'id')::uuid
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.restore_versions(docs jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
DECLARE
  d jsonb;
  v antipode.version;
  v_latest bigint;
BEGIN
  FOR d IN SELECT x FROM jsonb_array_elements(docs) x LOOP
    v := jsonb_populate_record(NULL::antipode.version, (d->'version') || '{"is_latest": false}');
    CONTINUE WHEN EXISTS (
      SELECT FROM antipode.version o WHERE o.bucket_id = v.bucket_id AND o.key = v.key AND o.seq = v.seq);
    INSERT INTO antipode.blob AS b (id, pair, size, root, encryption_key_id, ref_count)
    SELECT r.id, r.pair, r.size, r.root, r.encryption_key_id, 1
    FROM jsonb_array_elements(d->'blobs') x, jsonb_populate_record(NULL::antipode.blob, x) r
    WHERE v.blob_id IS NOT NULL
    ON CONFLICT (id) DO UPDATE SET ref_count = b.ref_count + 1;
    IF v.manifest_id IS NOT NULL THEN
      UPDATE antipode.manifest m SET ref_count = m.ref_count + 1 WHERE m.id = v.manifest_id;
      IF NOT FOUND THEN
        INSERT INTO antipode.manifest (id, size, part_count)
        SELECT m.id, m.size, m.part_count FROM jsonb_populate_record(NULL::antipode.manifest, d->'manifest') m;
        INSERT INTO antipode.manifest_part
        SELECT (jsonb_populate_record(NULL::antipode.manifest_part, x || jsonb_build_object('manifest_id', v.manifest_id))).*
        FROM jsonb_array_elements(d->'parts') x;
        INSERT INTO antipode.blob AS b (id, pair, size, root, encryption_key_id, ref_count)
        SELECT r.id, r.pair, r.size, r.root, r.encryption_key_id, p.refs
        FROM jsonb_array_elements(d->'blobs') x, jsonb_populate_record(NULL::antipode.blob, x) r
        JOIN (SELECT q.blob_id, count(*)::integer AS refs FROM antipode.manifest_part q
              WHERE q.manifest_id = v.manifest_id AND q.blob_id IS NOT NULL GROUP BY q.blob_id) p ON p.blob_id = r.id
        ON CONFLICT (id) DO UPDATE SET ref_count = b.ref_count + excluded.ref_count;
      END IF;
    END IF;
    SELECT o.seq INTO v_latest FROM antipode.version o
    WHERE o.bucket_id = v.bucket_id AND o.key = v.key ORDER BY o.seq DESC LIMIT 1;
    v.is_latest := v_latest IS NULL OR v_latest < v.seq;
    IF v.is_latest AND v_latest IS NOT NULL THEN
      UPDATE antipode.version o SET is_latest = false
      WHERE o.bucket_id = v.bucket_id AND o.key = v.key AND o.seq = v_latest;
    END IF;
    INSERT INTO antipode.version SELECT v.*;
    IF NOT v.is_delete_marker THEN
      INSERT INTO antipode.usage AS u (bucket_id, versions, bytes) VALUES (v.bucket_id, 1, v.size)
      ON CONFLICT (bucket_id) DO UPDATE SET versions = u.versions + 1, bytes = u.bytes + excluded.bytes;
    END IF;
    PERFORM setval('antipode.version_seq', greatest(v.seq, coalesce(pg_sequence_last_value('antipode.version_seq'::regclass), 1)));
    IF v.manifest_id IS NOT NULL THEN
      PERFORM setval('antipode.manifest_id_seq',
                     greatest(v.manifest_id, coalesce(pg_sequence_last_value('antipode.manifest_id_seq'::regclass), 1)));
    END IF;
  END LOOP;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.result_of(p antipode.decision, now timestamp with time zone)
 RETURNS jsonb
 LANGUAGE sql
AS $function$
  SELECT CASE WHEN p.reason IS NOT NULL THEN jsonb_build_object('reason', p.reason)
    ELSE jsonb_build_object(
      'versionId', p.version_id,
      'marker', p.marker,
      'action', p.action,
      'lastModifiedMs', (extract(epoch FROM now) * 1000)::bigint) END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.retained_until(retention jsonb, now timestamp with time zone)
 RETURNS timestamp with time zone
 LANGUAGE sql
 STABLE
AS $function$
  SELECT CASE
    WHEN retention ? 'days' THEN now + make_interval(hours => 24 * (retention->>'days')::integer)
    WHEN retention ? 'years'
      THEN (now AT TIME ZONE 'UTC' + make_interval(years => (retention->>'years')::integer)) AT TIME ZONE 'UTC'
    ELSE (retention->>'until')::timestamptz
  END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.retire_versions(plan antipode.decision[])
 RETURNS void
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.save_lifecycle(p_bucket bigint, p_turn bigint, p_lease_ms bigint, p jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_next timestamptz := to_timestamp((p->>'endedAndNextAtMs')::double precision / 1000);
BEGIN
  UPDATE antipode.lifecycle_run o
  SET leased_until = v_now + p_lease_ms * interval '1 millisecond', touched_at = v_now,
      position = CASE WHEN v_next IS NULL THEN nullif(p->'position', 'null') END,
      under_way = v_next IS NULL,
      finished_at = CASE WHEN v_next IS NULL THEN o.finished_at ELSE v_now END,
      next_at = coalesce(v_next, o.next_at),
      passes = o.passes + CASE WHEN v_next IS NULL THEN 0 ELSE 1 END,
      scanned = o.scanned + coalesce((p->'counts'->>'scanned')::bigint, 0),
      expired = o.expired + coalesce((p->'counts'->>'expired')::bigint, 0),
      removed = o.removed + coalesce((p->'counts'->>'removed')::bigint, 0),
      transitioned = o.transitioned + coalesce((p->'counts'->>'transitioned')::bigint, 0),
      aborted = o.aborted + coalesce((p->'counts'->>'aborted')::bigint, 0),
      kept = o.kept + coalesce((p->'counts'->>'kept')::bigint, 0),
      last_error = p->>'error'
  WHERE o.bucket_id = p_bucket AND o.turn = p_turn;
  RETURN FOUND;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.seal_bucket(p_bucket bigint, p_epoch bigint, p_turn bigint, what jsonb)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
DECLARE
  m antipode.bucket_move;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(5, hashtext(what->'bucket'->>'owner'));
  PERFORM antipode.lock_bucket(p_bucket);
  m := antipode.enter_move(p_bucket, p_epoch, p_turn);
  IF m.bucket_id IS NULL OR m.role <> 'target' THEN RETURN 'stale'; END IF;
  IF m.state <> 'incoming' THEN RETURN 'done'; END IF;
  IF (m.versions, m.bytes, m.upload_bytes)
     IS DISTINCT FROM ((what->>'versions')::bigint, (what->>'bytes')::bigint, (what->>'uploadBytes')::bigint) THEN
    RETURN 'differs';
  END IF;
  UPDATE antipode.bucket_move o
  SET state = 'ready', owner = what->'bucket'->>'owner', bucket = what->'bucket',
      quota = nullif(what->'quota', 'null'), seq = (what->>'seq')::bigint
  WHERE o.bucket_id = p_bucket RETURNING o.* INTO m;
  UPDATE antipode.quota q SET bytes = q.bytes + m.bytes + m.upload_bytes, objects = q.objects + m.versions
  WHERE q.subject = 'account/' || m.owner;
  RETURN 'done';
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.self_copy(p_bucket bigint, p_key text, p_seq bigint, p_write uuid)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.set_account_quota(p_account text, change jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM pg_advisory_xact_lock(5, hashtext(p_account));
  PERFORM antipode.lock_bucket(o.id)
  FROM (SELECT b.id FROM antipode.bucket b WHERE b.owner = p_account ORDER BY b.id) o;
  RETURN antipode.change_quota(
    'account/' || p_account, ARRAY(SELECT b.id FROM antipode.bucket b WHERE b.owner = p_account), change);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.set_bucket_quota(p_id bigint, change jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM antipode.lock_bucket(p_id);
  IF NOT EXISTS (SELECT FROM antipode.bucket b WHERE b.id = p_id) THEN
    RETURN jsonb_build_object('reason', 'no-such-bucket');
  END IF;
  RETURN antipode.change_quota('bucket/' || p_id, ARRAY[p_id], change);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.set_bucket_setting(p_id bigint, p_name text, p_value jsonb)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM antipode.lock_bucket(p_id);
  UPDATE antipode.bucket b
  SET settings = CASE WHEN p_value IS NULL THEN b.settings - p_name
                      ELSE b.settings || jsonb_build_object(p_name, p_value) END
  WHERE b.id = p_id;
  RETURN CASE WHEN FOUND THEN 'done' ELSE 'no-such-bucket' END;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.set_object_lock(p_id bigint, p_default jsonb)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM antipode.lock_bucket(p_id);
  IF EXISTS (SELECT FROM antipode.bucket b WHERE b.id = p_id AND b.versioning <> 'enabled') THEN
    RETURN 'not-versioned';
  END IF;
  UPDATE antipode.bucket b
  SET object_lock = true,
      settings = CASE WHEN p_default IS NULL THEN b.settings - 'defaultRetention'
                      ELSE b.settings || jsonb_build_object('defaultRetention', p_default) END
  WHERE b.id = p_id;
  RETURN CASE WHEN FOUND THEN 'done' ELSE 'no-such-bucket' END;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.set_share(p_account text, p_deal bigint, share jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
DECLARE
  v antipode.quota;
BEGIN
  IF share->>'bytes' IS NULL AND share->>'objects' IS NULL THEN
    PERFORM pg_advisory_xact_lock(5, hashtext(p_account));
    SELECT * INTO v FROM antipode.quota q WHERE q.subject = 'account/' || p_account;
    IF v.deal > p_deal THEN RETURN false; END IF;
    PERFORM antipode.set_account_quota(p_account, jsonb_build_object('bytes', NULL, 'objects', NULL));
    RETURN true;
  END IF;
  UPDATE antipode.quota q SET bytes_max = (share->>'bytes')::bigint, objects_max = (share->>'objects')::bigint
  WHERE q.subject = 'account/' || p_account AND q.deal = p_deal;
  RETURN FOUND;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.set_versioning(p_id bigint, p_state text)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM antipode.lock_bucket(p_id);
  IF EXISTS (SELECT FROM antipode.bucket b WHERE b.id = p_id AND b.object_lock AND p_state <> 'enabled') THEN
    RETURN 'locked';
  END IF;
  UPDATE antipode.bucket b SET versioning = p_state WHERE b.id = p_id;
  RETURN CASE WHEN FOUND THEN 'done' ELSE 'no-such-bucket' END;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.settle_notifications(p_target text, p_owner text, p_delivered bigint[], p_failed jsonb, p_dead jsonb)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.skip_notifications(p_tx xid8, p_id bigint)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM antipode.note_notification_buckets();
  RETURN antipode.advance_reader('notifications', p_tx, p_id);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.sql_rows_max()
 RETURNS integer
 LANGUAGE sql
 IMMUTABLE
AS $function$ SELECT 10000 $function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.take_dead_letters(p_target text, p_bucket text, p_event uuid, p_redeliver boolean, p_max integer)
 RETURNS integer
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.take_dying_blobs(p_max integer, p_grace_ms bigint, p_lease_ms bigint)
 RETURNS SETOF antipode.blob
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
BEGIN
  RETURN QUERY
  UPDATE antipode.blob b SET taken_at = clock_timestamp()
  FROM (
    SELECT d.id FROM antipode.blob d
    WHERE d.state = 'dying' AND d.dying_since <= clock_timestamp() - p_grace_ms * interval '1 millisecond'
      AND (d.taken_at IS NULL OR d.taken_at < clock_timestamp() - p_lease_ms * interval '1 millisecond')
    ORDER BY d.dying_since LIMIT p_max
    FOR UPDATE SKIP LOCKED
  ) t
  WHERE b.id = t.id
  RETURNING b.*;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.take_lifecycle(p_owner text, p_lease_ms bigint)
 RETURNS jsonb
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_now timestamptz := date_trunc('milliseconds', clock_timestamp());
  v_bucket antipode.bucket;
  v_rules text;
  r antipode.lifecycle_run;
BEGIN
  DELETE FROM antipode.lifecycle_run o
  WHERE NOT EXISTS (SELECT FROM antipode.bucket b WHERE b.id = o.bucket_id AND b.settings ? 'lifecycle');
  INSERT INTO antipode.lifecycle_run (bucket_id, rules)
  SELECT b.id, '' FROM antipode.bucket b
  WHERE b.settings ? 'lifecycle' AND NOT EXISTS (SELECT FROM antipode.lifecycle_run o WHERE o.bucket_id = b.id)
  ON CONFLICT (bucket_id) DO NOTHING;
  SELECT o.* INTO r FROM antipode.lifecycle_run o JOIN antipode.bucket b ON b.id = o.bucket_id
  WHERE o.leased_until <= v_now AND b.settings ? 'lifecycle'
    AND (o.next_at <= v_now OR o.rules <> md5((b.settings->'lifecycle')::text))
  ORDER BY o.touched_at, o.bucket_id LIMIT 1 FOR UPDATE OF o SKIP LOCKED;
  IF r.bucket_id IS NULL THEN RETURN NULL; END IF;
  SELECT b.* INTO v_bucket FROM antipode.bucket b WHERE b.id = r.bucket_id AND b.settings ? 'lifecycle';
  IF NOT FOUND THEN RETURN NULL; END IF;
  v_rules := md5((v_bucket.settings->'lifecycle')::text);
  IF r.rules <> v_rules OR NOT r.under_way THEN
    r.position := NULL;
    r.started_at := v_now;
  END IF;
  UPDATE antipode.lifecycle_run o
  SET rules = v_rules, owner = p_owner, turn = o.turn + 1, leased_until = v_now + p_lease_ms * interval '1 millisecond',
      touched_at = v_now, under_way = true, position = r.position, started_at = r.started_at
  WHERE o.bucket_id = r.bucket_id RETURNING o.turn INTO r.turn;
  RETURN jsonb_build_object(
    'bucket', v_bucket.id, 'name', v_bucket.name, 'owner', v_bucket.owner, 'versioning', v_bucket.versioning,
    'configuration', v_bucket.settings->'lifecycle', 'rules', v_rules, 'position', r.position, 'turn', r.turn,
    'startedMs', (extract(epoch FROM r.started_at) * 1000)::bigint, 'nowMs', (extract(epoch FROM v_now) * 1000)::bigint);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.take_repairs(p_max integer, p_lease_ms bigint, p_member text, p_except text[])
 RETURNS SETOF antipode.repair
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
DECLARE
  v_now timestamptz := clock_timestamp();
  v_members text[];
  v_left integer := p_max;
  v_taken integer;
  v_picked integer;
  v_blobs uuid[];
  v_homes text[];
BEGIN
  IF p_member IS NOT NULL THEN
    v_members := ARRAY[p_member];
  ELSE
    WITH RECURSIVE who AS (
      (SELECT r.member FROM antipode.repair r ORDER BY r.member LIMIT 1)
      UNION ALL
      SELECT (SELECT r.member FROM antipode.repair r WHERE r.member > w.member ORDER BY r.member LIMIT 1)
      FROM who w WHERE w.member IS NOT NULL
    )
    SELECT array_agg(w.member) INTO v_members FROM who w WHERE w.member IS NOT NULL AND w.member <> ALL (p_except);
  END IF;
  WHILE v_left > 0 LOOP
    SELECT coalesce(array_agg(p.blob_id), '{}'), coalesce(array_agg(p.member), '{}') INTO v_blobs, v_homes
    FROM (
      SELECT d.blob_id, d.member
      FROM unnest(v_members) m(member)
      CROSS JOIN LATERAL (
        SELECT r.blob_id, r.member, r.next_at FROM antipode.repair r
        WHERE r.member = m.member AND r.next_at <= v_now ORDER BY r.next_at LIMIT v_left FOR UPDATE SKIP LOCKED
      ) d
      ORDER BY d.next_at, d.blob_id, d.member LIMIT v_left
    ) p;
    v_picked := cardinality(v_blobs);
    EXIT WHEN v_picked = 0;
    DELETE FROM antipode.repair r USING unnest(v_blobs, v_homes) p(blob_id, member)
    WHERE r.blob_id = p.blob_id AND r.member = p.member
      AND NOT EXISTS (SELECT FROM antipode.blob b WHERE b.id = p.blob_id AND b.state = 'live');
    RETURN QUERY
    UPDATE antipode.repair r
    SET attempts = r.attempts + 1, next_at = v_now + p_lease_ms * interval '1 millisecond'
    FROM unnest(v_blobs, v_homes) p(blob_id, member)
    WHERE r.blob_id = p.blob_id AND r.member = p.member
    RETURNING r.*;
    GET DIAGNOSTICS v_taken = ROW_COUNT;
    v_left := v_left - v_taken;
    -- All of them lived: what was not picked was not due, or is in another's hand.
    EXIT WHEN v_taken = v_picked;
  END LOOP;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.text_after(p text)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE STRICT
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.thaw_bucket(p_bucket bigint, p_epoch bigint, p_turn bigint)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
DECLARE
  m antipode.bucket_move;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(5, hashtext(o.owner)) FROM antipode.bucket_move o
  WHERE o.bucket_id = p_bucket AND o.state = 'frozen';
  PERFORM antipode.lock_bucket(p_bucket);
  m := antipode.enter_move(p_bucket, p_epoch, p_turn);
  IF m.bucket_id IS NULL OR m.role <> 'source' OR m.state = 'gone' THEN RETURN 'stale'; END IF;
  IF m.state = 'frozen' THEN
    PERFORM antipode.place_bucket(m);
    UPDATE antipode.bucket_move o
    SET state = 'copying', owner = NULL, bucket = NULL, quota = NULL, versions = 0, bytes = 0, upload_bytes = 0, seq = 0
    WHERE o.bucket_id = p_bucket;
  END IF;
  RETURN 'done';
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.tidy(p_keep_ms bigint, p_max integer)
 RETURNS boolean
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.trim_dead_letters(p_keep_ms bigint, p_max integer)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.trim_outbox(p_keep_ms bigint, p_wait_ms bigint, p_max integer)
 RETURNS boolean
 LANGUAGE plpgsql
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.unseal_bucket(p_bucket bigint, p_epoch bigint, p_turn bigint)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
DECLARE
  m antipode.bucket_move;
BEGIN
  PERFORM pg_advisory_xact_lock_shared(5, hashtext(o.owner)) FROM antipode.bucket_move o
  WHERE o.bucket_id = p_bucket AND o.state = 'ready';
  m := antipode.enter_move(p_bucket, p_epoch, p_turn);
  IF m.bucket_id IS NULL OR m.role <> 'target' THEN RETURN 'stale'; END IF;
  IF m.state = 'ready' THEN
    UPDATE antipode.quota q SET bytes = q.bytes - m.bytes - m.upload_bytes, objects = q.objects - m.versions
    WHERE q.subject = 'account/' || m.owner;
    UPDATE antipode.bucket_move o SET state = 'incoming', owner = NULL, bucket = NULL, quota = NULL WHERE o.bucket_id = p_bucket;
  END IF;
  RETURN 'done';
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.upload_prints(p_bucket bigint, p_after text, p_max integer)
 RETURNS TABLE(upload_id text, print text)
 LANGUAGE plpgsql
 STABLE
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET jit TO 'off'
AS $function$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT u.upload_id, md5(u.state || coalesce(u.result::text, '') || coalesce(
    (SELECT string_agg(p.part_number || ':' || p.write_id, ',' ORDER BY p.part_number)
     FROM antipode.upload_part p WHERE p.upload_id = u.upload_id), ''))
  FROM (SELECT * FROM antipode.upload t WHERE t.bucket_id = p_bucket AND t.upload_id > p_after ORDER BY t.upload_id LIMIT p_max) u
  ORDER BY u.upload_id;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.version_record(v antipode.version)
 RETURNS jsonb
 LANGUAGE sql
 STABLE
AS $function$
  WITH part AS (
    SELECT p FROM antipode.manifest_part p WHERE p.manifest_id = (v).manifest_id ORDER BY p.part_number
  ), named AS (
    SELECT (v).blob_id AS id WHERE (v).blob_id IS NOT NULL
    UNION SELECT (x.p).blob_id FROM part x WHERE (x.p).blob_id IS NOT NULL
  )
  SELECT jsonb_strip_nulls(jsonb_build_object(
    'kind', 'version',
    'version', to_jsonb(v) - 'is_latest',
    'blobs', (SELECT jsonb_agg(to_jsonb(b) - ARRAY['ref_count', 'state', 'dying_since', 'taken_at'])
              FROM named n JOIN antipode.blob b ON b.id = n.id),
    'manifest', (SELECT to_jsonb(m) - ARRAY['ref_count', 'dying_since'] FROM antipode.manifest m WHERE m.id = (v).manifest_id),
    'parts', (SELECT jsonb_agg(to_jsonb(x.p) - 'manifest_id') FROM part x)))
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.walk_start(prefix text, delimiter text, after text)
 RETURNS text
 LANGUAGE plpgsql
 IMMUTABLE STRICT
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION antipode.walk_versions(p_bucket bigint, p_key text, p_seq bigint, p_max integer)
 RETURNS SETOF antipode.version
 LANGUAGE sql
 STABLE
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
 SET jit TO 'off'
AS $function$
  SELECT * FROM (
    (SELECT v.* FROM antipode.version v
     WHERE v.bucket_id = p_bucket AND v.key = p_key AND v.seq < p_seq ORDER BY v.seq DESC LIMIT p_max)
    UNION ALL
    (SELECT v.* FROM antipode.version v
     WHERE (v.bucket_id, v.key) > (p_bucket, p_key COLLATE "C") ORDER BY v.bucket_id, v.key, v.seq DESC LIMIT p_max)
  ) w ORDER BY w.bucket_id, w.key, w.seq DESC LIMIT p_max
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION catalog.last_write(OUT changed bigint, OUT skipped bigint, OUT at timestamp with time zone)
 RETURNS record
 LANGUAGE sql
 STABLE
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
  SELECT (w.said->>'changed')::bigint, (w.said->>'skipped')::bigint, (w.said->>'at')::timestamptz
  FROM (SELECT nullif(current_setting('antipode.last_write', true), '')::jsonb AS said) w
$function$

-- GRANT EXECUTE TO antipode_app
-- GRANT EXECUTE TO antipode_reader
-- GRANT EXECUTE TO antipode_writer

CREATE OR REPLACE FUNCTION catalog.locate(bucket text, key text, version_id text DEFAULT NULL::text)
 RETURNS TABLE(version text, part_number integer, blob uuid, size bigint, pair text, member text, center text, condition text, state text, home text)
 LANGUAGE sql
 STABLE SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app
-- GRANT EXECUTE TO antipode_reader
-- GRANT EXECUTE TO antipode_writer

CREATE OR REPLACE FUNCTION catalog.prefix_usage(bucket text, delimiter text DEFAULT '/'::text, depth integer DEFAULT 1, beneath text DEFAULT ''::text)
 RETURNS TABLE(prefix text, objects bigint, bytes bigint, oldest timestamp with time zone, newest timestamp with time zone)
 LANGUAGE sql
 STABLE
AS $function$
  SELECT beneath || CASE WHEN n.levels > 0 THEN array_to_string(s.steps[1:n.levels], delimiter) || delimiter ELSE '' END,
         count(*), sum(o.size)::bigint, min(o.last_modified), max(o.last_modified)
  FROM catalog.objects o
  CROSS JOIN LATERAL (SELECT string_to_array(substr(o.key, length(beneath) + 1), delimiter) AS steps) s
  CROSS JOIN LATERAL (SELECT least(depth, cardinality(s.steps) - 1) AS levels) n
  WHERE o.bucket = prefix_usage.bucket AND starts_with(o.key, beneath)
  GROUP BY 1
$function$

-- GRANT EXECUTE TO antipode_app
-- GRANT EXECUTE TO antipode_reader
-- GRANT EXECUTE TO antipode_writer

CREATE OR REPLACE FUNCTION root.allow_return(c jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.cancel_bucket_move(p_name text)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_phase text;
BEGIN
  SELECT m.phase INTO v_phase FROM root.bucket_move m WHERE m.name = p_name AND m.phase NOT IN ('done', 'cancelled') FOR UPDATE;
  IF v_phase IS NULL THEN RETURN 'no-move'; END IF;
  IF v_phase = 'cancelling' THEN RETURN 'done'; END IF;
  IF v_phase <> 'copying' THEN RETURN 'too-late'; END IF;
  UPDATE root.bucket_move m SET phase = 'cancelling', last_error = 'cancelled by an operator', updated_at = clock_timestamp()
  WHERE m.name = p_name AND m.phase = 'copying';
  RETURN 'done';
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.change_condition(c jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.change_entity(p_account text, p_kind text, p_name text, change jsonb)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
DECLARE
  v root.entity;
BEGIN
  PERFORM pg_advisory_xact_lock(6, hashtext(p_account));
  SELECT * INTO v FROM root.entity e
  WHERE e.account_id = p_account AND e.kind = p_kind AND e.name = p_name FOR UPDATE;
  IF v.id IS NULL THEN RETURN 'no-such-entity'; END IF;
  IF change ? 'name' AND EXISTS (
    SELECT FROM root.entity o
    WHERE o.account_id = p_account AND o.kind = p_kind AND lower(o.name) = lower(change->>'name') AND o.id <> v.id
  ) THEN
    RETURN 'exists';
  END IF;
  IF change ? 'dropPolicy' THEN
    IF NOT v.policies ? (change->>'dropPolicy') THEN RETURN 'no-such-policy'; END IF;
    v.policies := v.policies - (change->>'dropPolicy');
  END IF;
  IF change ? 'putPolicy' THEN
    v.policies := v.policies || jsonb_build_object(change#>>'{putPolicy,name}', change#>'{putPolicy,text}');
    IF (SELECT sum(length(regexp_replace(p.value, '\s', '', 'g'))) FROM jsonb_each_text(v.policies) p)
       > (change#>>'{putPolicy,charactersMax}')::integer THEN
      RETURN 'too-large';
    END IF;
  END IF;
  UPDATE root.entity e
  SET name = coalesce(change->>'name', v.name),
      path = coalesce(change->>'path', v.path),
      trust = coalesce(change->>'trust', v.trust),
      description = coalesce(change->>'description', v.description),
      session_seconds = coalesce((change->>'sessionSeconds')::integer, v.session_seconds),
      tags = coalesce(change->'tags', v.tags),
      policies = v.policies
  WHERE e.id = v.id;
  RETURN 'done';
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.conditions()
 RETURNS jsonb
 LANGUAGE sql
 STABLE
AS $function$
  SELECT jsonb_build_object(
    'epoch', (SELECT c.epoch FROM root.cluster c),
    'pairs', (SELECT coalesce(jsonb_object_agg(p.id, p.epoch), '{}') FROM root.pair p),
    'conditions', (
      SELECT coalesce(jsonb_agg(jsonb_build_object(
        'subject', c.subject, 'state', c.state, 'sinceMs', (extract(epoch FROM c.since) * 1000)::bigint, 'why', c.why,
        'decidedBy', c.decided_by, 'mayReturn', c.may_return, 'storeId', c.store_id) ORDER BY c.subject), '[]')
      FROM root.condition c))
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.copy_condition()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM antipode.learn_conditions(jsonb_build_object('epoch', NEW.epoch, 'states', jsonb_build_object(NEW.subject, NEW.state)));
  RETURN NULL;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.copy_member()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM antipode.learn_members(jsonb_build_array(jsonb_build_object(
    'id', NEW.id, 'pair', NEW.pair_id, 'kind', (SELECT p.kind FROM root.pair p WHERE p.id = NEW.pair_id),
    'center', NEW.center, 'address', NEW.address, 'port', NEW.port)));
  RETURN NULL;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.create_access_key(p_id text, p_account text, p_sealed bytea, p_user text, p_max integer)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM FROM root.account a WHERE a.id = p_account FOR SHARE;
  IF NOT FOUND THEN RETURN 'no-such-account'; END IF;
  IF p_user IS NOT NULL THEN
    -- One key at a time, so that the limit holds.
    PERFORM FROM root.entity e WHERE e.id = p_user AND e.account_id = p_account AND e.kind = 'user' FOR NO KEY UPDATE;
    IF NOT FOUND THEN RETURN 'no-such-user'; END IF;
    IF (SELECT count(*) FROM root.access_key k WHERE k.user_id = p_user) >= p_max THEN RETURN 'too-many'; END IF;
  END IF;
  INSERT INTO root.access_key (access_key_id, account_id, sealed_secret, user_id)
  VALUES (p_id, p_account, p_sealed, p_user) ON CONFLICT (access_key_id) DO NOTHING;
  RETURN CASE WHEN FOUND THEN 'done' ELSE 'exists' END;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.create_entity(e jsonb, p_max integer)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_at timestamptz;
BEGIN
  PERFORM FROM root.account a WHERE a.id = e->>'account' FOR SHARE;
  IF NOT FOUND THEN RETURN jsonb_build_object('answer', 'no-such-account'); END IF;
  -- One creation per account at a time, so that the limit holds.
  PERFORM pg_advisory_xact_lock(6, hashtext(e->>'account'));
  IF EXISTS (
    SELECT FROM root.entity o
    WHERE o.account_id = e->>'account' AND o.kind = e->>'kind' AND lower(o.name) = lower(e->>'name')
  ) THEN
    RETURN jsonb_build_object('answer', 'exists');
  END IF;
  IF (SELECT count(*) FROM root.entity o WHERE o.account_id = e->>'account' AND o.kind = e->>'kind') >= p_max THEN
    RETURN jsonb_build_object('answer', 'too-many');
  END IF;
  INSERT INTO root.entity (id, kind, account_id, name, path, tags, trust, description, session_seconds)
  VALUES (e->>'id', e->>'kind', e->>'account', e->>'name', e->>'path', e->'tags', e->>'trust', e->>'description',
          (e->>'sessionSeconds')::integer)
  RETURNING created_at INTO v_at;
  RETURN jsonb_build_object('answer', 'done', 'createdAt', v_at);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.deal_quota(p_account text, change jsonb)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
DECLARE
  q root.account_quota;
BEGIN
  INSERT INTO root.account_quota AS o (account, deal) VALUES (p_account, 1)
  ON CONFLICT (account) DO UPDATE SET deal = o.deal + 1 RETURNING * INTO q;
  IF change ? 'bytes' THEN q.bytes_max := (change->>'bytes')::bigint; END IF;
  IF change ? 'objects' THEN q.objects_max := (change->>'objects')::bigint; END IF;
  UPDATE root.account_quota o SET bytes_max = q.bytes_max, objects_max = q.objects_max WHERE o.account = p_account;
  RETURN jsonb_build_object('bytes', q.bytes_max, 'objects', q.objects_max, 'deal', q.deal);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.delete_account(p_id text)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_root boolean;
BEGIN
  PERFORM pg_advisory_xact_lock(3, hashtext(p_id));
  SELECT a.is_root INTO v_root FROM root.account a WHERE a.id = p_id FOR UPDATE;
  IF v_root IS NULL THEN RETURN 'no-such-account'; END IF;
  IF v_root THEN RETURN 'root'; END IF;
  IF EXISTS (SELECT FROM root.access_key k WHERE k.account_id = p_id) THEN RETURN 'has-keys'; END IF;
  IF EXISTS (SELECT FROM root.entity e WHERE e.account_id = p_id) THEN RETURN 'has-entities'; END IF;
  IF EXISTS (SELECT FROM root.bucket_name b WHERE b.owner = p_id) THEN RETURN 'has-buckets'; END IF;
  DELETE FROM root.account a WHERE a.id = p_id;
  DELETE FROM root.account_quota q WHERE q.account = p_id;
  DELETE FROM antipode.quota q WHERE q.subject = 'account/' || p_id;
  RETURN 'done';
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.delete_entity(p_account text, p_kind text, p_name text)
 RETURNS text
 LANGUAGE plpgsql
AS $function$
DECLARE
  v root.entity;
BEGIN
  SELECT * INTO v FROM root.entity e
  WHERE e.account_id = p_account AND e.kind = p_kind AND e.name = p_name FOR UPDATE;
  IF v.id IS NULL THEN RETURN 'no-such-entity'; END IF;
  IF EXISTS (SELECT FROM root.access_key k WHERE k.user_id = v.id) THEN RETURN 'has-keys'; END IF;
  IF v.policies <> '{}' THEN RETURN 'has-policies'; END IF;
  DELETE FROM root.entity e WHERE e.id = v.id;
  RETURN 'done';
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.end_center_failover(p_member text, p_epoch bigint, c jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.enter_condition(p_subject text, p_state text, p_epoch bigint, c jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  UPDATE root.condition k
  SET state = p_state, epoch = p_epoch, since = clock_timestamp(), why = c->>'why', decided_by = c->>'decidedBy',
      may_return = p_state <> 'failed-over' OR coalesce((c->>'mayReturn')::boolean, false),
      store_id = CASE WHEN p_state = 'serving' THEN coalesce(c->>'storeId', k.store_id) ELSE k.store_id END
  WHERE k.subject = p_subject;
  INSERT INTO root.condition_history (subject, state, epoch, why, decided_by)
  VALUES (p_subject, p_state, p_epoch, c->>'why', c->>'decidedBy');
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.hold_member(p_member text, c jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  WITH held AS (
    UPDATE root.condition k SET may_return = false, why = c->>'why', decided_by = c->>'decidedBy'
    WHERE k.subject = p_member AND k.state = 'failed-over' AND k.may_return RETURNING k.*
  )
  INSERT INTO root.condition_history (subject, state, epoch, why, decided_by)
  SELECT h.subject, h.state, h.epoch, h.why, h.decided_by FROM held h;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.lease_bucket_move(p_bucket bigint, p_epoch bigint, p_owner text, p_lease_ms bigint, p jsonb)
 RETURNS SETOF root.bucket_move
 LANGUAGE sql
AS $function$
  UPDATE root.bucket_move m
  SET owner = p_owner, turn = m.turn + CASE WHEN m.owner = p_owner THEN 0 ELSE 1 END,
      leased_until = clock_timestamp() + p_lease_ms * interval '1 millisecond', updated_at = clock_timestamp(),
      phase = coalesce(p->>'phase', m.phase),
      progress = coalesce(p->'progress', m.progress),
      versions = coalesce((p->>'versions')::bigint, m.versions),
      freezes = coalesce((p->>'freezes')::integer, m.freezes),
      frozen_ms = m.frozen_ms + coalesce((p->>'frozenMs')::bigint, 0),
      last_error = CASE WHEN p ? 'lastError' THEN p->>'lastError' ELSE m.last_error END
  WHERE m.bucket_id = p_bucket AND m.epoch = p_epoch AND m.phase NOT IN ('done', 'cancelled')
    AND (m.owner = p_owner OR m.leased_until <= clock_timestamp())
    AND (NOT p ? 'from' OR m.phase = p->>'from')
  RETURNING m.*
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.lease_resync(p_member text, p_epoch bigint, p_owner text, p_lease_ms bigint, p jsonb)
 RETURNS SETOF root.resync
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.pass_bucket_id(p_id bigint)
 RETURNS void
 LANGUAGE sql
AS $function$
  SELECT setval('root.bucket_name_bucket_id_seq',
                greatest(p_id, coalesce(pg_sequence_last_value('root.bucket_name_bucket_id_seq'::regclass), 1)))
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.raise_epoch(p_pair text, p_epoch bigint, p_by text)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.refused_change(c jsonb, current bigint)
 RETURNS jsonb
 LANGUAGE plpgsql
 STABLE
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.register_directory(p_pair text, p_root text)
 RETURNS integer
 LANGUAGE plpgsql
AS $function$
BEGIN
  PERFORM pg_advisory_xact_lock(6, 0);
  INSERT INTO root.directory (pair, ordinal) VALUES (p_root, 0) ON CONFLICT DO NOTHING;
  INSERT INTO root.directory (pair, ordinal) SELECT p_pair, max(d.ordinal) + 1 FROM root.directory d
  ON CONFLICT DO NOTHING;
  RETURN (SELECT d.ordinal FROM root.directory d WHERE d.pair = p_pair);
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.register_topology(t jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
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
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.restore_bucket_names(docs jsonb)
 RETURNS void
 LANGUAGE plpgsql
AS $function$
BEGIN
  DELETE FROM root.bucket_name;
  UPDATE root.name_feed SET floor = 0, trimmed = false, restored = true, told = '{}', marks = '[]';
  INSERT INTO root.bucket_name (name, bucket_id, owner, directory, state, created_at) OVERRIDING SYSTEM VALUE
  SELECT d->'bucket'->>'name', (d->'bucket'->>'id')::bigint, d->'bucket'->>'owner', d->>'directory', 'ready',
         (d->'bucket'->>'created_at')::timestamptz
  FROM jsonb_array_elements(docs) d;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.start_bucket_move(p_name text, p_target text, p_decided_by text)
 RETURNS jsonb
 LANGUAGE plpgsql
AS $function$
DECLARE
  b root.bucket_name;
  m root.bucket_move;
BEGIN
  SELECT * INTO b FROM root.bucket_name n WHERE n.name = p_name AND n.state = 'ready' FOR UPDATE;
  IF NOT FOUND THEN RETURN jsonb_build_object('reason', 'no-such-bucket'); END IF;
  SELECT * INTO m FROM root.bucket_move o WHERE o.bucket_id = b.bucket_id AND o.phase NOT IN ('done', 'cancelled');
  IF FOUND THEN
    IF m.target = p_target AND m.phase <> 'cancelling' THEN RETURN jsonb_build_object('move', to_jsonb(m)); END IF;
    RETURN jsonb_build_object('reason', 'moving', 'detail', 'it is being moved to ' || m.target);
  END IF;
  IF b.directory = p_target THEN RETURN jsonb_build_object('reason', 'there-already'); END IF;
  INSERT INTO root.bucket_move (bucket_id, epoch, name, source, target, phase, decided_by)
  SELECT b.bucket_id, coalesce(max(o.epoch), 0) + 1, b.name, b.directory, p_target, 'copying', p_decided_by
  FROM root.bucket_move o WHERE o.bucket_id = b.bucket_id
  RETURNING * INTO m;
  RETURN jsonb_build_object('move', to_jsonb(m));
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.subject_members(c jsonb)
 RETURNS TABLE(member text, pair text, kind text, state text, may_return boolean, twin text, twin_state text)
 LANGUAGE sql
 STABLE
AS $function$
  SELECT m.id, m.pair_id, p.kind, k.state, k.may_return, t.id, tk.state
  FROM root.member m
  JOIN root.pair p ON p.id = m.pair_id
  JOIN root.condition k ON k.subject = m.id
  LEFT JOIN root.member t ON t.pair_id = m.pair_id AND t.id <> m.id
  LEFT JOIN root.condition tk ON tk.subject = t.id
  WHERE m.id = c->>'member' OR m.center = c->>'center' AND p.kind = 'node'
  ORDER BY m.id
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.switch_bucket(p_bucket bigint, p_epoch bigint, p_owner text)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$
DECLARE
  m root.bucket_move;
BEGIN
  SELECT * INTO m FROM root.bucket_move o
  WHERE o.bucket_id = p_bucket AND o.epoch = p_epoch AND o.owner = p_owner FOR UPDATE;
  IF NOT FOUND OR m.phase NOT IN ('frozen', 'switched') THEN RETURN false; END IF;
  UPDATE root.bucket_name n SET directory = m.target, move_epoch = p_epoch
  WHERE n.bucket_id = p_bucket AND n.directory = m.source AND n.move_epoch < p_epoch;
  UPDATE root.bucket_move o SET phase = 'switched', updated_at = clock_timestamp()
  WHERE o.bucket_id = p_bucket AND o.epoch = p_epoch AND o.phase = 'frozen';
  RETURN true;
END
$function$

-- GRANT EXECUTE TO antipode_app

CREATE OR REPLACE FUNCTION root.take_bucket_name(p_name text, p_owner text, p_directory text, p_max integer)
 RETURNS TABLE(made boolean, too_many boolean, bucket_id bigint, owner text, directory text, state text, created_at timestamp with time zone)
 LANGUAGE plpgsql
AS $function$
DECLARE
  v_made boolean;
BEGIN
  -- One creation per account at a time, so that the limit holds.
  PERFORM pg_advisory_xact_lock(3, hashtext(p_owner));
  IF NOT EXISTS (SELECT FROM root.bucket_name b WHERE b.name = p_name)
     AND (SELECT count(*) FROM root.bucket_name b WHERE b.owner = p_owner) >= p_max THEN
    RETURN QUERY SELECT false, true, NULL::bigint, NULL::text, NULL::text, NULL::text, NULL::timestamptz;
    RETURN;
  END IF;
  INSERT INTO root.bucket_name (name, owner, directory) VALUES (p_name, p_owner, p_directory)
  ON CONFLICT (name) DO NOTHING;
  v_made := FOUND;
  RETURN QUERY SELECT v_made, false, b.bucket_id, b.owner, b.directory, b.state, b.created_at
  FROM root.bucket_name b WHERE b.name = p_name;
END
$function$

-- GRANT EXECUTE TO antipode_app
