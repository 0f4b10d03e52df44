-- Users and roles of accounts: entities, in IAM's word. On the root pair alone, as accounts and keys are.
CREATE TABLE root.entity (
  id              text COLLATE "C" PRIMARY KEY,
  kind            text NOT NULL CHECK (kind IN ('user', 'role')),
  account_id      text COLLATE "C" NOT NULL REFERENCES root.account (id),
  name            text COLLATE "C" NOT NULL CHECK (length(name) BETWEEN 1 AND 64),
  path            text COLLATE "C" NOT NULL DEFAULT '/',
  -- Inline policies: their text by name.
  policies        jsonb NOT NULL DEFAULT '{}',
  tags            jsonb NOT NULL DEFAULT '{}',
  -- Of roles: who may assume it, and for how long at most.
  trust           text,
  description     text,
  session_seconds integer,
  created_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  CHECK ((kind = 'role') = (trust IS NOT NULL))
);
-- Names differ in more than case.
CREATE UNIQUE INDEX entity_name ON root.entity (account_id, kind, lower(name));
CREATE INDEX entity_listing ON root.entity (account_id, kind, name);
COMMENT ON TABLE root.entity IS 'Users and roles of accounts, with their inline policies';

-- Null: a key of the account itself.
ALTER TABLE root.access_key ADD COLUMN user_id text COLLATE "C" REFERENCES root.entity (id);
CREATE INDEX access_key_user ON root.access_key (user_id) WHERE user_id IS NOT NULL;

-- { answer: 'done' | 'exists' | 'no-such-account' | 'too-many', createdAt }
CREATE FUNCTION root.create_entity(e jsonb, p_max integer) RETURNS jsonb
LANGUAGE plpgsql AS $$
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
$$;

-- change: name, path, trust, description, sessionSeconds, tags (all of them), putPolicy { name, text, charactersMax },
-- dropPolicy (a name). 'done', 'no-such-entity', 'exists', 'no-such-policy' or 'too-large' (all of its policies together,
-- without white space).
CREATE FUNCTION root.change_entity(p_account text, p_kind text, p_name text, change jsonb) RETURNS text
LANGUAGE plpgsql AS $$
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
$$;

-- 'done', 'no-such-entity', 'has-keys' or 'has-policies'.
CREATE FUNCTION root.delete_entity(p_account text, p_kind text, p_name text) RETURNS text
LANGUAGE plpgsql AS $$
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
$$;

-- A key of the account, or (p_user) of one of its users, who may have p_max. 'done', 'exists', 'no-such-account',
-- 'no-such-user' or 'too-many'.
CREATE FUNCTION root.create_access_key(p_id text, p_account text, p_sealed bytea, p_user text, p_max integer) RETURNS text
LANGUAGE plpgsql AS $$
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
$$;

-- As in 0028; 'has-entities' too.
CREATE OR REPLACE FUNCTION root.delete_account(p_id text) RETURNS text
LANGUAGE plpgsql AS $$
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
$$;

CREATE OR REPLACE VIEW catalog.access_keys AS
SELECT k.access_key_id, k.account_id AS account, k.status, k.created_at, e.name AS user_name
FROM root.access_key k LEFT JOIN root.entity e ON e.id = k.user_id;
COMMENT ON COLUMN catalog.access_keys.user_name IS 'The user of the account whose key it is; null: the account''s own';

CREATE VIEW catalog.entities AS
SELECT e.id AS entity_id, e.account_id AS account, e.kind, e.name, e.path, e.policies, e.trust AS trust_policy, e.tags, e.created_at
FROM root.entity e;
COMMENT ON VIEW catalog.entities IS 'Users and roles of accounts (root pair)';
COMMENT ON COLUMN catalog.entities.entity_id IS 'The id that policies and logs know it by; never used again';
COMMENT ON COLUMN catalog.entities.account IS 'The account that it belongs to';
COMMENT ON COLUMN catalog.entities.kind IS 'user or role';
COMMENT ON COLUMN catalog.entities.name IS 'Its name, unique among the users, or the roles, of the account';
COMMENT ON COLUMN catalog.entities.path IS 'The path in front of its name in ARNs';
COMMENT ON COLUMN catalog.entities.policies IS 'Inline policies: their text by name';
COMMENT ON COLUMN catalog.entities.trust_policy IS 'Of a role: who may assume it';
COMMENT ON COLUMN catalog.entities.tags IS 'Its tags';
COMMENT ON COLUMN catalog.entities.created_at IS 'When it was made';
GRANT SELECT ON catalog.entities TO antipode_reader, antipode_writer, antipode_app;

GRANT SELECT, INSERT, UPDATE, DELETE ON root.entity TO antipode_app;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode TO antipode_app;
