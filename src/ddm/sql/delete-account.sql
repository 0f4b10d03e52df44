SELECT root.delete_account($1) AS answer
