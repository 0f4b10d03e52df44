SELECT k.access_key_id, k.status, k.sealed_secret, k.created_at, a.id, a.display_name, a.email, a.tenant, a.is_root,
       to_jsonb(e) AS user_entity
FROM root.access_key k JOIN root.account a ON a.id = k.account_id LEFT JOIN root.entity e ON e.id = k.user_id
WHERE k.account_id = $1
ORDER BY k.created_at, k.access_key_id
