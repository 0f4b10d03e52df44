SELECT antipode.set_account_quota($1, $2) AS answer
