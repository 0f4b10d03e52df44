INSERT INTO root.account (id, display_name, email, tenant, is_root)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO NOTHING
