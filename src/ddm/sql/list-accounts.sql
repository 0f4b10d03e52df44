SELECT id, display_name, email, tenant, is_root FROM root.account ORDER BY id
