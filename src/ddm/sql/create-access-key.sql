WITH made AS (
  INSERT INTO root.access_key (access_key_id, account_id, sealed_secret)
  VALUES ($1, $2, $3)
  ON CONFLICT (access_key_id) DO NOTHING
  RETURNING access_key_id, account_id, status, sealed_secret, created_at
)
SELECT k.access_key_id, k.status, k.sealed_secret, k.created_at, a.id, a.display_name, a.email, a.tenant, a.is_root
FROM made k JOIN root.account a ON a.id = k.account_id
