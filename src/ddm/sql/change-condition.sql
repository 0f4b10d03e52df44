SELECT root.change_condition($1) AS answer
