SELECT root.deal_quota($1, $2) AS answer
