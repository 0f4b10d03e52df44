SELECT to_jsonb(e) AS entity, a.id, a.display_name, a.email, a.tenant, a.is_root
FROM root.entity e JOIN root.account a ON a.id = e.account_id
WHERE e.account_id = $1 AND e.kind = $2 AND starts_with(e.path, $3) AND lower(e.name) > lower($4)
ORDER BY lower(e.name)
LIMIT $5
