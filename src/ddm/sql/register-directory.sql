SELECT root.register_directory($1, $2) AS ordinal
