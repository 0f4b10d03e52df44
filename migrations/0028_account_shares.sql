-- An account's quota over several directories. The root pair keeps the quota; each directory holds the account's buckets of its
-- own to a share of it (antipode.quota), and the shares add up to no more than the quota, so that it is never exceeded. Shares
-- are dealt anew when one of them is used up: first every directory is held to what it uses (hold_share), under a number
-- that the root pair gives out; then the room that is left is dealt (set_share), where nobody has begun again since.

CREATE TABLE root.account_quota (
  account     text COLLATE "C" PRIMARY KEY,
  bytes_max   bigint CHECK (bytes_max >= 0),
  objects_max bigint CHECK (objects_max >= 0),
  -- Of the last deal of the shares.
  deal        bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE root.account_quota IS 'Quotas of accounts; each directory has its share in antipode.quota';
INSERT INTO root.account_quota (account, bytes_max, objects_max)
SELECT substr(q.subject, 9), q.bytes_max, q.objects_max FROM antipode.quota q WHERE starts_with(q.subject, 'account/');

ALTER TABLE antipode.quota ADD COLUMN deal bigint NOT NULL DEFAULT 0;

-- change: { bytes, objects }, null for no limit; what it does not have stays. Answers { bytes, objects, deal } of a new deal.
CREATE FUNCTION root.deal_quota(p_account text, change jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
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
$$;

-- As in 0012, and buckets that are frozen or have come and not arrived, which are no rows of antipode.bucket.
CREATE OR REPLACE FUNCTION antipode.change_quota(p_subject text, buckets bigint[], change jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
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
$$;

-- Lets the account's buckets here grow no more, as far as the quota (limits: { bytes, objects }) has limits. Answers what they
-- use, { bytes, objects }, or { stale } when a later deal was here.
CREATE FUNCTION antipode.hold_share(p_account text, p_deal bigint, limits jsonb) RETURNS jsonb
LANGUAGE plpgsql AS $$
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
$$;

-- The share of this deal, { bytes, objects }; both null: there is no quota any more. False: another deal has begun.
CREATE FUNCTION antipode.set_share(p_account text, p_deal bigint, share jsonb) RETURNS boolean
LANGUAGE plpgsql AS $$
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
$$;

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
  IF EXISTS (SELECT FROM root.bucket_name b WHERE b.owner = p_id) THEN RETURN 'has-buckets'; END IF;
  DELETE FROM root.account a WHERE a.id = p_id;
  DELETE FROM root.account_quota q WHERE q.account = p_id;
  DELETE FROM antipode.quota q WHERE q.subject = 'account/' || p_id;
  RETURN 'done';
END
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON root.account_quota TO antipode_app;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA root, antipode TO antipode_app;
