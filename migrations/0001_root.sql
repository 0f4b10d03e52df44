-- What is global: used on the root pair alone, present everywhere so that one set of migrations serves every
-- directory. Names and ids compare bytewise (COLLATE "C").

-- The gateway's role. The launcher (or the operator) gives it its password.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'antipode_app') THEN
    CREATE ROLE antipode_app LOGIN;
  END IF;
EXCEPTION
  -- Roles belong to the cluster: another database's migration may have been faster.
  WHEN duplicate_object OR unique_violation THEN NULL;
END
$$;

CREATE SCHEMA root;
CREATE SCHEMA antipode;
-- Reserved for the documented views.
CREATE SCHEMA catalog;

CREATE TABLE root.account (
  id           text COLLATE "C" PRIMARY KEY CHECK (length(id) BETWEEN 1 AND 128),
  display_name text NOT NULL,
  email        text,
  tenant       text,
  is_root      boolean NOT NULL DEFAULT false,
  created_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE root.access_key (
  access_key_id text COLLATE "C" PRIMARY KEY,
  account_id    text COLLATE "C" NOT NULL REFERENCES root.account (id),
  status        text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'inactive')),
  -- Encrypted under the master key; the catalog cannot open it.
  sealed_secret bytea NOT NULL,
  created_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX access_key_account ON root.access_key (account_id, access_key_id);

-- Pairs of twins and their members, as last configured.
CREATE TABLE root.pair (
  id         text COLLATE "C" PRIMARY KEY,
  kind       text NOT NULL CHECK (kind IN ('node', 'directory')),
  weight     double precision NOT NULL DEFAULT 1 CHECK (weight >= 0),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE root.member (
  id      text COLLATE "C" PRIMARY KEY,
  pair_id text COLLATE "C" NOT NULL REFERENCES root.pair (id),
  center  text COLLATE "C" NOT NULL,
  address text NOT NULL,
  port    integer NOT NULL CHECK (port BETWEEN 1 AND 65535)
);
CREATE INDEX member_pair ON root.member (pair_id);

-- The present state of a member, pair or center, and how it came to be. The epoch rises with every change
-- (compare-and-set); history rows are never updated.
CREATE TABLE root.condition (
  subject    text COLLATE "C" PRIMARY KEY,
  state      text NOT NULL CHECK (state IN ('serving', 'suspect', 'failed-over', 'resyncing')),
  epoch      bigint NOT NULL DEFAULT 1,
  since      timestamptz NOT NULL DEFAULT clock_timestamp(),
  why        text NOT NULL DEFAULT '',
  decided_by text NOT NULL DEFAULT ''
);
CREATE TABLE root.condition_history (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  subject    text COLLATE "C" NOT NULL,
  state      text NOT NULL CHECK (state IN ('serving', 'suspect', 'failed-over', 'resyncing')),
  epoch      bigint NOT NULL,
  at         timestamptz NOT NULL DEFAULT clock_timestamp(),
  why        text NOT NULL DEFAULT '',
  decided_by text NOT NULL DEFAULT ''
);
CREATE INDEX condition_history_subject ON root.condition_history (subject, id);

-- The list of bucket names. States: creating → ready → (row removed). A row is made before the directory's bucket
-- row and removed after it, so creating, and ready without a bucket row, are halves that the next call finishes.
CREATE TABLE root.bucket_name (
  name       text COLLATE "C" PRIMARY KEY,
  bucket_id  bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
  owner      text COLLATE "C" NOT NULL,
  -- The directory pair that keeps the bucket's rows.
  directory  text COLLATE "C" NOT NULL,
  state      text NOT NULL DEFAULT 'creating' CHECK (state IN ('creating', 'ready')),
  created_at timestamptz NOT NULL DEFAULT date_trunc('milliseconds', clock_timestamp())
);
CREATE INDEX bucket_name_owner ON root.bucket_name (owner, name);

-- Takes a name. Answers the row as it is afterwards; `made` tells whether this call made it.
CREATE FUNCTION root.take_bucket_name(p_name text, p_owner text, p_directory text, p_max integer)
RETURNS TABLE (made boolean, too_many boolean, bucket_id bigint, owner text, directory text, state text, created_at timestamptz)
LANGUAGE plpgsql AS $$
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
$$;

-- 'done', 'no-such-account', 'root', 'has-keys' or 'has-buckets'.
CREATE FUNCTION root.delete_account(p_id text) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
  v_root boolean;
BEGIN
  PERFORM pg_advisory_xact_lock(3, hashtext(p_id));
  SELECT a.is_root INTO v_root FROM root.account a WHERE a.id = p_id FOR UPDATE;
  IF v_root IS NULL THEN RETURN 'no-such-account'; END IF;
  IF v_root THEN RETURN 'root'; END IF;
  IF EXISTS (SELECT FROM root.access_key k WHERE k.account_id = p_id) THEN RETURN 'has-keys'; END IF;
  IF EXISTS (SELECT FROM root.bucket_name b WHERE b.owner = p_id) THEN RETURN 'has-buckets'; END IF;
  DELETE FROM root.account a WHERE a.id = p_id;
  RETURN 'done';
END
$$;
